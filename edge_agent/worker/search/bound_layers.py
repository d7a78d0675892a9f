"""Layers that stay float in every candidate, as a tensor beside them fits no int8 grid; and who is to blame for it."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge_agent.backends import Backend, Signature
from edge_agent.calibration.fitness import NOT_FINITE
from edge_agent.errors import Refusal

_NAMED = 5
"""Layers, tensors and reasons that a warning names."""


def blame_ends(unfit: Mapping[str, str], info: Signature) -> None:
    """Raise ``Refusal`` (``non_finite``) where what is not finite is an input or an output of the model.

    Inside of it the model is right to compute so: minus infinity is how it masks.
    """
    for what, specs, advice in (
        ("input", info.inputs, "check the sensor, its wiring and the steps before the model"),
        ("output", info.outputs, "check the model and its inputs"),
    ):
        for spec in specs:
            if unfit.get(spec.name) == NOT_FINITE:
                raise Refusal("non_finite", f"{what} {spec.name!r} of the float model holds NaN or Inf; {advice}")


class Bound(NamedTuple):
    """What binds a layer to float."""

    tensor: str
    reason: str


def bound_to_float(backend: Backend, prepared: Path, unfit: Mapping[str, str]) -> dict[str, Bound]:
    """Layer → what binds it; for each layer that reads or gives one of the tensors ``unfit`` (name → reason)."""
    if not unfit:
        return {}  # reading the layers means reading the weights
    bound: dict[str, Bound] = {}
    for layer in backend.layers(prepared):
        name = next((one for one in (*layer.inputs, *layer.outputs) if one in unfit), None)
        if name is not None:
            bound[layer.name] = Bound(name, unfit[name])
    return bound


def told_of(bound: Mapping[str, Bound]) -> Iterator[str]:
    """The warning about these layers; none if there are none."""
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
