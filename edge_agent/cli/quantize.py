"""``edge-agent quantize``: the whole engine on the operator's own files, without daemon and broker.

    edge-agent quantize model.onnx --calibration c.npz --heldout h.npz --out DIR --report page.html

DIR gets ``report.json``, ``ranges.json``, ``stages/`` and, if accepted, ``model.onnx`` or ``model.tflite``. The folder
``stages/`` is the job's directory as the daemon would have it, for inspection or to repeat a stage. A usage error
writes nothing. An interrupted run removes its files.
"""

import argparse
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import msgspec

from edge_agent.advice.installation import require
from edge_agent.cli.progress import ProgressLine
from edge_agent.cli.stages import run_stages
from edge_agent.device.memory import worker_memory_bytes
from edge_agent.errors import ConfigError, StageError
from edge_agent.foreign.opening import read_file
from edge_agent.foreign.removal import remove
from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import TASK_FILE, WORKER_STAGES, ArrayFiles, Stage, Task, chosen_folder, encode_task
from edge_agent.report.text import render
from edge_agent.settings.recipe import RecipeFile, read_recipe
from edge_agent.state.durable import write_durably

EXITS = {"accepted": 0, "rejected": 4, "failed": 5}
EXIT_INTERRUPTED = 128 + signal.SIGINT
_FORMATS: dict[str, Literal["onnx", "tflite"]] = {".onnx": "onnx", ".tflite": "tflite"}
_STAGES = "stages"
_MOST_BYTES = 1 << 32
"""The largest model or ranges file that can be read at once."""
_OURS = ("report.json", "ranges.json", "model.onnx", "model.tflite", _STAGES)


@dataclass(frozen=True, slots=True)
class Request:
    """A checked command line."""

    model: Path
    calibration: Path
    heldout: Path | None
    eval: Path | None
    recipe: RecipeFile
    out: Path
    page: Path | None


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``quantize`` command."""
    parser = subparsers.add_parser(
        "quantize",
        help="quantize a float model to int8 here, and prove that it still agrees with float",
        description="Quantizes MODEL with the operator's data and judges the best candidate on held-out data. "
        "Exit: 0 accepted, 2 usage, 4 rejected, 5 failed.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="float model: " + " or ".join(_FORMATS))
    parser.add_argument(
        "--calibration", type=Path, required=True, metavar="C.npz", help="arrays with the names of the model's inputs"
    )
    parser.add_argument("--heldout", type=Path, metavar="H.npz", help="data for the verdict; default: a part of C.npz")
    parser.add_argument(
        "--eval",
        type=Path,
        metavar="E.npz",
        help="a labelled set that proves accuracy: the model's input tensors, and an array 'labels'",
    )
    parser.add_argument("--recipe", type=Path, metavar="R.toml", help="[recipe] [gates] [output] [[outputs]] [[state]]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    parser.add_argument("--force", action="store_true", help="write into DIR although it is not empty")
    parser.add_argument("--json", action="store_true", help="print the result object instead of a table")
    parser.add_argument(
        "--report", type=Path, metavar="PAGE.html", help="write the result as a page, whatever the verdict"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises ``ConfigError`` before anything is written."""
    request = _check(args)
    require("numpy")
    existed = request.out.exists()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = _quantize(request)
    except KeyboardInterrupt:
        _clear(request.out)
        if not existed:
            request.out.rmdir()
        print("edge-agent quantize: interrupted; what it wrote is removed", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    report = msgspec.json.format(msgspec.json.encode(result), indent=2)
    write_durably(request.out / "report.json", report + b"\n")
    if request.page is not None:
        write_durably(request.page, _page(request, result))
    print(report.decode() if args.json else render(result))
    return EXITS[result.verdict or "failed"]


def _check(args: argparse.Namespace) -> Request:
    """The request of a command line; raises ``ConfigError`` (usage) before anything is written."""
    given = [path for path in (args.model, args.calibration, args.heldout, args.eval, args.recipe) if path is not None]
    for path in given:
        if not path.is_file():
            raise ConfigError("usage", f"no such file: {path}")
    if args.model.suffix not in _FORMATS:
        raise ConfigError("usage", f"{args.model}: a model must end in {' or '.join(_FORMATS)}")
    if args.out.exists() and not args.out.is_dir():
        raise ConfigError("usage", f"--out {args.out} is no directory")
    if not args.force and args.out.exists() and any(args.out.iterdir()):
        raise ConfigError("usage", f"--out {args.out} is not empty; choose another, or add --force")
    inputs = {path.resolve() for path in given}
    for name in _OURS:
        ours = (args.out / name).resolve()
        if any(path == ours or ours in path.parents for path in inputs):
            raise ConfigError(
                "usage", f"{args.out / name} would be overwritten, and it is an input; choose another --out"
            )
    page = None if args.report is None else _checked_page(args.report, args.out, inputs)
    recipe = RecipeFile() if args.recipe is None else read_recipe(args.recipe)
    return Request(args.model, args.calibration, args.heldout, args.eval, recipe, args.out.resolve(), page)


def _checked_page(page: Path, out: Path, inputs: set[Path]) -> Path:
    """The path of the page; raises ``ConfigError`` if it is unusable, or would overwrite an input."""
    path, out = page.resolve(), out.resolve()
    if page.suffix not in (".html", ".htm"):
        raise ConfigError("usage", f"--report {page}: a page must end in .html")
    if page.is_dir() or not (path.parent.is_dir() or path.parent == out):
        raise ConfigError("usage", f"--report {page}: its folder is missing, or it is a folder itself")
    if path in inputs or out / _STAGES in path.parents:
        raise ConfigError("usage", f"--report {page} would overwrite what the command reads; choose another")
    return path


def _page(request: Request, result: Result) -> bytes:
    """The page of the result, with the histograms and ranges of calibration, if it came that far."""
    # only a page needs numpy, which takes time and memory
    from edge_agent.report.page import render as render_page  # noqa: PLC0415
    from edge_agent.worker.explain.evidence import read_evidence  # noqa: PLC0415

    found = read_evidence(request.out / _STAGES / Stage.CALIBRATE)
    page = render_page(result, model=request.model.name, histograms=found.histograms, ranges=found.ranges)
    return page.encode()


def _quantize(request: Request) -> Result:
    """Run the stages in a new job directory; returns the result object."""
    _clear(request.out)
    job_dir = request.out / _STAGES
    job_dir.mkdir(parents=True)
    task = _task(request)
    shutil.copyfile(request.model, job_dir / task.model)
    write_durably(job_dir / TASK_FILE, encode_task(task))
    with ProgressLine() as line:
        end = run_stages(job_dir, WORKER_STAGES, line)
    result = conclude(job_dir, end.code or "accepted", end.message, end.seconds)
    if (job_dir / Stage.CALIBRATE / "ranges.json").exists():
        _take(job_dir, (Stage.CALIBRATE, "ranges.json"), request.out / "ranges.json")
    if result.verdict == "accepted":
        chosen = (chosen_folder(job_dir).name, f"chosen{request.model.suffix}")
        _take(job_dir, chosen, request.out / f"model{request.model.suffix}")
    return result


def _take(job_dir: Path, names: tuple[str, ...], target: Path) -> None:
    """Copy a worker's file. The worker has run a foreign model, so no link is followed."""
    try:
        data = read_file(job_dir, *names, most_bytes=_MOST_BYTES)
    except OSError as error:
        text = f"{job_dir.joinpath(*names)}: {error.strerror}; run the command again"
        raise StageError("stage_crashed", text) from None
    write_durably(target, data)


def _task(request: Request) -> Task:
    name = re.sub(r"[^a-z0-9_-]+", "-", request.model.stem.lower()).strip("-_")[:63]
    return Task(
        job="quantize",
        name=name or "model",
        version=1,
        format=_FORMATS[request.model.suffix],
        model=f"model{request.model.suffix}",
        output=request.recipe.output,
        outputs=request.recipe.outputs,
        recipe=request.recipe.recipe,
        gates=request.recipe.gates,
        state=request.recipe.state,
        eval=str(request.eval.resolve()) if request.eval is not None else "",
        memory_bytes=worker_memory_bytes(0),
        arrays=ArrayFiles(
            calibration=str(request.calibration.resolve()),
            heldout=str(request.heldout.resolve()) if request.heldout is not None else "",
        ),
    )


def _clear(out: Path) -> None:
    """Remove the files of an earlier run of this command from ``out``, and nothing else."""
    for name in _OURS:
        remove(out / name)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
