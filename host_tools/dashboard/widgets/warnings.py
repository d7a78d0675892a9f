"""The problems of a device, each with its remedy. Pure."""

from collections.abc import Iterator

from edge_agent.advice.remedy import remedy_for
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.wire.telemetry import Health
from host_tools.fleet.device_state import DeviceState

_CLOCK = (
    "The clock was never set.",
    "Let the device reach a time server: signed orders expire by its clock.",
)
_THROTTLED = ("The processor is slowed down.", "Cool it, or give it a stronger power supply.")
_UNDERVOLTAGE = (
    "The supply voltage is too low.",
    "Use the supply that the board's maker names, and a short cable.",
)
_QUIET = (
    "Its health samples have stopped.",
    "Check whether the agent runs: systemctl status edge-agent.",
)


def warnings(device: DeviceState, now: float) -> Markup:
    """A box for each problem; nothing if there is none."""
    return join(*(_box(what, to_do) for what, to_do in _found(device, now)))


def _found(device: DeviceState, now: float) -> Iterator[tuple[str, str]]:
    status = device.status
    if status and status.refused:
        refused = status.refused
        about = f" for {refused.model}" if refused.model else ""
        yield (
            f"The newest order{about} was refused ({refused.code}): {refused.message}",
            remedy_for(refused.code, refused.message),
        )
    if status and isinstance(status.twin, str):
        yield f"Another client connects by this device's name: {status.twin}", ""
    if status and not status.clock_plausible:
        yield _CLOCK
    if device.health and device.online:
        if device.health.fresh(now):
            yield from _of_health(device.health.sample)
        else:
            yield _QUIET
    for name, state in device.models.items():
        if state.stale:
            yield (
                f"{name} runs on another runtime than it was measured on.",
                "Recalibrate it, so that its numbers are valid again.",
            )


def _of_health(health: Health) -> Iterator[tuple[str, str]]:
    if health.throttled:
        yield _THROTTLED
    if health.undervoltage:
        yield _UNDERVOLTAGE


def _box(what: str, to_do: str) -> Markup:
    advice = element("p", element("b", "To do: "), to_do) if to_do else ""
    return element("div", element("p", element("b", "▲ ", class_="warn"), what), advice, class_="warning-box")
