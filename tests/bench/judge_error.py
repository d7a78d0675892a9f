"""The judge judged: how often the verdict errs on real models, beside other rules.

    python tests/bench/judge_error.py [DIR] [--only a,b] [--draws 200] [--windows 300]

On the demo's model and recordings, and on every model of DIR: ``NAME-float.onnx`` or ``.tflite`` with
``NAME-calibration.npz`` and ``NAME-heldout.npz`` (and ``NAME-recipe.toml`` where the output's kind must be said), as
``zoo.py`` takes them and ``real_models.py`` makes them. A model needs three times as many held-out rows as windows are
drawn, best thousands; array ``groups``: the recordings.

Each candidate (:mod:`bench.judge_candidates`) runs over all rows once. Then seeded draws of held-out windows,
independent, in stretches as a device captures them, and of few recordings, are judged by every rule
(:mod:`bench.judge_draws`). Prints tables, asserts nothing; ``judge_latency.py`` does the same for the gate of latency.
The demo's recordings are short, so its windows overlap by a half, which a device's do not.
"""

import argparse
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.judge_candidates import IN_FEW  # noqa: E402  # after the path above
from bench.judge_compare import Arrays, Subject, compared  # noqa: E402  # after the path above
from bench.judge_draws import Draw, independent_draws, recording_draws, stretch_draws  # noqa: E402
from bench.judge_rules import GOOD, RULES, Compared, Seen, Tally  # noqa: E402
from support.demo import MANIFEST, MODEL, read_recording  # noqa: E402

from edge_agent.backends import load  # noqa: E402
from edge_agent.preprocess import Preprocess  # noqa: E402
from edge_agent.quant.limits import MIN_AGREEMENT  # noqa: E402
from edge_agent.wire.manifest import Output  # noqa: E402
from host_tools.push.manifest_file import read_manifest_file  # noqa: E402

SPREAD, WHOLE = "here and there", "in whole recordings"
ENOUGH = 3
"""Times as many rows as windows are drawn, or the others tell no truth."""


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


@dataclass(slots=True)
class Counted:
    """What was counted of one model under one way of drawing."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    draws: int = 0
    covered: int = 0
    effective: list[float] = field(default_factory=list)

    def add(self, one: Compared, drawn: Draw) -> None:
        """Judge one draw of one candidate by every rule."""
        seen = Seen(one, drawn)
        self.draws += 1
        self.covered += seen.lower <= seen.truth
        self.effective.append(len(drawn.rows) / seen.effect)
        for name, rule in RULES.items():
            self.tallies[name].count(rule(seen), truth=seen.truth)


def counted(found: Mapping[str, Compared], count: int, windows: int) -> dict[tuple[str, str], Counted]:
    """(way of drawing, size of the trouble) → what was counted over all candidates."""
    kept: dict[tuple[str, str], Counted] = defaultdict(Counted)
    for name, one in found.items():
        trouble = WHOLE if name.endswith(IN_FEW) else SPREAD
        for how, draw in DRAWS.items():
            for drawn in draw(len(one.agreed), one.groups, windows, count):
                kept[how, trouble].add(one, drawn)
    return kept


def tables(models: Mapping[str, Mapping[tuple[str, str], Counted]]) -> Iterator[str]:
    """Lines of the tables: each rule over all models, and the verdict on each model."""
    rules: dict[tuple[str, str], dict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))
    for parts in models.values():
        for place, part in parts.items():
            for rule, tally in part.tallies.items():
                rules[place][rule] += tally
    yield "False accepts, then false refusals:"
    yield ""
    yield f"| windows | int8 fails | draws, bad and good | {' | '.join(RULES)} | good, refused for something else |"
    yield f"|---|---|--:|{'--:|' * len(RULES)}---|"
    for place, tallies in rules.items():
        ours = tallies["edge-agent"]
        errors = [_errors(tallies[rule]) for rule in RULES]
        others = ", ".join(f"`{code}` {_percent(times, ours.good)}" for code, times in ours.others.items())
        yield f"| {' | '.join((*place, f'{ours.bad}, {ours.good}', *errors, others))} |"
    yield ""
    yield "| model | windows | int8 fails | draws, bad and good | errors | bound holds | windows count as, median |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for name, parts in models.items():
        for place, part in parts.items():
            tally = part.tallies["edge-agent"]
            found = (f"{tally.bad}, {tally.good}", _errors(tally), _percent(part.covered, part.draws))
            yield f"| {' | '.join((name, *place, *found, f'{median(part.effective):.0f}'))} |"


def main() -> None:
    """Judge the judge on each model and print what was counted."""
    parser = argparse.ArgumentParser(description="How often the verdict errs.")
    parser.add_argument("folder", nargs="?", type=Path, help="models as for zoo.py")
    parser.add_argument("--only", default="", help="these models, with commas between")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--windows", type=int, default=300)
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    models = {}
    print("| model | kind | rows | recordings | candidates | agree on less than 95 % | on 99 % or more |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for subject in (demo(), *(of_folder(options.folder) if options.folder else ())):
        if only and subject.name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = dict(compared(subject, Path(folder)))
        print(described(subject.name, found), flush=True)
        models[subject.name] = counted(found, options.draws, options.windows)
    print("", *tables(models), sep="\n")


def described(name: str, found: Mapping[str, Compared]) -> str:
    """The model's line in the first table."""
    one = next(iter(found.values()))
    recordings = "-" if one.groups is None else len(np.unique(one.groups))
    shares = [float(candidate.agreed.mean()) for candidate in found.values()]
    bad, good = sum(share < MIN_AGREEMENT for share in shares), sum(share >= GOOD for share in shares)
    return f"| {name} | {one.kind} | {len(one.agreed)} | {recordings} | {len(found)} | {bad} | {good} |"


def _errors(tally: Tally) -> str:
    return f"{_percent(tally.accepted_bad, tally.bad)}, {_percent(tally.refused_good, tally.good)}"


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "-"


if __name__ == "__main__":
    main()
