"""The calibrate stage: one pass of the float model over the calibration set, which yields every range.

Before this pass, float runs on the calibration and search rows (:mod:`edge_agent.worker.search.float_answers`).
Exchangeable rows of an ``.npz`` are then divided again, so that both sets hold the rare regimes.

The stage leaves ``prepared.<format>`` (the model in the form that tap and rewrite need, proved equal to the original),
``histograms.npz``, ``ranges.json`` with the ranges of every method that the recipe may try, and ``seen.json``. It also
leaves float's answers for the search set if they are small. Memory does not grow with the number of windows: batch 1,
fixed-size histograms and, under a memory limit, only as many activations at a time as fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from edge_agent.backends import Array, Backend, ModelInfo, Range, load
from edge_agent.calibration.observer import Observer
from edge_agent.calibration.stability import TOLERANCE
from edge_agent.jobs.data_summary import MovedRanges
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.process.heap import give_back, trimmed_heap
from edge_agent.worker.artefacts import (
    HISTOGRAMS_FILE,
    RANGES_FILE,
    Ranges,
    prepared_path,
    save_answers,
    save_histograms,
)
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.data.division import write_division
from edge_agent.worker.data.finding import Finding, with_more_findings
from edge_agent.worker.data.prepared_proof import prove_prepared
from edge_agent.worker.data.seen import Seen, write_seen
from edge_agent.worker.data.tapping import tapped
from edge_agent.worker.data.tensor_groups import TensorGroups
from edge_agent.worker.data.watched import Watched
from edge_agent.worker.measure.runtimes import that_load, usable
from edge_agent.worker.pace import Pace
from edge_agent.worker.quality.beyond import InputReach
from edge_agent.worker.quality.class_coverage import one_class
from edge_agent.worker.search.bound_layers import blame_ends, bound_to_float, told_of
from edge_agent.worker.search.float_answers import POOL, ask_float
from edge_agent.worker.search.policy import range_methods

_COUNTED_AT_MOST = 2**29
"""Values over all windows: two or three seconds of counting on a server, half a minute on a small board."""
_ONE_IN = 32
"""The sampling rate of common values. A higher one saves nothing: finding the rare values dominates then."""
_SETTLES = "percentile"
"""The method whose ranges show how far the ranges moved: it is cheap, and no single value dominates it."""


def run(context: Context) -> Outcome:
    """Prepare, observe, find ranges.

    Raises:
        ModelError: the model cannot be read, prepared or tapped, or ``prepare_mismatch``.
        ContractError: the data do not fit the model.
        Refusal: ``non_finite`` if an input or output of the model holds NaN or Inf.
    """
    backend = load(context.task.format)
    info = backend.inspect(context.model_path)
    data = open_dataset(context, info)
    prepared = prepared_path(context.out_dir, backend.SUFFIX)
    runtimes, left_out = usable(backend)
    runtimes, lacking = that_load(backend, context.model_path, info, runtimes)
    notes = [*info.notes, *left_out, *lacking]
    context.progress(0.0, "preparing the model", force=True)
    backend.prepare(context.model_path, prepared)
    give_back()
    data, seen, findings = _divided(context, backend, info, data, runtimes[0])
    reach = InputReach(info, data.channels, data.count("calibration"))
    watched = Watched(data, "calibration", lambda row: reach.add(row.feeds))
    calibration = _Calibration(context, backend, prepared, watched, info, runtimes[0])
    window_s = prove_prepared(backend, (context.model_path, prepared), watched, info, context.task.state, runtimes[0])
    methods = range_methods(context.task.recipe)
    names, same_range = _wanted(backend, prepared, runtimes[0]) if methods else ((), {})
    one_in = calibration.one_in(names, context.task.recipe.counting)
    observer = Observer(names, one_in)
    calibration.observe(observer, names, begin=0.05, end=0.7)
    context.progress(0.7, "finding ranges", force=True)
    unfit = observer.unfit()
    blame_ends(unfit, info)
    unfit |= {name: unfit[other] for name, other in same_range.items() if other in unfit}
    bound = bound_to_float(backend, prepared, unfit)
    ranges = observer.ranges([name for name in names if name not in unfit], methods, symmetric=False)
    coarse = observer.too_coarse(ranges)
    for name, wide in coarse.items():
        observer.second_pass(name, wide.low, wide.high)
    if coarse:
        calibration.observe(observer, list(coarse), begin=0.75, end=0.95)
        for method, closer in observer.ranges(coarse, methods, symmetric=False).items():
            ranges[method] |= closer
    for found_ranges in ranges.values():
        found_ranges |= {name: found_ranges[other] for name, other in same_range.items() if other not in unfit}
    windows = data.count("calibration")
    found = Ranges(
        windows=windows,
        runtimes=runtimes,
        float_pass_s=window_s * windows,
        second_pass=sorted(coarse),
        counted_one_in=one_in,
        same_range=dict(same_range),
        float_layers=list(bound),
        ranges={method: {name: astuple(one) for name, one in all_of.items()} for method, all_of in ranges.items()},
    )
    save_histograms(context.out_dir / HISTOGRAMS_FILE, observer)
    (context.out_dir / RANGES_FILE).write_bytes(msgspec.json.encode(found))
    write_seen(context.out_dir, replace(seen, inputs=reach.found() if methods else {}))
    before = read_result(context.job_dir)
    more = (
        "; give more calibration rows" if context.task.arrays else f"; set [recipe] calibration_windows = {2 * windows}"
    )
    reported = replace(
        before.data,
        warnings=[*before.data.warnings, *notes, *told_of(bound)],
        enough=replace(before.data.enough, activations=_moved(observer, calibration.early, more)),
    )
    reported = with_more_findings(reported, findings)
    return Outcome(results=replace(before, data=reported))


def _divided(
    context: Context, backend: Backend, info: ModelInfo, data: DataSet, runtime: str
) -> tuple[DataSet, Seen, list[Finding]]:
    """The data set, divided so that both sets hold each regime; the classes that float predicts; and findings."""
    windows = sum(data.count(split) for split in POOL)
    pace = Pace(context, "running float, window", windows, begin=0.0, end=0.04, timed=False)
    answers = ask_float(backend.open(context.model_path, runtime=runtime), info, data, context.task, pace)
    division = answers.division(context.task.seed)
    if division is not None:
        write_division(context.out_dir, division)
        data = open_dataset(context, info, division)
    save_answers(context.out_dir, answers.of_search(division))
    counts = answers.counts(division)
    findings = one_class(counts, rows=context.task.arrays is not None) if answers.one_each else []
    return data, Seen(classes=counts), findings


def _wanted(backend: Backend, prepared: Path, runtime: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """The tensors to observe, and the other tensors that share the range of one of these."""
    tap = backend.tap(prepared, runtime=runtime)
    return [name for name in tap.names if name not in tap.same_range], tap.same_range


def _moved(observer: Observer, early: Mapping[str, Range], more: str) -> MovedRanges | None:
    """How far the last third of the windows moved the ranges of activations; names the tensor that moved most.

    ``more``: the clause that tells the user how to get more windows.

    For inputs, which are known while the capture can still be extended, :mod:`edge_agent.calibration.stability` gives a
    finer analysis. Its data, kept for every activation, would not fit into the memory of small devices.
    """
    late = observer.ranges(early, (_SETTLES,), symmetric=False)[_SETTLES]
    widths = {name: (early[name].high - early[name].low, one.high - one.low) for name, one in late.items()}
    moves = {name: abs(after / before - 1) for name, (before, after) in widths.items()}
    if not moves:
        return None
    most = max(moves, key=lambda name: moves[name])
    few = sum(move > TOLERANCE for move in moves.values())
    return MovedRanges(
        moved=moves[most],
        tensor=most,
        tensors_moved=few,
        message=f"with the last third of the windows the range of {most!r} moved by {moves[most]:.0%}, and those of "
        f"{few} of {len(moves)} activations by more than {TOLERANCE:.0%}{more if few else ''}",
    )


class _Calibration:
    """Runs the float model over the calibration set."""

    def __init__(
        self, context: Context, backend: Backend, prepared: Path, data: DataSet, info: ModelInfo, runtime: str
    ) -> None:
        self._runtime = runtime
        self._context = context
        self._backend = backend
        self._prepared = prepared
        self._data = data
        self._info = info
        self._groups = TensorGroups(self._tapped, context.task.memory_bytes)
        self.early: dict[str, Range] = {}
        """The ranges after two thirds of the first pass."""

    def observe(self, observer: Observer, names: Sequence[str], *, begin: float, end: float) -> None:
        """One pass over the calibration set for the tensors ``names``, in as many groups as memory requires."""
        if not names:
            return
        first = not self.early
        groups = self._groups.groups(names)
        windows = self._data.count("calibration")
        pace = Pace(self._context, "calibrating, windows", windows * len(groups), begin=begin, end=end)
        largest = max(map(self._groups.measure, groups))
        with trimmed_heap(largest) as trim:
            for number, group in enumerate(groups):
                for done, values in enumerate(self._tapped(group), start=1):
                    for name, value in values:
                        observer.add(name, value)
                    if done == windows * 2 // 3 and first:
                        self.early |= observer.ranges(group, (_SETTLES,), symmetric=False)[_SETTLES]
                    trim()
                    pace(number * windows + done)

    def _tapped(self, names: Sequence[str]) -> Iterator[Iterator[tuple[str, Array]]]:
        where = self._backend, self._prepared, self._info, self._data
        return tapped(*where, "calibration", self._context.task, names, runtime=self._runtime)

    def one_in(self, names: Sequence[str], counting: str) -> int:
        """Of how many common values one is counted, as the recipe says and the size of the first window's shows."""
        size = self._groups.measure(names)
        values = size / np.dtype(np.float32).itemsize * self._data.count("calibration")
        sampled = counting == "sampled" or (counting == "auto" and values > _COUNTED_AT_MOST)
        return _ONE_IN if sampled else 1
