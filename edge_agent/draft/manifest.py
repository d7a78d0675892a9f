"""Writes a first manifest for a model: the guesses, and every key with its default and meaning. Pure.

What the file does not tell is the operator's to say: ``source`` is empty, and until it is filled in the draft is
refused. A guess stands there with its reason. A kind of output that only the shape suggests stays a comment; left out,
the device finds it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from edge_agent.draft.guess import Guess, Stated, guess
from edge_agent.draft.inputs import Feed
from edge_agent.draft.outputs import KindGuess, kind_of
from edge_agent.draft.toml_text import inline
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.printable import printable
from edge_agent.strict import counted
from edge_agent.wire.manifest import Gates, InputContract, Output, Recipe, State

_WIDTH = 40

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
    "accept": ("", 'what candidates may be made of: int8; with "fp16" 16-bit floats, too'),
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
"""Struct → key → a value for keys without a default in TOML, and the meaning."""


def model_name(stem: str) -> str:
    """A model name derived from the file name."""
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:63] or "model"


def draft(file: str, name: str, signature: ModelTensors | None, guessed: Guess | None = None) -> str:
    """The manifest's text.

    Args:
        file: the model file's name.
        name: of the model.
        signature: of the model; None: the file could not be read here.
        guessed: what is to be written; None: what the signature suggests.
    """
    guessed = guessed or guess(signature)
    todo = "Fill in source (and channels)" if not guessed.source else "Check what is guessed"
    lines = [
        f"# Draft of a manifest for {printable(file)}.",
        *(f"# {side}: {_described(tensor)}" for side, tensor in _tensors(signature)),
        f"# {todo}. A line behind ## is a guess with its reason: check it.",
        "# What stands behind # is a default or an example, and can be used as it stands.",
        "",
        _line(f'name = "{name}"', "topics and folders have it: small letters, digits, _ and -"),
        _line("# version = 1", "left out: one more than the highest that is known"),
        "",
    ]
    reasons = list(guessed.stated())
    for one, contract, reason in zip(guessed.inputs, guessed.contracts, reasons, strict=False):
        lines += ["[[inputs]]" if guessed.named else "[input]", _remark(reason)]
        if guessed.named:
            lines.append(f"name = {inline(contract.name)}")
        if one.feed is None:
            lines += [_line(f"constant = {inline(contract.constant)}", "fill in, or feed it from a source"), ""]
        else:
            lines += [*_fed(guessed, one.feed), *([] if guessed.named else _optional(_unset(contract), {})), ""]
    lines += ["[output]", _remark(reasons[-1]), *_output(guessed.kind), ""]
    lines += [*_several(signature, set(guessed.states.values())), ""]
    lines += ["[recipe]", *_optional(_RECIPE, _defaults(Recipe)), ""]
    lines += ["[gates]", *_optional(_GATES, _defaults(Gates)), ""]
    for (entry, exit_), reason in zip(guessed.states.items(), reasons[len(guessed.inputs) :], strict=False):
        lines += ["[[state]]", _remark(reason), f"input = {inline(entry)}", f"output = {inline(exit_)}", ""]
    if not guessed.states:
        lines += ["# [[state]]", *_optional(_STATE, _defaults(State)), ""]
    lines += ["# [eval]", _line('# file = "labelled.npz"', "a labelled set that travels with the model")]
    return "\n".join(lines) + "\n"


def _fed(guessed: Guess, feed: Feed) -> Iterator[str]:
    if guessed.source:
        yield _line(f"source = {inline(guessed.source)}", "a source of this device's configuration")
    else:
        yield _line('source = ""', "fill in: a source as host-tools devices lists them")
    count = counted(feed.channels, "name") if feed.channels else "names"
    if guessed.channels:
        yield _line(f"channels = {inline(guessed.channels)}", "of the source, in the model's order")
    else:
        yield _line("channels = []", f"fill in: {count}, in the model's order; left empty: all of the source's")
    meaning = "in samples; or { seconds = 2.0, hop_seconds = 1.0 } and rate_hz"
    yield _line(f"window = {{ size = {feed.size}, hop = {feed.hop} }}", meaning)
    yield _line(f"steps = {inline(feed.steps)}", "from a window [samples, channels] to the input")
    if feed.rate_hz:
        yield _line(f"rate_hz = {inline(feed.rate_hz)}", "samples a second; a source of another rate is resampled")
    if feed.frame:
        yield _line(f"frame = {inline(feed.frame)}", "height and width of the source's pictures")


def _remark(reason: Stated) -> str:
    """A guess as a comment."""
    return f"## guessed: {printable(f'{reason.about} is {reason.what}; {reason.why}')}"


def _unset(contract: InputContract) -> dict[str, tuple[str, str]]:
    """The optional keys that are not written yet."""
    return {key: text for key, text in _INPUT.items() if key not in ("rate_hz", "frame") or not getattr(contract, key)}


def _output(kind: KindGuess | None) -> Iterator[str]:
    """The keys of ``[output]``. A kind guessed from the shape alone is written as a comment."""
    if kind is None:
        yield from _optional(_OUTPUT, _defaults(Output))
        return
    written = f"kind = {inline(kind.kind)}"
    yield _line(written if kind.sure else f"# {written}", "what the output means; left out: the device finds it")
    yield from _optional({key: text for key, text in _OUTPUT.items() if key != "kind"}, _defaults(Output))


def _several(signature: ModelTensors | None, carried_out: Collection[str]) -> Iterator[str]:
    """The comment on ``[[outputs]]``, for several judged outputs."""
    yield _line("# [[outputs]]", "several outputs, each by its own kind: a table each, instead of [output]")
    about = "the output that it is about; the rest as in [output]"
    outputs = [one.name for one in signature.outputs if one.name not in carried_out] if signature else []
    if signature is None or len(outputs) == 1 or kind_of(signature) is not None:
        yield _line('# name = "scores"', about)
        return
    for number, name in enumerate(outputs):
        if number:
            yield "# [[outputs]]"
        yield _line(f"# name = {inline(name)}", about)
        if guess_at := kind_of(signature.alone(name)):
            yield _line(f'# kind = "{guess_at.kind}"', f"a guess ({guess_at.why})")


def _optional(keys: Mapping[str, tuple[str, str]], defaults: Mapping[str, Any]) -> Iterator[str]:
    for key, (example, meaning) in keys.items():
        value = example or inline(defaults.get(key))
        yield _line(f"# {key} = {value}" if value else f"# {key} = …", meaning)


def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.default for field in msgspec.structs.fields(kind) if not field.required}


def _line(text: str, meaning: str) -> str:
    return f"{text:<{_WIDTH}}  # {meaning}"


def _tensors(signature: ModelTensors | None) -> Iterator[tuple[str, Tensor]]:
    if signature:
        yield from (("input", tensor) for tensor in signature.inputs)
        yield from (("output", tensor) for tensor in signature.outputs)


def _described(tensor: Tensor) -> str:
    shape = "unknown shape" if tensor.shape is None else "x".join("?" if n is None else str(n) for n in tensor.shape)
    return f"{printable(tensor.name)}, {tensor.dtype or 'unknown type'}, {shape or 'a single value'}"
