"""A first manifest for a model: what its file tells, and every key with its default and what it means. Pure.

What the file does not tell is the operator's to say: ``source`` is empty, and until it is filled in the draft is
refused. A kind of output is only guessed, so it stands there as a comment; left out, the device finds it.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_agent.wire.manifest import Gates, Output, OutputKind, Recipe, State
from host_tools.model.tensors import ModelTensors, Shape, Tensor

_WIDTH = 40
_COLOURS = (1, 3)
_MOST_CLASSES = 1000
_CORNERS, _BOX = 4, 6
_CELLS, _FEWEST_CELLS = 21, 336
"""Of strides 8, 16 and 32 in each 32 pixels square, and in the smallest picture that detectors are made for."""

_INPUT = {
    "rate_hz": ("50", "samples a second; left out: whatever the source has"),
    "frame": ("[240, 320]", "only for pictures: height and width of a sample"),
    "name": ('"x"', "the model input that it feeds; for several write [[inputs]]"),
    "constant": ("0.5", "a fixed value for an input of [[inputs]], instead of a source"),
}
_OUTPUT = {
    "kind": ('"classes"', "what the first output means; left out: the device finds it"),
    "threshold": ("0.5", "binary, anomaly: the decision; detection(_head): the least score that counts; mask"),
    "tolerance": ("0.05", "when a window agrees: regression, embedding, raw, detection(_head), mask"),
    "name": ('"scores"', "the output to judge; left out: the first"),
    "boxes": ('"boxes"', "detection(_head) with separate outputs: the one with the boxes"),
    "scores": ('"scores"', "detection(_head) with separate outputs: the one with the scores"),
    "classes": ('"classes"', "detection with separate outputs: the one with the classes"),
    "blank": ("", "sequence: the symbol that stands for none; negative: counted from the end"),
    "alphabet": ('"abc"', "sequence: the characters of the other symbols, to compare with labels"),
    "head": ('{ layout = "yolov8" }', "detection_head: how it is laid out; left out: the device finds it"),
}
_RECIPE = {
    "method": ("", "auto, static, dynamic or uniform; a named one is the only one that is tried"),
    "calibration": ("", "ranges of static: auto, minmax, percentile, mse or entropy"),
    "calibration_windows": ("", "windows that ranges come from"),
    "search_windows": ("", "windows that candidates are chosen by"),
    "heldout_windows": ("", "windows that the verdict is about"),
    "search_budget_s": ("", "seconds; 0: the larger of a minute and 40 float passes, at most 15 minutes"),
    "threads": ("", "thread counts that may be served with; which is best is measured"),
    "io": ("", "float, or int8: a static .tflite takes and gives integers"),
    "counting": ("", "which values of large activations are counted: auto, exact or sampled"),
    "prefer": ("", "which gain over float counts most: speed, size, memory or balanced"),
}
_GATES = {
    "min_agreement": ("0.95", "proved share of windows in which int8 decides as float; 0: no gate"),
    "max_accuracy_drop": ("0.03", "with labels: proved share that int8 may get wrong more often"),
    "min_sqnr_db": ("10", "regression, embedding, raw: int8's error is that far below the signal"),
    "max_latency_ratio": ("", "int8's median latency on the device, of float's; 0: no gate"),
    "max_size_ratio": ("", "the int8 file, of the float file"),
    "max_memory_ratio": ("0.8", "what int8 may keep of the memory that float keeps; 0: no gate"),
    "max_peak_rss_bytes": ("", "memory of a process that serves int8; 0: no gate"),
    "min_class_recall": ("0.8", "share of each class's windows that int8 still gives that class; 0: no gate"),
    "min_gain": ("", "int8 gains so much over float on one of them at least; 0: that one does not count"),
    "latency_margin": ("0.02", "not slower: within this part of max_latency_ratio; a written limit is exact"),
}
_STATE = {
    "input": ('"h_in"', "an input that takes what an output gave at the call before"),
    "output": ('"h_out"', "that output"),
    "initial": ("", "what the input takes at first"),
    "reset": ("", "when it begins anew: recording (also after a gap), or never"),
}
SECTIONS: tuple[tuple[type[msgspec.Struct], Mapping[str, tuple[str, str]]], ...] = (
    (Output, _OUTPUT), (Recipe, _RECIPE), (Gates, _GATES), (State, _STATE),
)  # fmt: skip
"""Struct → key → what to write where it has no default that TOML could say, and the meaning."""


@dataclass(frozen=True, slots=True)
class Feed:
    """How windows may become an input: what the shape suggests."""

    size: int
    hop: int
    channels: int
    steps: str = ""
    frame: tuple[int, int] | None = None
    note: str = ""


def model_name(stem: str) -> str:
    """A name for a model that its file's name suggests."""
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:63] or "model"


def draft(file: str, name: str, signature: ModelTensors | None) -> str:
    """The manifest's text; ``signature`` None: the file could not be read here."""
    inputs = signature.inputs if signature else ()
    states = carried(signature) if signature else {}
    lines = [
        f"# Draft of a manifest for {file}.",
        *(f"# {side}: {_said(tensor)}" for side, tensor in _tensors(signature)),
        "# Fill in source (and channels); what stands behind # is the default or an example. More: docs/manifest.md",
        "",
        _line(f'name = "{name}"', "topics and folders have it: small letters, digits, _ and -"),
        _line("# version = 1", "left out: one more than the highest that is known"),
        "",
    ]
    fed = [tensor for tensor in inputs if tensor.name not in states]
    if len(fed) > 1 or states:
        feeds = {tensor.name: feed_of(tensor.shape) for tensor in fed}
        first = next(iter(feeds.values()), None)
        for tensor in fed:
            alike = first and (feeds[tensor.name].size, feeds[tensor.name].frame) == (first.size, first.frame)
            lines += ["[[inputs]]", f"name = {json.dumps(tensor.name)}"]
            constant = _line("constant = 0.0", "fill in, or feed it from a source")
            lines += [*(_fed(feeds[tensor.name]) if alike else [constant]), ""]
    else:
        lines += ["[input]", *_fed(feed_of(fed[0].shape if fed else None)), *_optional(_INPUT, {}), ""]
    lines += ["[output]", *_optional(_OUTPUT | _guessed(signature), _defaults(Output)), ""]
    lines += [*_several(signature, set(states.values())), ""]
    lines += ["[recipe]", *_optional(_RECIPE, _defaults(Recipe)), ""]
    lines += ["[gates]", *_optional(_GATES, _defaults(Gates)), ""]
    for entry, exit_ in states.items():
        lines += ["[[state]]", f"input = {json.dumps(entry)}", f"output = {json.dumps(exit_)}", ""]
    if not states:
        lines += ["# [[state]]", *_optional(_STATE, _defaults(State)), ""]
    lines += ["# [eval]", _line('# file = "labelled.npz"', "a labelled set that travels with the model")]
    return "\n".join(lines) + "\n"


def feed_of(shape: Shape | None) -> Feed:
    """What a window for an input of ``shape`` may look like; sizes that the file leaves open are examples."""
    sizes = list(shape or ())
    if sizes and sizes[0] in (None, 1):
        sizes = sizes[1:]
    match sizes:
        case [int(samples)]:
            step = f'{{ op = "reshape", shape = [{samples}] }}'
            return Feed(samples, _half(samples), 1, step, note=f"{samples} values: samples of one channel?")
        case [int(first), int(second)] if first >= second:
            return Feed(first, _half(first), second)
        case [int(first), int(second)]:
            return Feed(second, _half(second), first, '{ op = "transpose", axes = [1, 0] }')
        case [int(height), int(width), int(colours)] if colours in _COLOURS:
            return Feed(1, 15, colours, frame=(height, width), note="a picture?")
        case [int(colours), int(height), int(width)] if colours in _COLOURS:
            step = '{ op = "transpose", axes = [0, 3, 1, 2] }'
            return Feed(1, 15, colours, step, frame=(height, width), note="a picture?")
    return Feed(100, 50, 0, note="the shape does not tell: correct it")


def kind_of(signature: ModelTensors) -> tuple[OutputKind, str] | None:
    """The kind that the outputs' shapes suggest, and why; None: they suggest nothing."""
    shapes = [_inner(tensor.shape) for tensor in signature.outputs if tensor.shape is not None]
    if len(shapes) > 1:
        corners = any(shape and shape[-1] == _CORNERS for shape in shapes)
        return ("detection", "several outputs, one with four corners") if corners else None
    if not shapes:
        return None
    guess: tuple[OutputKind, str] | None = None
    match shapes[0]:
        case same if same and len(same) > 1 and same in [_inner(tensor.shape or ()) for tensor in signature.inputs]:
            guess = "raw", "the shape of an input"
        case () | (1,):
            guess = "binary", "one value: or regression, or anomaly"
        case (int(count),) if count <= _MOST_CLASSES:
            guess = "classes", f"{count} values: or regression, or embedding"
        case (int(_),):
            guess = "embedding", "a long vector"
        case (int(rows), int(columns)) if _is_head(rows, columns):
            guess = "detection_head", "cells of the strides 8, 16 and 32, each with a box and scores"
        case (_, int(last)) if last == _BOX:
            guess = "detection", "rows of six"
        case (_, _):
            guess = "sequence", "a row of scores for each time"
        case (_, _, *_):
            guess = "mask", "a score for each pixel"
    return guess


def _is_head(rows: int, columns: int) -> bool:
    """Whether one is a number of cells that a detector has, and the other leaves room for a box and a score."""
    few, many = sorted((rows, columns))
    return few > _CORNERS and many >= _FEWEST_CELLS and not many % _CELLS


def carried(signature: ModelTensors) -> dict[str, str]:
    """Input → output of what looks like carried state: more than one input, and an output just like one of them."""
    found: dict[str, str] = {}
    for tensor in signature.inputs[1:] if len(signature.inputs) > 1 else ():
        fits = [
            one.name
            for one in signature.outputs
            if tensor.shape and None not in tensor.shape and len(tensor.shape) > 1
            and (one.shape, one.dtype) == (tensor.shape, tensor.dtype) and one.name not in found.values()
        ]  # fmt: skip
        if fits:
            found[tensor.name] = fits[0]
    return found


def _fed(feed: Feed) -> Iterator[str]:
    yield _line('source = ""', "fill in: a source as host-tools devices lists them")
    count = f"{feed.channels} names" if feed.channels else "names"
    yield _line("channels = []", f"fill in: {count}, in the model's order; left empty: all of the source's")
    meaning = feed.note or "in samples; or { seconds = 2.0, hop_seconds = 1.0 } and rate_hz"
    yield _line(f"window = {{ size = {feed.size}, hop = {feed.hop} }}", meaning)
    yield _line(f"steps = [{feed.steps}]", "from a window [samples, channels] to the input")
    if feed.frame:
        yield f"frame = [{feed.frame[0]}, {feed.frame[1]}]"


def _guessed(signature: ModelTensors | None) -> dict[str, tuple[str, str]]:
    if signature is None or (guess := kind_of(signature)) is None:
        return {}
    return {"kind": (f'"{guess[0]}"', f"a guess by the shape ({guess[1]}); left out: the device finds it")}


def _several(signature: ModelTensors | None, carried_out: Collection[str]) -> Iterator[str]:
    """What stands instead of ``[output]`` where several outputs are judged."""
    yield _line("# [[outputs]]", "several outputs, each by its own kind: a table each, instead of [output]")
    about = "the output that it is about; the rest as in [output]"
    outputs = [one.name for one in signature.outputs if one.name not in carried_out] if signature else []
    if signature is None or len(outputs) == 1 or kind_of(signature) is not None:
        yield _line('# name = "scores"', about)
        return
    for number, name in enumerate(outputs):
        if number:
            yield "# [[outputs]]"
        yield _line(f"# name = {json.dumps(name)}", about)
        if guess := kind_of(signature.alone(name)):
            yield _line(f'# kind = "{guess[0]}"', f"a guess by the shape ({guess[1]})")


def _optional(keys: Mapping[str, tuple[str, str]], defaults: Mapping[str, Any]) -> Iterator[str]:
    for key, (example, meaning) in keys.items():
        value = example or _toml(defaults.get(key))
        yield _line(f"# {key} = {value}" if value else f"# {key} = …", meaning)


def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.default for field in msgspec.structs.fields(kind) if not field.required}


def _toml(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        keys = ", ".join(f"{key} = {_toml(inner)}" for key, inner in msgspec.structs.asdict(value).items())
        return f"{{ {keys} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value) if value is not None else ""


def _line(text: str, meaning: str) -> str:
    return f"{text:<{_WIDTH}}  # {meaning}"


def _tensors(signature: ModelTensors | None) -> Iterator[tuple[str, Tensor]]:
    if signature:
        yield from (("input", tensor) for tensor in signature.inputs)
        yield from (("output", tensor) for tensor in signature.outputs)


def _said(tensor: Tensor) -> str:
    shape = "unknown shape" if tensor.shape is None else "x".join("?" if n is None else str(n) for n in tensor.shape)
    return f"{tensor.name}, {tensor.dtype or 'unknown type'}, {shape or 'a single value'}"


def _inner(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """Without the batch."""
    return tuple(shape[1:] if shape and shape[0] in (None, 1) else shape)


def _half(samples: int) -> int:
    return max(1, samples // 2)
