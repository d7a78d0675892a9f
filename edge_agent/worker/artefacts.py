"""What one stage leaves for the next: file names, their structs, and how they are read back.

Stages meet here and import each other nowhere.
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
    """``ranges.json``: what calibration found."""

    windows: int
    runtimes: list[str]
    """Those that work here; calibration ran on the first."""
    float_pass_s: float
    """What the float model alone takes for the calibration windows."""
    second_pass: list[str]
    """Tensors whose bins were too coarse and were observed again."""
    counted_one_in: int = 1
    """Of the common values of large activations; the rare ones, and all of others, were counted one by one."""
    same_range: dict[str, str] = {}
    """Tensors that were not looked at → the one whose range holds for them."""
    float_layers: list[str] = []
    """Layers beside tensors that no int8 grid can stand for: no candidate rounds what they read or give."""
    ranges: dict[str, dict[str, tuple[float, float]]]
    """Method → tensor → (low, high)."""

    def bounded(self, spec: CandidateSpec) -> CandidateSpec:
        """``spec`` as it can be built here: with ``float_layers`` left float where it rounds activations."""
        if spec.method in ("uniform", "float16") or not self.float_layers:
            return spec
        return replace_in(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *self.float_layers))))

    def of(self, method: str) -> dict[str, Range]:
        """The ranges of one method; none for a candidate without (an empty name)."""
        if not method:
            return {}
        return {name: Range(low, high) for name, (low, high) in self.ranges[method].items()}


def prepared_path(folder: Path, suffix: str) -> Path:
    """Where the prepared float model lies in the stage's folder."""
    return folder / f"prepared{suffix}"


def read_ranges(folder: Path) -> Ranges:
    """What the calibrate stage left in ``folder``."""
    try:
        return msgspec.json.decode((folder / RANGES_FILE).read_bytes(), type=Ranges)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{folder / RANGES_FILE}: {error}") from None


def save_histograms(path: Path, observer: Observer) -> None:
    """Write every histogram; array ``3.counts`` belongs to the tensor ``names[3]``."""
    arrays: dict[str, Any] = {  # numpy 2 takes a bool by name, so arrays alone do not fit its signature
        f"{index}.{key}": array
        for index, histogram in enumerate(observer.histograms.values())
        for key, array in histogram.to_arrays().items()
    }
    np.savez_compressed(path, names=np.array(list(observer.histograms)), **arrays)


def read_extremes(path: Path, tensor: str) -> tuple[float, float] | None:
    """The smallest and the largest value of a tensor whose histogram was written; None: there is none of it."""
    if not path.exists():
        return None
    with np.load(path) as kept:
        names: list[str] = kept["names"].tolist()
        if tensor not in names:
            return None
        low, high = kept[f"{names.index(tensor)}.extremes"].tolist()
        return low, high


def read_histograms(path: Path, names: Collection[str] | None = None) -> dict[str, Histogram]:
    """Tensor → its histogram, of those named that were written; None: of all."""
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
    """Write what float answers for each row of the search set, where the calibrate stage has kept that."""
    if outputs:
        np.save(folder / _ANSWERS_FILE, np.stack(outputs), allow_pickle=False)


def read_answers(folder: Path) -> Array | None:
    """``[rows, ...]``: what float answers for each row of the search set, on the first of the runtimes; None: not kept.

    Raises:
        StageError: ``stage_crashed``, the file is broken.
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
    """``chosen.json``: the candidate that the held-out set is opened for; ``second.json``: the second one, if any."""

    number: int
    """Its place among the candidates."""
    spec: CandidateSpec
    record: MeasuredModel
    reference: MeasuredModel
    output: Output
    """What the judged output means, as it was found on the search set."""
    ratio_lower: float | None
    """The latency ratio's lower bound; its upper one is in the record."""
    confidence: float = CONFIDENCE
    """Of what the held-out set has to prove: 0.975 where two finalists share it."""
    others: dict[str, Output] = {}
    """The same of each other output, by its name. What another version left may lack it: then it is found again."""


def with_refusal(candidates: Sequence[MeasuredModel], number: int, refused: MeasuredModel) -> list[MeasuredModel]:
    """The candidates, with what the verdict says of the refused one in place of its search numbers."""
    return [replace(refused, pareto=one.pareto) if place == number else one for place, one in enumerate(candidates)]


def chosen_path(folder: Path, suffix: str) -> Path:
    """Where the chosen model lies in the stage's folder."""
    return folder / f"chosen{suffix}"


def second_path(folder: Path, suffix: str) -> Path:
    """Where the second finalist's model lies in the stage's folder."""
    return folder / f"second{suffix}"


def read_chosen(folder: Path) -> Chosen:
    """The chosen candidate that a stage left in ``folder``."""
    return _read(folder / CHOSEN_FILE)


def read_finalists(folder: Path, suffix: str) -> list[tuple[Chosen, Path]]:
    """What the quantize stage froze in ``folder``, with its files, the preferred one first: one or two."""
    finalists = [(read_chosen(folder), chosen_path(folder, suffix))]
    if (folder / SECOND_FILE).exists():
        finalists.append((_read(folder / SECOND_FILE), second_path(folder, suffix)))
    return finalists


def _read(path: Path) -> Chosen:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Chosen)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
