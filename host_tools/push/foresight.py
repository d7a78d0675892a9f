"""What devices will make of a version, by what the broker holds of them: said before anything is uploaded. Pure.

A device alone decides, by the same rules and with more knowledge; so this only says what is certain.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.wire.messages import JobReport
from edge_agent.wire.topics import Scope
from host_tools.broker.history import History
from host_tools.broker.registry import Device

_NAMED = 5


class Outlook(StrEnum):
    """What becomes of a want on one device."""

    BEGINS = "begins"
    JUDGED = "judged"
    """This very content had its end there."""
    INACTIVE = "inactive"
    """It had, and succeeded, but another version is active there now, or none."""
    DOWNGRADE = "downgrade"
    CONFLICT = "version_conflict"
    IGNORED = "ignored"
    """A higher want of another scope, or the device's own of this version, stands beside it: it says nothing."""
    UNANSWERED = "unanswered"
    """A downgrade to which an agent of 0.1 says nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be pushed."""

    model: str
    version: int
    job: str
    scopes: frozenset[Scope]


def outlook(device: Device, asked: Asked, history: History, now: float) -> tuple[Outlook, int]:
    """What ``device`` will do, and the version that stands in the way."""
    reports = [report for report in history.reports if report.device == device.id]
    for report in reports:
        if report.job == asked.job:
            if (active := _active_instead(device, report)) is not None:
                return Outlook.INACTIVE, active
            return (Outlook.JUDGED if report.ended else Outlook.BEGINS), report.version
    wants = {scope: want for scope, want in history.wants.items() if device.in_scope(scope) and want.stands(now)}
    beside = {scope: want for scope, want in wants.items() if scope not in asked.scopes}
    higher = max((want.version for want in beside.values()), default=0)
    accepted = device.info.highest.get(asked.model, 0) if device.info else 0
    accepted = max([accepted, *(report.version for report in reports)])
    if any(want.job == asked.job for want in wants.values()):
        return Outlook.BEGINS, 0  # it is known there, whatever its report was
    if asked.version < accepted:
        if higher > asked.version:
            return Outlook.IGNORED, higher
        silent = _is_0_1(device) and _counted_by_0_1(device, history, accepted) > asked.version
        return (Outlook.UNANSWERED if silent else Outlook.DOWNGRADE), accepted
    if asked.version == accepted and any(report.version == asked.version for report in reports):
        own = beside.get(Scope("d", device.id))
        kept = own is not None and own.version == asked.version
        return (Outlook.IGNORED if kept else Outlook.CONFLICT), accepted
    return Outlook.BEGINS, 0


def sentences(
    outlooks: Mapping[str, tuple[Outlook, int]], asked: Asked, highest: int, order: Callable[..., str]
) -> list[str]:
    """What a person should know before it is sent, one sentence for each kind of trouble.

    Args:
        outlooks: device → what it will do, and the version that stands in the way.
        asked: what is to be pushed.
        highest: the highest version that is known anywhere.
        order: the words of a command to devices in, and what to type for it out.
    """
    said = []
    name, version = asked.model, asked.version
    higher = _higher(highest)
    if downgrades := _those(outlooks, Outlook.DOWNGRADE):
        known = max(outlooks[device][1] for device in downgrades)
        rollback = order("rollback", name, *(word for device in downgrades for word in ("--device", device)))
        said.append(
            f"{name} {known} is known here: {_names(downgrades)} will answer version {version} with downgrade; "
            f"{higher}; to make active what was active before: {rollback}"
        )
    if conflicts := _those(outlooks, Outlook.CONFLICT):
        said.append(
            f"{name} {version} is known here with other content: {_names(conflicts)} will answer version_conflict; "
            f"{higher}"
        )
    said += [f"{device}: {inactive(asked, outlooks[device][1])}" for device in _those(outlooks, Outlook.INACTIVE)]
    silent = _those(outlooks, Outlook.IGNORED) + _those(outlooks, Outlook.UNANSWERED)
    return said + [ignores(device, outlooks[device], asked, highest) for device in silent]


def ignores(device: str, foreseen: tuple[Outlook, int], asked: Asked, highest: int) -> str:
    """Why a device says nothing to a want, and what to do."""
    found, stands = foreseen
    if found is Outlook.UNANSWERED:
        why = f"has accepted {asked.model} {stands}, and its edge-agent 0.1 gives no answer to an older one"
    else:
        why = f"is asked for {asked.model} {stands} by another want, which stands"
    return f"{device} will ignore {asked.model} {asked.version}: it {why}; {_higher(highest)}"


def inactive(asked: Asked, active: int) -> str:
    """Why a success stands no more on a device on which version ``active`` is active now; 0: none is."""
    now = f"{asked.model} {active} is active now" if active else f"no {asked.model} is active now"
    why = ", as this one was rolled back" if 0 < active < asked.version else ""
    return f"{asked.model} {asked.version} succeeded here before, but {now}{why}; give --again for a new try"


def nothing_new(outlooks: Mapping[str, tuple[Outlook, int]], asked: Asked, history: History, now: float) -> bool:
    """Whether a push would change nothing: each device has judged it, and each want lies there already."""
    wants = [history.wants.get(scope) for scope in asked.scopes]
    lie = all(want is not None and want.job == asked.job and want.stands(now) for want in wants)
    return lie and all(found in (Outlook.JUDGED, Outlook.INACTIVE) for found, _ in outlooks.values())


def _is_0_1(device: Device) -> bool:
    return device.info is not None and device.info.agent_version.startswith("0.1.")


def _counted_by_0_1(device: Device, history: History, accepted: int) -> int:
    """The highest want that 0.1 takes to stand: also the one that a new want replaces, and those that have expired."""
    wants = (want.version for scope, want in history.wants.items() if device.in_scope(scope))
    return max((version for version in wants if version <= accepted), default=0)


def _active_instead(device: Device, report: JobReport) -> int | None:
    """The version that is active instead of the one that ``report`` says was activated, 0: none; None: that one is."""
    info = device.info
    if report.status != "succeeded" or info is None or info.seq <= report.seq:  # older than the report
        return None
    active = next((one.version for one in info.active if one.model == report.model), 0)
    return None if active == report.version else active


def _higher(highest: int) -> str:
    return f"leave version out of the manifest, or write {highest + 1} or more"


def _those(outlooks: Mapping[str, tuple[Outlook, int]], wanted: Outlook) -> list[str]:
    return [device for device, (found, _) in outlooks.items() if found is wanted]


def _names(devices: Iterable[str]) -> str:
    names = sorted(devices)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
