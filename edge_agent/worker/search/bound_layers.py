"""Layers that stay float in every candidate because a tensor next to them fits no int8 grid."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge_agent.backends import Backend, Signature
from edge_agent.calibration.fitness import NOT_FINITE
from edge_agent.errors import Refusal

_NAMED = 5
"""The largest number of layers, tensors and reasons in a warning."""


def blame_ends(unfit: Mapping[str, str], info: Signature) -> None:
    """Raise ``Refusal`` (``non_finite``) if an input or an output of the model is not finite.

    Inside the model such a value may be correct: minus infinity serves as a mask.
    """
    for what, specs, advice in (
        ("input", info.inputs, "check the sensor, its wiring and the steps before the model"),
        ("output", info.outputs, "check the model and its inputs"),
    ):
        for spec in specs:
            if unfit.get(spec.name) == NOT_FINITE:
                raise Refusal("non_finite", f"{what} {spec.name!r} of the float model holds NaN or Inf; {advice}")


class Bound(NamedTuple):
    """The tensor that keeps a layer float, and the reason."""

    tensor: str
    reason: str


def bound_to_float(backend: Backend, prepared: Path, unfit: Mapping[str, str]) -> dict[str, Bound]:
    """Layer → its bound, for each layer that reads or computes one of the tensors ``unfit`` (name → reason)."""
    if not unfit:
        return {}  # reading the layers means reading the weights
    bound: dict[str, Bound] = {}
    for layer in backend.layers(prepared):
        name = next((one for one in (*layer.inputs, *layer.outputs) if one in unfit), None)
        if name is not None:
            bound[layer.name] = Bound(name, unfit[name])
    return bound


def told_of(bound: Mapping[str, Bound]) -> Iterator[str]:
    """Yield the warning about these layers, if there are any."""
    if not bound:
        return
    stay = "1 layer stays" if len(bound) == 1 else f"{len(bound)} layers stay"
    tensors: dict[str, list[str]] = {}
    for one in dict.fromkeys(bound.values()):
        tensors.setdefault(one.reason, []).append(one.tensor)
    why = "; ".join(f"{_listed(names)}: {reason}" for reason, names in list(tensors.items())[:_NAMED])
    yield f"{stay} float ({_listed(bound)}) because int8 cannot hold a tensor next to them: {why}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, islice(names, _NAMED))) + (f" and {len(names) - _NAMED} more" * (len(names) > _NAMED))
