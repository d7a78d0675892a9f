"""Checks whether the devices' agents know every feature of a manifest that came after version 0.1.0. Pure.

A device refuses a key that it does not know (``malformed``), or ignores it and judges without it. So nothing is sent if
a device that is named does not know a feature. The devices of a group are upgraded one after the other, so a group gets
a warning with the number of devices that lack it.
"""

from collections.abc import Iterable, Mapping, Sequence

from edge_agent.errors import RecipeError
from edge_agent.strict import counted
from edge_agent.wire.features import Feature, features_used
from edge_agent.wire.manifest import FEATURES, Manifest
from edge_agent.wire.messages import DeviceInfo
from edge_agent.wire.topics import Scope

_SHOWN = 5


def check_features(
    manifest: Manifest, scopes: Iterable[Scope], devices: Mapping[str, DeviceInfo | None], file: str
) -> list[str]:
    """Warnings about devices of groups that lack a feature, a sentence for each set of features.

    Args:
        manifest: the manifest to send.
        scopes: the devices and groups that it is for.
        devices: the addressed devices; None: no info message, so the device itself decides.
        file: the operator's manifest file, for the message.

    Raises:
        RecipeError: ``feature_unknown``: a device that ``scopes`` name lacks a feature.
    """
    used = features_used(manifest, FEATURES)
    named = {scope.name for scope in scopes if scope.kind == "d"}
    lacking: dict[tuple[Feature, ...], list[str]] = {}
    for name, info in sorted(devices.items()):
        if info is not None and (unknown := tuple(one for one in used if one.name not in info.features)):
            lacking.setdefault(unknown, []).append(name)
    for unknown, names in lacking.items():
        if refused := [name for name in names if name in named]:
            raise RecipeError("feature_unknown", _refusal(unknown, refused, devices, file))
    return [_warning(unknown, names, devices) for unknown, names in lacking.items()]


def _refusal(
    unknown: Sequence[Feature], names: Sequence[str], devices: Mapping[str, DeviceInfo | None], file: str
) -> str:
    know = "does not know" if len(names) == 1 else "do not know"
    return (
        f"{_listed(names, devices)} {know} {_written(unknown)}; upgrade edge-agent there, or leave "
        f"{'it' if len(unknown) == 1 else 'them'} out of {file}"
    )


def _warning(unknown: Sequence[Feature], names: Sequence[str], devices: Mapping[str, DeviceInfo | None]) -> str:
    one = len(names) == 1
    if all(feature.passed_over for feature in unknown):
        answer = f"{'judges' if one else 'judge'} without {'it' if len(unknown) == 1 else 'them'}"
    else:
        answer = f"{'refuses' if one else 'refuse'} the manifest (malformed)"
    return (
        f"{len(names)} of {counted(len(devices), 'device')} {'does' if one else 'do'} not know {_written(unknown)} and "
        f"{answer}: {_listed(names, devices)}; upgrade edge-agent there"
    )


def _written(features: Sequence[Feature]) -> str:
    return " and ".join(feature.written for feature in features)


def _listed(names: Sequence[str], devices: Mapping[str, DeviceInfo | None]) -> str:
    """The first names with their agent's version, and the number of further ones."""
    infos = ((name, devices[name]) for name in names[:_SHOWN])
    shown = [f"{name} (edge-agent {info.agent_version or 'of unknown version'})" for name, info in infos if info]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    *before, last = shown + more
    return f"{', '.join(before)} and {last}" if before else last
