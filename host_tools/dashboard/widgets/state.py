"""The state of a model on a device, as a word with its mark. Pure."""

from edge_agent.advice.remedy import remedy_for
from edge_agent.report.html.markup import Markup, element, join
from host_tools.dashboard.widgets.badge import Tone, badge, progress
from host_tools.dashboard.widgets.stages import name_of
from host_tools.fleet.row import Row

_TONES: dict[str, Tone] = {"succeeded": "good", "rejected": "warn", "failed": "bad"}


def state_of(row: Row) -> Markup:
    """The state of a model on a device, and its problems."""
    parts: list[str] = [] if row.online else [badge("offline", "off")]
    if row.progress is not None:
        parts.append(progress(row.progress, name_of(row.state).lower()))
        if row.refused:
            parts.append(badge(f"refused {row.refused}", "warn", remedy_for(row.refused, "") or None))
    elif row.state:
        to_do = "" if row.status == "succeeded" else remedy_for(row.code, row.message)
        told = " ".join(one for one in (row.message, to_do) if one)
        tone = "warn" if row.refused else _TONES.get(row.status, "plain")
        parts.append(badge(row.state, tone, told or None))
    parts += [badge(name, "warn") for name, is_so in (("throttled", row.throttled), ("stale", row.stale)) if is_so]
    return join(*(element("span", one, class_="states") for one in parts)) if parts else badge("idle", "plain")
