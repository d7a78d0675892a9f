"""The version of a push: one more than the highest of its targets and of the signed wants. Pure.

A device's claim counts for itself alone and moves no version of other devices. A target's claim is no proof either: a
version far above every signed want is not signed without ``--force``. A device that lies could otherwise use up the
highest version there is for the whole fleet, and no version could follow it.
"""

from collections.abc import Callable, Mapping

from edge_agent.errors import ConfigError
from edge_agent.wire.manifest import MAX_VERSION
from host_tools.broker.history import History
from host_tools.broker.registry import Device

MOST_AHEAD = 1000
_FORCE = "give --force if that is right"


def choose_version(
    model: str,
    written: int | None,
    history: History,
    targets: Mapping[str, Device],
    *,
    force: bool,
    order: Callable[..., str],
) -> int:
    """The version of a push.

    Args:
        model: the model's name.
        written: the version in the manifest's file; None: the next one.
        history: the model's wants and reports.
        targets: the addressed devices.
        force: the operator accepts the jump.
        order: turns the words of a command to devices into a command line.

    Raises:
        ConfigError: ``version_jump``.
    """
    known = history.highest(model, targets)
    version = written or known + 1
    proven = history.proven()
    if version > MAX_VERSION:
        raise ConfigError("version_jump", f"no version can follow {known} of {model}; {_cure(model, targets, order)}")
    if force or (written and not known):
        return version
    above = known if written else proven
    if version - above <= MOST_AHEAD:
        return version
    if written:
        text = f"version {version} of {model} is more than {MOST_AHEAD} above {known}, the highest that is known here"
        raise ConfigError("version_jump", f"{text}; {_FORCE}")
    claims = max(targets.values(), key=lambda device: _claimed(model, device, history), default=None)
    who = f"{claims.id} reports that it has accepted {known}" if claims is not None else f"{known} is known here"
    text = f"the next version of {model} would be {version}: {who}, and the highest signed want is {proven}"
    raise ConfigError("version_jump", f"{text}; {_FORCE}, else {_cure(model, targets, order)}")


def _claimed(model: str, device: Device, history: History) -> int:
    info = device.info.highest.get(model, 0) if device.info else 0
    return max([info, *(report.version for report in history.reports if report.device == device.id)])


def _cure(model: str, targets: Mapping[str, Device], order: Callable[..., str]) -> str:
    words = [word for device in list(targets)[:3] for word in ("--device", device)]
    return f"run {order('forget', model, *words)}"
