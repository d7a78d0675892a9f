"""The files that one stage leaves for the next: their names, their structs, and the functions that read them.

Stages share this module and never import each other.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace as replace_in
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from edge_agent.backends import Array, CandidateSpec, Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.observer import Observer
from edge_agent.errors import StageError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import CHOSEN_FILE
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.manifest import Output

RANGES_FILE = "ranges.json"
HISTOGRAMS_FILE = "histograms.npz"
SECOND_FILE = "second.json"
_ANSWERS_FILE = "search-float.npy"


class Ranges(msgspec.Struct, frozen=True, kw_only=True):
    """``ranges.json``: the results of calibration."""

    windows: int
    runtimes: list[str]
    """The runtimes that work here; calibration ran on the first."""
    float_pass_s: float
    """Seconds that the float model alone takes for the calibration windows."""
    second_pass: list[str]
    """Tensors whose bins were too coarse and were observed again."""
    counted_one_in: int = 1
    """The sampling rate of the common values of large activations. All rare values, and all values of other
    activations, were counted."""
    same_range: dict[str, str] = {}
    """Tensors that were not observed → the tensor whose range holds for them."""
    float_layers: list[str] = []
    """Layers next to tensors that no int8 grid can represent: no candidate rounds their inputs or outputs."""
    ranges: dict[str, dict[str, tuple[float, float]]]
    """Method → tensor → (low, high)."""

    def bounded(self, spec: CandidateSpec) -> CandidateSpec:
        """``spec`` with ``float_layers`` left float, if it rounds activations; otherwise ``spec`` unchanged."""
        if spec.method in ("uniform", "float16") or not self.float_layers:
            return spec
        return replace_in(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *self.float_layers))))

    def of(self, method: str) -> dict[str, Range]:
        """The ranges of one method; empty for a candidate without a method (an empty name)."""
        if not method:
            return {}
        return {name: Range(low, high) for name, (low, high) in self.ranges[method].items()}


def prepared_path(folder: Path, suffix: str) -> Path:
    """The path of the prepared float model in the stage's folder."""
    return folder / f"prepared{suffix}"


def read_ranges(folder: Path) -> Ranges:
    """The ranges that the calibrate stage left in ``folder``."""
    try:
        return msgspec.json.decode((folder / RANGES_FILE).read_bytes(), type=Ranges)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{folder / RANGES_FILE}: {error}") from None


def save_histograms(path: Path, observer: Observer) -> None:
    """Write all histograms; array ``3.counts`` belongs to the tensor ``names[3]``."""
    arrays: dict[str, Any] = {  # numpy 2 takes a bool by name, so arrays alone do not fit its signature
        f"{index}.{key}": array
        for index, histogram in enumerate(observer.histograms.values())
        for key, array in histogram.to_arrays().items()
    }
    np.savez_compressed(path, names=np.array(list(observer.histograms)), **arrays)


def read_extremes(path: Path, tensor: str) -> tuple[float, float] | None:
    """The smallest and the largest value of a tensor; None if no histogram of it was written."""
    if not path.exists():
        return None
    with np.load(path) as kept:
        names: list[str] = kept["names"].tolist()
        if tensor not in names:
            return None
        low, high = kept[f"{names.index(tensor)}.extremes"].tolist()
        return low, high


def read_histograms(path: Path, names: Collection[str] | None = None) -> dict[str, Histogram]:
    """Tensor → its histogram, for the stored tensors among ``names``; ``names`` None: for all stored tensors."""
    if not path.exists():
        return {}
    with np.load(path) as kept:
        wanted = {
            str(place): str(name) for place, name in enumerate(kept["names"]) if names is None or str(name) in names
        }
        parts: dict[str, dict[str, Any]] = {place: {} for place in wanted}
        for key in kept.files:
            place, _, part = key.partition(".")
            if place in parts and part:
                parts[place][part] = kept[key]
        return {wanted[place]: Histogram.from_arrays(arrays) for place, arrays in parts.items()}


def save_answers(folder: Path, outputs: Sequence[Array]) -> None:
    """Write float's answer for each row of the search set, if the calibrate stage has kept the answers."""
    if outputs:
        np.save(folder / _ANSWERS_FILE, np.stack(outputs), allow_pickle=False)


def read_answers(folder: Path) -> Array | None:
    """``[rows, ...]``: float's answer for each row of the search set, on the first runtime; None if not stored.

    Raises:
        StageError: ``stage_crashed``: the file is damaged.
    """
    path = folder / _ANSWERS_FILE
    if not path.exists():
        return None
    try:
        answers: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
    return answers


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """``chosen.json``: the preferred finalist for the held-out set; ``second.json``: the second finalist, if any."""

    number: int
    """The candidate's index among the candidates."""
    spec: CandidateSpec
    record: MeasuredModel
    reference: MeasuredModel
    output: Output
    """The options of the judged output, as resolved on the search set."""
    ratio_lower: float | None
    """The latency ratio's lower bound; the upper bound is in the record."""
    confidence: float = CONFIDENCE
    """The confidence of the proof on the held-out set: 0.975 if two finalists share the set."""
    others: dict[str, Output] = {}
    """The options of each other output, by its name. Another version's file may lack them; then they are resolved
    again."""


def with_refusal(candidates: Sequence[MeasuredModel], number: int, refused: MeasuredModel) -> list[MeasuredModel]:
    """The candidates, with the verdict on the refused one in place of its numbers from the search."""
    return [replace(refused, pareto=one.pareto) if place == number else one for place, one in enumerate(candidates)]


def chosen_path(folder: Path, suffix: str) -> Path:
    """The path of the chosen model in the stage's folder."""
    return folder / f"chosen{suffix}"


def second_path(folder: Path, suffix: str) -> Path:
    """The path of the second finalist's model in the stage's folder."""
    return folder / f"second{suffix}"


def read_chosen(folder: Path) -> Chosen:
    """The chosen candidate that a stage left in ``folder``."""
    return _read(folder / CHOSEN_FILE)


def read_finalists(folder: Path, suffix: str) -> list[tuple[Chosen, Path]]:
    """The one or two finalists that the quantize stage froze in ``folder``, with their files, preferred one first."""
    finalists = [(read_chosen(folder), chosen_path(folder, suffix))]
    if (folder / SECOND_FILE).exists():
        finalists.append((_read(folder / SECOND_FILE), second_path(folder, suffix)))
    return finalists


def _read(path: Path) -> Chosen:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Chosen)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
