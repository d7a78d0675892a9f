"""Candidates of one float model, each compared with it row by row, for :mod:`bench.judge_error`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench.judge_candidates import candidate_files, class_given, sabotaged_outputs
from bench.judge_rules import Compared
from numpy.typing import NDArray
from support.jobs import make_job, run_stages

from edge_agent.backends import load
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import EdgeAgentError
from edge_agent.jobs.task import Stage, read_task
from edge_agent.quant.agreement import MEANING_WINDOWS, Judge, resolve_kind
from edge_agent.quant.kinds.kind import row
from edge_agent.wire.manifest import Output
from edge_agent.worker.artefacts import prepared_path, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset

Arrays = dict[str, NDArray[Any]]
SOUND = 0.99
"""An int8 that agrees so often lends its rounding to sabotage."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A float model with its rows."""

    name: str
    model: Path
    calibration: Arrays
    rows: Arrays
    output: Output


def compared(subject: Subject, folder: Path) -> Iterator[tuple[str, Compared]]:
    """(name, comparison with float) of each candidate; those that no runtime runs are left out."""
    job_dir = make_job(folder, subject.model, subject.calibration, subject.rows, output=subject.output)
    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)
    if outcome.code:
        raise SystemExit(f"{subject.name}: {outcome.code}: {outcome.message}")
    task, built = read_task(job_dir), folder / "built"
    built.mkdir()
    backend = load(task.format)
    context = Context(job_dir, folder, task, Stage.VALIDATE, lambda *_: None)
    info = backend.inspect(context.model_path)
    ranges = read_ranges(context.folder(Stage.CALIBRATE))
    data, taken = open_dataset(context, info), ScoredOutput(info, task)

    def run(path: Path) -> NDArray[Any]:
        session = backend.open(path, runtime=ranges.runtimes[0])
        return np.stack([taken(row.feeds, session.run(row.feeds)) for row in data.rows("heldout")])

    wanted = run(context.model_path)
    labels = subject.rows.get("labels")
    meaning = resolve_kind(task.output, list(wanted[:MEANING_WINDOWS]), None if labels is None else list(labels))
    judge = Judge.having_seen(meaning, wanted)
    groups = np.unique(subject.rows["groups"], return_inverse=True)[1] if "groups" in subject.rows else None
    against = partial(_against, judge, wanted, labels, groups)
    feeds = [row.feeds for row in data.rows("calibration")]
    prepared = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
    rounding: NDArray[Any] = wanted
    closest = 0.0
    for name, path in candidate_files(backend, prepared, ranges, built, feeds):
        try:
            got = run(path)
        except EdgeAgentError as error:
            print(f"{subject.name}: {name}: left out, {error.message}", file=sys.stderr)
            continue
        found = against(got)
        yield name, found
        if name.startswith("static") and found.agreed.mean() > max(closest, SOUND):
            closest = float(found.agreed.mean())
            rounding = np.where(found.agreed.reshape(-1, *[1] * (got.ndim - 1)), got, wanted)
    for name, got in sabotaged_outputs(judge, wanted, rounding, groups):
        yield name, against(got)


def _against(
    judge: Judge, wanted: NDArray[Any], labels: NDArray[Any] | None, groups: NDArray[np.intp] | None, got: NDArray[Any]
) -> Compared:
    """One candidate's outputs against float's."""
    pairs = list(zip(wanted, got, strict=True))
    given = [class_given(judge, one) for one, _ in pairs]
    boxes = [judge.counts_by_class(one, two) for one, two in pairs]
    right = None
    if labels is not None:
        found = [
            (judge.correct(one, label), judge.correct(two, label))
            for (one, two), label in zip(pairs, labels, strict=True)
        ]
        right = None if found[0][0] is None else np.array(found, bool)
    energies = np.array([_energies(judge, one, two) for one, two in pairs])
    return Compared(
        kind=judge.meaning.kind,
        agreed=np.array([judge.agrees(one, two) for one, two in pairs]),
        nearness=np.array([judge.nearness(one, two) for one, two in pairs]),
        cosines=np.array([_cosine(one, two) for one, two in pairs]),
        errors=energies[:, 0],
        signals=energies[:, 1],
        classes=None if all(one is None for one in given) else np.array([-1 if one is None else one for one in given]),
        boxes=None if boxes[0] is None else [one or {} for one in boxes],
        correct=right,
        groups=groups,
    )


def _energies(judge: Judge, wanted: NDArray[Any], got: NDArray[Any]) -> tuple[list[float], list[float]]:
    """(error, signal), each summed over every group of channels that is judged."""
    parts = [group for group in judge.groups if group.judged]
    values = row(wanted).astype(np.float64), row(got).astype(np.float64)
    taken = [tuple(group.take(one) for one in values) for group in parts] if parts else [values]
    return [float(((one - two) ** 2).sum()) for one, two in taken], [float((one**2).sum()) for one, _ in taken]


def _cosine(reference: NDArray[Any], target: NDArray[Any]) -> float:
    wanted, got = reference.ravel().astype(np.float64), target.ravel().astype(np.float64)
    lengths = float(np.linalg.norm(wanted) * np.linalg.norm(got))
    return float(wanted @ got) / lengths if lengths else float(not wanted.any() and not got.any())
