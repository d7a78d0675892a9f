"""Part of a device's page: its jobs, the newest first. Pure."""

from collections.abc import Sequence

from edge_agent.advice.remedy import remedy_for
from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.dashboard.widgets.badge import Tone, badge, progress
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing

_COLUMNS = {"job": False, "model": False, "version": True, "began": False, "took": True, "end": False, "why": False}
TONES: dict[str, Tone] = {"succeeded": "good", "rejected": "warn", "failed": "bad", "canceled": "off"}


def table(reports: Sequence[JobReport], now: float) -> Markup:
    """The jobs with a report at the broker."""
    if not reports:
        return nothing("The broker has no job report of this device.")
    return made_table(_COLUMNS, [_job(one, now) for one in reports], "jobs")


def _job(report: JobReport, now: float) -> Markup:
    if report.ended:
        code = "" if report.code in ("", "accepted", report.status) else f" {report.code}"
        end: str = badge(f"{report.status}{code}", TONES.get(report.status, "plain"))
    else:
        end = progress(report.progress, report.stage)
    to_do = remedy_for(report.code, report.message) if report.status in ("rejected", "failed") else ""
    advice = element("small", element("b", "To do: "), to_do) if to_do else ""
    return element(
        "tr",
        element("th", element("a", report.job, href=f"/jobs/{report.device}/{report.job}"), scope="row"),
        element("td", element("a", report.model, href=f"/models/{report.model}")),
        element("td", str(report.version), class_="n"),
        element("td", moment(parse_rfc3339(report.started), now)),
        element("td", numbers.seconds(sum(report.seconds.values())) if report.seconds else numbers.UNKNOWN, class_="n"),
        element("td", end),
        element("td", report.message if report.ended else report.detail, " ", advice),
    )
