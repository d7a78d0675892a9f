"""Parts of a device's page: its health now and over time, its sensors, its board. Pure."""

from collections.abc import Mapping
from typing import Any

from edge_agent.jobs.lenient import lenient
from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.settings.sharing import SourceState
from edge_agent.wire.messages import DeviceInfo
from edge_agent.wire.telemetry import Health
from host_tools.dashboard.history.points import History
from host_tools.dashboard.widgets.badge import Tone, badge
from host_tools.dashboard.widgets.chart import Line, chart
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import facts, nothing
from host_tools.fleet.device_state import DeviceState

_SENSORS = {
    "sensor": False, "kind": False, "channels": False, "rate": True, "state": False, "gaps": True, "lost": True,
    "stored": True,
}  # fmt: skip
_STATES: dict[str, Tone] = {"open": "good", "silent": "warn", "waiting": "bad"}
_YES = {True: "yes", False: "no", None: numbers.UNKNOWN}
_MHZ = 1e6


def now(device: DeviceState, at: float) -> Markup:
    """The device's newest health sample."""
    if device.health is None:
        return nothing("No health sample has arrived yet.")
    sample = device.health.sample
    old = "" if device.health.fresh(at) else " old"
    when = element("p", "From ", moment(device.health.at, at), class_="note")
    return element("div", when, facts(_told(sample)), class_=f"health{old}")


def charts(history: History, device: DeviceState, span_s: float, at: float) -> Markup:
    """The device's health and its models' latency over ``span_s`` seconds before ``at``."""
    since = at - span_s
    health = history.health(device.id, since)
    span: dict[str, float] = {"span": span_s, "now": at}
    shown = [
        chart("Temperature", health, [Line("°C", 1, _degrees)], **span),
        chart("Processor", health, [Line("busy", 2, numbers.share)], **span),
        chart("Memory", health, [Line("available", 3, numbers.size)], **span),
    ]
    for model in sorted({*device.served, *device.models}):
        lines = [Line(name, place, numbers.milliseconds) for place, name in enumerate(("p50", "p95", "p99"), start=1)]
        shown.append(chart(f"Latency of {model}", history.latency(device.id, model, since), lines, **span))
    return element("div", *shown, class_="charts")


def sensors(info: DeviceInfo | None) -> Markup:
    """The device's sensors for calibration, and their states."""
    if info is None or not info.sources:
        return nothing("It has reported no sensor.")
    return table(_SENSORS, [_sensor(name, about) for name, about in sorted(info.sources.items())], "sensors")


def board(device: DeviceState, info: DeviceInfo | None) -> Markup:
    """The device's board, and the runtimes that work on it."""
    if info is None:
        return nothing("It has not published its info.")
    runtimes = ", ".join(f"{name} {version}" for name, version in sorted(info.runtimes.items()))
    return facts(
        (
            ("Board", info.board),
            ("Processor", " ".join(one for one in (info.cpu, info.arch) if one)),
            ("Cores", str(info.cores) if info.cores else ""),
            ("Memory", numbers.size(info.memory_bytes) if info.memory_bytes else ""),
            ("Agent", info.agent_version),
            ("Python", info.python),
            ("Runtimes", runtimes),
            ("Quantizes", ", ".join(info.formats)),
            ("Workers are confined by", ", ".join(info.confinement)),
            ("Groups", ", ".join(info.groups)),
            ("Orders refused since it started", str(device.status.refused_count) if device.status else ""),
        )
    )


def _told(health: Health) -> list[tuple[str, str]]:
    return [
        ("Temperature", "" if health.temperature_c is None else f"{health.temperature_c:.1f} °C"),
        ("Processor busy", numbers.known(numbers.share, health.cpu_share)),
        ("Clock", "" if health.clock_hz is None else f"{health.clock_hz / _MHZ:,.0f} MHz"),
        ("Memory available", numbers.known(numbers.size, health.memory_available_bytes)),
        ("Swap used", numbers.known(numbers.size, health.swap_used_bytes)),
        ("Disk free", numbers.known(numbers.size, health.disk_free_bytes)),
        ("Written to the disk a day", numbers.known(numbers.size, health.disk_written_bytes_per_day)),
        ("Slowed down now / since boot", f"{_YES[health.throttled]} / {_YES[health.throttled_since_boot]}"),
        ("Too little power now / since boot", f"{_YES[health.undervoltage]} / {_YES[health.undervoltage_since_boot]}"),
        ("Up", numbers.known(_long, health.uptime_s)),
        ("Agent up", numbers.known(_long, health.agent_uptime_s)),
        ("Agent's memory", numbers.known(numbers.size, health.agent_rss_bytes)),
        ("Reconnects", f"{health.reconnects:,}"),
    ]


def _long(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _degrees(value: float) -> str:
    return f"{value:.1f}"


def _sensor(name: str, about: Mapping[str, Any]) -> Markup:
    shared = lenient(about["shared"], SourceState) if isinstance(about.get("shared"), dict) else None
    channels = about.get("channels")
    listed = ", ".join(map(str, channels[:24])) if isinstance(channels, list) else ""
    rate = about.get("rate_hz")
    measured = shared.rate_hz if shared else None
    expected = f" of {rate:g}" if isinstance(rate, int | float) and measured is not None else ""
    told = numbers.UNKNOWN
    if measured is not None or isinstance(rate, int | float):
        told = f"{measured if measured is not None else rate:.4g}{expected} Hz"
    state: str = numbers.UNKNOWN
    if shared:
        state = badge(shared.state, _STATES.get(shared.state, "plain"), shared.message or None)
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", str(about.get("kind", numbers.UNKNOWN))),
        element("td", listed or numbers.UNKNOWN),
        element("td", told, class_="n"),
        element("td", join(state), element("small", shared.message) if shared and shared.message else ""),
        element("td", f"{shared.gaps:,}" if shared else numbers.UNKNOWN, class_="n"),
        element("td", f"{shared.late + shared.dropped:,}" if shared else numbers.UNKNOWN, class_="n"),
        element("td", _stored(shared), class_="n"),
    )


def _stored(shared: SourceState | None) -> str:
    if shared is None or not shared.wanted:
        return numbers.UNKNOWN
    return f"{shared.kept:,} of {shared.wanted:,} segments, {shared.hours:.1f} h"
