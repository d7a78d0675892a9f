"""The steps of an input contract: their names, their options, and the shape of their results. Pure.

Host and device both read steps with this package. So a mistake is found when a manifest is written, and again before a
device fetches a byte for it. The arithmetic of the steps is in :mod:`edge_agent.preprocess`.

    basic     standardize, scale, clip, transpose, reshape, cast
    images    resize, letterbox, center_crop, color
    audio     log_mel, mfcc
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from edge_agent.errors import ContractError, RecipeError
from edge_agent.strict import did_you_mean, explain
from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps.audio import LogMel, Mfcc
from edge_agent.wire.steps.basic import Cast, Clip, Reshape, Scale, Standardize, Transpose
from edge_agent.wire.steps.images import CenterCrop, Color, Letterbox, Resize
from edge_agent.wire.steps.step import Shape, Step

STEPS: dict[str, type[Step]] = {
    "standardize": Standardize,
    "scale": Scale,
    "clip": Clip,
    "transpose": Transpose,
    "reshape": Reshape,
    "cast": Cast,
    "resize": Resize,
    "letterbox": Letterbox,
    "center_crop": CenterCrop,
    "color": Color,
    "log_mel": LogMel,
    "mfcc": Mfcc,
}


def read_steps(contract: InputContract) -> list[tuple[str, Step]]:
    """Return the steps with their names; raise ``RecipeError`` (recipe_unsupported) for an unknown name or value."""
    if contract.frame and contract.rate_hz:
        raise RecipeError("recipe_unsupported", "frame: pictures are not resampled in time; leave rate_hz out")
    return [_step(f"steps {number}", table, contract.rate_hz) for number, table in enumerate(contract.steps, 1)]


def check_inputs(inputs: Iterable[InputContract], where: str = "[input]") -> None:
    """Check each contract as far as possible without its source and its model.

    Raises:
        RecipeError: ``recipe_unsupported``: an unknown step, option or value.
        ContractError: ``shape_mismatch``: a step does not fit the result of the window and the steps before it.
            The number of channels is known only if the contract names them.
    """
    for contract in inputs:
        at = f"{where} {contract.name}" if contract.name else where
        try:
            steps = read_steps(contract)
            if contract.window is not None and contract.channels:
                shape_after(steps, contract.shape(contract.window.size, len(contract.channels)))
        except (RecipeError, ContractError) as error:
            raise type(error)(error.code, f"{at} {error.message}") from None


def shape_after(steps: Iterable[tuple[str, Step]], shape: Shape) -> Shape:
    """Return the shape that ``steps`` make of a window of ``shape``; raise ``ContractError`` (shape_mismatch)."""
    for number, (name, step) in enumerate(steps, 1):
        try:
            shape = step.shape(shape)
        except ValueError as error:
            given = "x".join(map(str, shape)) or "a single value"
            raise ContractError("shape_mismatch", f"steps {number}: {name} on a tensor of {given}: {error}") from None
    return shape


def _step(where: str, table: Mapping[str, Any], rate_hz: float | None) -> tuple[str, Step]:
    name, options = table.get("op"), {key: value for key, value in table.items() if key != "op"}
    if not isinstance(name, str):
        raise RecipeError("recipe_unsupported", f'{where}: every step needs op = "…"; known: {", ".join(STEPS)}')
    if name not in STEPS:
        raise RecipeError("recipe_unsupported", f"{where}: unknown op {name!r}{did_you_mean(name, STEPS)}")
    kind = STEPS[name]
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in options:
        if key not in known:
            raise RecipeError("recipe_unsupported", f"{where}: {name} has no option {key!r}{did_you_mean(key, known)}")
    try:
        return name, msgspec.convert(options, kind).at_rate(rate_hz)
    except (msgspec.ValidationError, ValueError) as error:
        raise RecipeError("recipe_unsupported", explain(error, options, kind, f"{where}: {name}")) from None
