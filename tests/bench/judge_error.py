"""The judge judged: how often the verdict errs on real models, beside other rules.

    python tests/bench/judge_error.py [DIR] [--only a,b] [--draws 200] [--windows 300]

On the demo's model and recordings, and on every ``NAME-float.onnx`` or ``.tflite`` of DIR with ``NAME-calibration.npz``
and ``NAME-heldout.npz`` (and ``NAME-recipe.toml`` where the output's kind must be said), as ``zoo.py`` takes them. A
model needs three times as many held-out rows as windows are drawn, best thousands; array ``groups``: the recordings.

Each candidate (:mod:`bench.judge_candidates`) runs over all rows once. Then seeded draws of held-out windows,
independent, in stretches as a device captures them, and of few recordings, are judged by every rule
(:mod:`bench.judge_draws`). Prints tables, asserts nothing. Not measured yet: latency, float against a copy of itself
and against one 5 % slower. The demo's recordings are short, so its windows overlap by a half, which a device's do not.
"""

import argparse
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.judge_candidates import candidate_files, sabotaged_outputs  # noqa: E402  # after the path above
from bench.judge_draws import (  # noqa: E402
    RULES,
    Compared,
    Draw,
    Tally,
    covered,
    independent_draws,
    recording_draws,
    stretch_draws,
)
from support.demo import MANIFEST, MODEL, read_recording  # noqa: E402
from support.jobs import make_job, run_stages  # noqa: E402

from edge_agent.backends import load  # noqa: E402
from edge_agent.contract.scored_output import ScoredOutput  # noqa: E402
from edge_agent.errors import EdgeAgentError  # noqa: E402
from edge_agent.jobs.task import Stage, read_task  # noqa: E402
from edge_agent.preprocess import Preprocess  # noqa: E402
from edge_agent.quant.agreement import Judge, resolve_kind  # noqa: E402
from edge_agent.quant.kinds.raw import relative_rms  # noqa: E402
from edge_agent.wire.manifest import Output  # noqa: E402
from edge_agent.worker.artefacts import prepared_path, read_ranges  # noqa: E402
from edge_agent.worker.context import Context  # noqa: E402
from edge_agent.worker.data.dataset import open_dataset  # noqa: E402
from host_tools.push.manifest_file import read_manifest_file  # noqa: E402

Arrays = dict[str, NDArray[Any]]
MEANING_ROWS = 64
ENOUGH = 3
"""Times as many rows as windows are drawn, or the others tell no truth."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A float model with its rows."""

    name: str
    model: Path
    calibration: Arrays
    rows: Arrays
    output: Output


def independent(rows: int, groups: NDArray[np.intp] | None, windows: int, count: int) -> Iterator[Draw]:
    """Draws of rows that have nothing to do with each other."""
    return independent_draws(rows, windows, count, 0) if rows >= ENOUGH * windows else iter(())


def in_stretches(rows: int, groups: NDArray[np.intp] | None, windows: int, count: int) -> Iterator[Draw]:
    """Draws as a device captures them; none where recordings are not known."""
    enough = groups is not None and rows >= ENOUGH * windows
    return stretch_draws(groups, windows, count, 0) if enough and groups is not None else iter(())


def by_recording(rows: int, groups: NDArray[np.intp] | None, windows: int, count: int) -> Iterator[Draw]:
    """Draws of a few whole recordings; none where they are not known."""
    enough = groups is not None and rows >= ENOUGH * windows
    return recording_draws(groups, windows, count, 0) if enough and groups is not None else iter(())


DRAWS = {"independent": independent, "in 12 stretches": in_stretches, "by recording": by_recording}


def demo() -> Subject:
    """The demo's classifier on the recordings of three people whom it has not seen."""
    contract = read_manifest_file(MANIFEST).inputs[0]
    preprocess, size, hop = Preprocess(contract), 100, 50
    recording = read_recording()
    cut = [
        (part[start : start + size], label, number)
        for number, (part, label) in enumerate(recording.parts)
        for start in range(0, len(part) - size + 1, hop)
    ]
    values = np.stack([preprocess(window) for window, _, _ in cut]).astype(np.float32)
    labels, groups = (np.array([one[place] for one in cut]) for place in (1, 2))
    first = groups < 7  # each seven recordings hold every exercise once
    name = load("onnx").inspect(MODEL).inputs[0].name
    rows: Arrays = {name: values[~first], "labels": labels[~first], "groups": groups[~first]}
    return Subject("demo", MODEL, {name: values[first]}, rows, Output(kind="classes"))


def of_folder(folder: Path) -> Iterator[Subject]:
    """The models of a directory."""
    for model in sorted(folder.glob("*-float.*")):
        name = model.stem.removesuffix("-float")
        recipe = folder / f"{name}-recipe.toml"
        said = tomllib.loads(recipe.read_text(encoding="utf-8")) if recipe.exists() else {}
        output = msgspec.convert(said.get("output", {}), Output)
        sets = [dict(np.load(folder / f"{name}-{which}.npz")) for which in ("calibration", "heldout")]
        yield Subject(name, model, sets[0], sets[1], output)


def compared(subject: Subject, folder: Path) -> Iterator[tuple[str, Compared]]:
    """(name, comparison with float) of each candidate."""
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
    rows = list(open_dataset(context, info).rows("heldout"))
    taken = ScoredOutput(info, task)

    def run(path: Path) -> NDArray[Any]:
        session = backend.open(path, runtime=ranges.runtimes[0])
        return np.stack([taken(row.feeds, session.run(row.feeds)) for row in rows])

    wanted = run(context.model_path)
    labels = subject.rows.get("labels")
    meaning = resolve_kind(task.output, list(wanted[:MEANING_ROWS]), None if labels is None else list(labels))
    judge = Judge(meaning)
    for one in wanted:
        judge.observe(one)
    groups = np.unique(subject.rows["groups"], return_inverse=True)[1] if "groups" in subject.rows else None
    against = partial(_against, judge, wanted, labels, groups)
    prepared = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
    for name, path in candidate_files(backend, prepared, ranges, built):
        try:
            got = run(path)
        except EdgeAgentError as error:
            print(f"{subject.name}: {name}: left out, {error.message}", file=sys.stderr)
            continue
        yield name, against(got)
    for name, got in sabotaged_outputs(wanted, groups):
        yield name, against(got)


def _against(
    judge: Judge, wanted: NDArray[Any], labels: NDArray[Any] | None, groups: NDArray[np.intp] | None, got: NDArray[Any]
) -> Compared:
    """One candidate's outputs against float's."""
    flat, other = (values.reshape(len(values), -1).astype(np.float64) for values in (wanted, got))
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(other, axis=1)
    right = None
    if labels is not None:
        pairs = [
            (judge.correct(one, label), judge.correct(two, label))
            for one, two, label in zip(wanted, got, labels, strict=True)
        ]
        right = None if pairs[0][0] is None else np.array(pairs, bool)
    return Compared(
        kind=judge.meaning.kind,
        agreed=np.array([judge.agrees(one, two) for one, two in zip(wanted, got, strict=True)]),
        differences=np.array([relative_rms(one, two) for one, two in zip(wanted, got, strict=True)]),
        cosines=(flat * other).sum(axis=1) / np.where(lengths > 0, lengths, 1.0),
        errors=((flat - other) ** 2).sum(axis=1),
        signals=(flat**2).sum(axis=1),
        correct=right,
        groups=groups,
    )


def main() -> None:
    """Judge the judge on each model and print what was counted."""
    parser = argparse.ArgumentParser(description="How often the verdict errs.")
    parser.add_argument("folder", nargs="?", type=Path, help="models as for zoo.py")
    parser.add_argument("--only", default="", help="these models, with commas between")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--windows", type=int, default=300)
    options = parser.parse_args()
    subjects = [demo(), *(of_folder(options.folder) if options.folder else ())]
    only = set(filter(None, options.only.split(",")))
    print("| model | draws | rule | false accepts | false refusals |", "|---|---|---|---|---|", sep="\n")
    bounds = []
    for subject in subjects:
        if only and subject.name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = dict(compared(subject, Path(folder)))
        bounds += _judged(subject.name, found, options.draws, options.windows)
    print("\n| model | draws | lower bound of the agreement holds |", "|---|---|---|", *bounds, sep="\n")


def _judged(name: str, found: dict[str, Compared], count: int, windows: int) -> list[str]:
    """Print the rows of one model; returns those of the table of bounds."""
    bounds = []
    for how, draw in DRAWS.items():
        tallies: dict[str, Tally] = defaultdict(Tally)
        held = judged = 0
        for one in found.values():
            draws = draw(len(one.agreed), one.groups, windows, count)
            for drawn in draws:
                judged += 1
                held += covered(one, drawn)
                truth = one.truth(drawn)
                for rule_name, rule in RULES.items():
                    if (accepts := rule(one, drawn)) is not None:
                        tallies[rule_name].count(accepts=accepts, truth=truth)
        for rule_name, tally in tallies.items():
            print(f"| {name} | {how} | {rule_name} | {_share(tally.accepted_bad, tally.bad)} "
                  f"| {_share(tally.refused_good, tally.good)} |", flush=True)  # fmt: skip
        if judged:
            bounds.append(f"| {name} | {how} | {_share(held, judged)} |")
    return bounds


def _share(count: int, of: int) -> str:
    return f"{count} of {of} ({count / of:.1%})" if of else "-"


if __name__ == "__main__":
    main()
