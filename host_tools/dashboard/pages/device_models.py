"""Parts of a device's page: its models compared with their verdicts, and its releases. Pure."""

from urllib.parse import urlencode

from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element
from edge_agent.wire.telemetry import ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing
from host_tools.dashboard.widgets.state import state_of
from host_tools.fleet.device_state import DeviceState, JobEnd
from host_tools.fleet.rows import rows_of

_COLUMNS = {
    "model": False, "active": True, "state": False, "p50 now": True, "p50 promised": True, "p95 now": True,
    "p95 promised": True, "of float": True, "agreement": True, "size": True, "runs as": False,
}  # fmt: skip
_RELEASES = {"model": False, "version": True, "when": False, "": False, "job": False}
_SLOWER = 1.25
"""A latency above this multiple of the promised one is marked."""


def table(device: DeviceState, now: float) -> Markup:
    """The device's models: current latency against that of the verdict."""
    rows = [row for row in rows_of(device, now) if row.model]
    if not rows:
        return nothing("It runs no model yet. Push one: host-tools push-model.")
    shown = []
    for row in rows:
        state = device.models.get(row.model) or ModelState(device=device.id, model=row.model)
        served = device.served.get(row.model)
        sample = served.newest.sample if served and served.newest.fresh(now) else None
        cells = [
            element("th", element("a", row.model, href=f"/models/{row.model}"), scope="row"),
            element("td", str(row.version) if row.version else numbers.UNKNOWN, class_="n"),
            element("td", state_of(row), _message(row.message)),
            *_pair(sample.p50_ms if sample else None, state.p50_ms),
            *_pair(sample.p95_ms if sample else None, state.p95_ms),
            element("td", numbers.known(numbers.ratio, state.latency_ratio), class_="n"),
            element("td", numbers.known(numbers.share, row.agreement), class_="n"),
            element("td", numbers.known(numbers.size, state.model_bytes), class_="n"),
            element("td", " on ".join(one for one in (state.method, _runtime(state, sample)) if one)),
        ]
        shown.append(element("tr", *cells))
    return made_table(_COLUMNS, shown, "wide models")


def releases(device: DeviceState, now: float) -> Markup:
    """The accepted versions with a report at the broker, the newest first."""
    accepted = sorted(
        ((job, end) for job, end in device.jobs.items() if end.status == "succeeded"),
        key=lambda pair: (pair[1].started, pair[1].version),
        reverse=True,
    )
    if not accepted:
        return nothing("No release is known here.")
    return made_table(_RELEASES, [_release(device, job, end, now) for job, end in accepted], "releases")


def _release(device: DeviceState, job: str, end: JobEnd, now: float) -> Markup:
    state = device.models.get(end.model)
    note: str = ""
    when: float | None = end.started or None
    active = next((one.job for one in device.board.active if one.model == end.model), "") if device.board else ""
    if state and end.version == state.active_version and active in ("", job):
        note = element("strong", "active")
        when = parse_rfc3339(state.active_since) or when
    elif state and end.version == state.previous_version:
        asked = urlencode({"action": "rollback", "device": device.id, "model": end.model})
        note = element("a", f"Roll back to {end.version}", href=f"/orders/new?{asked}", class_="button")
    return element(
        "tr",
        element("th", element("a", end.model, href=f"/models/{end.model}"), scope="row"),
        element("td", str(end.version), class_="n"),
        element("td", moment(when, now)),
        element("td", note),
        element("td", element("a", job, href=f"/jobs/{device.id}/{job}")),
    )


def _pair(now_ms: float | None, promised_ms: float | None) -> list[Markup]:
    slow = now_ms is not None and promised_ms is not None and now_ms > _SLOWER * promised_ms
    shown = numbers.known(numbers.milliseconds, now_ms)
    return [
        element("td", f"▲ {shown}" if slow else shown, class_="n bad" if slow else "n"),
        element("td", numbers.known(numbers.milliseconds, promised_ms), class_="n"),
    ]


def _runtime(state: ModelState, sample: ModelSample | None) -> str:
    return sample.runtime if sample and sample.runtime else state.runtime


def _message(text: str) -> Markup:
    return element("small", text) if text else Markup()
