"""The devices' certain answers to a version, predicted from the broker's messages before anything is uploaded. Pure.

Only a device decides, by the same rules and with more knowledge. So this predicts only what is certain.
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
    """A device's reaction to a want."""

    BEGINS = "begins"
    JUDGED = "judged"
    """The device has judged this very content before."""
    INACTIVE = "inactive"
    """It has, and succeeded, but another version is active there now, or none."""
    DOWNGRADE = "downgrade"
    CONFLICT = "version_conflict"
    IGNORED = "ignored"
    """A higher want of another scope stands, or the device's own want of this version: no answer comes."""
    UNANSWERED = "unanswered"
    """A downgrade. An agent of version 0.1 does not answer it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The version to push."""

    model: str
    version: int
    job: str
    scopes: frozenset[Scope]


def outlook(device: Device, asked: Asked, history: History, now: float) -> tuple[Outlook, int]:
    """The reaction of ``device``, and the version that stands in the way."""
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
        return Outlook.BEGINS, 0  # the device knows the want, whatever its report was
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
    """Warnings before the version is sent, one sentence for each kind of trouble.

    Args:
        outlooks: device → its reaction, and the version that stands in the way.
        asked: the version to push.
        highest: the highest version that is known anywhere.
        order: turns the words of a command to devices into a command line.
    """
    said = []
    name, version = asked.model, asked.version
    higher = _higher(highest)
    if downgrades := _those(outlooks, Outlook.DOWNGRADE):
        known = max(outlooks[device][1] for device in downgrades)
        rollback = order("rollback", name, *(word for device in downgrades for word in ("--device", device)))
        said.append(
            f"{name} {known} is known here: {_names(downgrades)} will answer version {version} with downgrade; "
            f"{higher}; to activate the release before: {rollback}"
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
    """The reason why a device does not answer a want, and the remedy."""
    found, stands = foreseen
    if found is Outlook.UNANSWERED:
        why = f"has accepted {asked.model} {stands}, and its edge-agent 0.1 gives no answer to an older one"
    else:
        why = f"is asked for {asked.model} {stands} by another want, which stands"
    return f"{device} will ignore {asked.model} {asked.version}: it {why}; {_higher(highest)}"


def inactive(asked: Asked, active: int) -> str:
    """The reason why a success no longer stands on a device. ``active`` is the active version there, or 0."""
    now = f"{asked.model} {active} is active now" if active else f"no {asked.model} is active now"
    why = ", as this one was rolled back" if 0 < active < asked.version else ""
    return f"{asked.model} {asked.version} succeeded here before, but {now}{why}; give --again to try again"


def nothing_new(outlooks: Mapping[str, tuple[Outlook, int]], asked: Asked, history: History, now: float) -> bool:
    """Whether a push would change nothing: each device has judged it, and the broker has each want already."""
    wants = [history.wants.get(scope) for scope in asked.scopes]
    lie = all(want is not None and want.job == asked.job and want.stands(now) for want in wants)
    return lie and all(found in (Outlook.JUDGED, Outlook.INACTIVE) for found, _ in outlooks.values())


def _is_0_1(device: Device) -> bool:
    return device.info is not None and device.info.agent_version.startswith("0.1.")


def _counted_by_0_1(device: Device, history: History, accepted: int) -> int:
    """The highest want that counts for 0.1, which counts replaced and expired wants, too."""
    wants = (want.version for scope, want in history.wants.items() if device.in_scope(scope))
    return max((version for version in wants if version <= accepted), default=0)


def _active_instead(device: Device, report: JobReport) -> int | None:
    """The active version if it is not the one that ``report`` activated; 0: none is active; None: it still is."""
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
