"""``edge-agent try``: measures what int8 saves here for a model file, and drafts its manifest.

    edge-agent try har.onnx
    edge-agent try har.onnx --data recordings
    edge-agent try har.onnx --source imu

The manifest is written with every guess and its reason, once the data are sound, or where they do not fit the guesses.
Who corrects it tries again with ``--manifest``. Data stay in a private folder and are gone when the command ends,
however it ends.
"""

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.advice.installation import require
from edge_agent.advice.remedy import remedy_for
from edge_agent.cli.device import print_json
from edge_agent.cli.progress import ProgressLine
from edge_agent.cli.trial import rows, shown
from edge_agent.cli.trial.measured import PACE_ROWS, Bench, Measured, fewest, room_for_rows, rows_wanted
from edge_agent.cli.trial.plan import Draft, Plan, read_plan, tensors
from edge_agent.cli.trial.request import FORMATS, Request, check
from edge_agent.errors import CODES, EdgeAgentError, LimitError, SourceError
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import INSPECT
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.printable import printable
from edge_agent.settings.device import DEFAULT_PATH
from edge_agent.strict import counted

if TYPE_CHECKING:
    from edge_agent.backends import ModelInfo

_EXITS = {"accepted": 0, "rejected": 4, "failed": 5}
EXIT_INTERRUPTED = 128 + signal.SIGINT
_RANDOM_ROWS = 12
_EPILOG = """\
examples:
  edge-agent try har.onnx                         what int8 saves here; not judged, as there are no data
  edge-agent try har.onnx --data recordings       judged on your own pictures, .wav, .csv, .npz or .npy
  edge-agent try har.onnx --source imu            judged on what this device's sensor sends now
  edge-agent try har.onnx --data recordings --manifest har.toml     the same, once you have corrected the guesses

exit: 0 accepted, or not judged; 2 usage; 4 rejected; 5 failed
"""


@dataclass(slots=True)
class _Told:
    """The contents of the final report."""

    plan: Plan
    notes: list[str] = field(default_factory=list)
    windows: int = 0
    result: Result | None = None
    reference: MeasuredModel | None = None
    measured: list[Measured] = field(default_factory=list)
    why_unjudged: str = ""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``try`` command."""
    parser = subparsers.add_parser(
        "try",
        help="say what int8 saves for a model here, and write a manifest to begin with",
        description="Guesses what the model is fed with and what its output means, writes a commented manifest, and "
        "measures what int8 saves on this device. With data it judges whether int8 still does what float does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="float model: " + " or ".join(FORMATS))
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--data", type=Path, metavar="FOLDER", help="your own pictures, .wav, .csv, .npz or .npy")
    given.add_argument("--source", metavar="NAME", help="a [sources.NAME] of this device's configuration")
    parser.add_argument("--windows", type=int, metavar="N", help="use so many windows of the data at most")
    parser.add_argument("--out", type=Path, metavar="M.toml", help="where the manifest goes (default: MODEL's name)")
    parser.add_argument("--force", action="store_true", help="replace a manifest that is there")
    parser.add_argument("--manifest", type=Path, metavar="M.toml", help="do what it says, and guess nothing")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(source_config=None)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns its exit code. Raises ``ConfigError`` (usage) before anything is written."""
    request = check(args)
    plan = None if request.manifest is None else read_plan(request.manifest, needs_source=bool(request.source))
    require("numpy")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(request, plan, as_json=args.json)
    except KeyboardInterrupt:
        print("edge-agent try: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(request: Request, plan: Plan | None, *, as_json: bool) -> int:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-agent-try-") as folder:
        try:
            told = _tried(request, plan, Path(folder), as_json=as_json)
        except EdgeAgentError as error:
            if error.code == "usage":
                raise
            return _failed(request, error, as_json=as_json)
    if as_json:
        print_json(_body(request, told, time.monotonic() - begun))
    else:
        _print(request, told)
    if told.result is not None:
        return _EXITS[told.result.verdict or "failed"]
    return _EXITS["accepted" if any(one.record for one in told.measured) else "failed"]


def _tried(request: Request, plan: Plan | None, work: Path, *, as_json: bool) -> _Told:
    """Run the whole trial; raises ``EdgeAgentError`` if a step fails."""
    bench = Bench(request, work)
    info = _inspected(bench, work)
    draft = None
    if plan is None:
        draft = Draft(request, ModelTensors(tensors(info.inputs), tensors(info.outputs)))
        if not request.source:  # what a sensor says of itself belongs into the draft
            draft.check_place()
        plan = draft.plan()
    if not as_json:
        _say(shown.guesses(plan.stated))
    told = _Told(plan)
    try:
        _judge_or_measure(request, bench, draft, told, info, work)
    except EdgeAgentError as error:
        if draft is not None and error.status == "failed" and not isinstance(error, SourceError | LimitError):
            draft.write()  # it may be a guess that is wrong
        raise
    if draft is not None and (told.result is None or _sound(told.result)):
        draft.write(told.result.data.output if told.result is not None else None)
    return told


def _judge_or_measure(
    request: Request, bench: Bench, draft: Draft | None, told: _Told, info: "ModelInfo", work: Path
) -> None:
    """Let the engine work on the data, or on random ones."""
    gathered = _gathered(request, bench, draft, told, info, work)
    if gathered is None:
        told.why_unjudged = "no data; give --data FOLDER or --source NAME"
    else:
        result = bench.judge(told.plan, gathered.path)
        if result.code != "too_few_windows" or result.candidates:
            told.result = result
            return
        told.why_unjudged = _too_few(gathered, fewest(told.plan))
    told.notes += info.notes
    data = gathered.path if gathered is not None else rows.random_data(told.plan, info, _RANDOM_ROWS, work)
    told.reference, told.measured = bench.measure(told.plan, data)


def _too_few(gathered: rows.Gathered, needed: int) -> str:
    if gathered.count >= gathered.room:
        return f"memory has room for {counted(gathered.room, 'window')}, and a proof takes {needed} or more"
    return f"{counted(gathered.count, 'window')} cannot prove anything; give {needed} or more"


def _sound(result: Result) -> bool:
    """Whether the quality of the data allows a verdict."""
    return bool(result.candidates) or CODES[result.code].status != "rejected"


def _gathered(
    request: Request, bench: Bench, draft: Draft | None, told: _Told, info: "ModelInfo", work: Path
) -> rows.Gathered | None:
    """The rows of the data; None without data."""
    if request.source:
        gathered, told.plan = rows.from_sensor(request, draft, told.plan, work)
    elif request.data is not None:
        random = rows.random_data(told.plan, info, PACE_ROWS, work)
        room = room_for_rows(random.stat().st_size // PACE_ROWS)
        most = min(room, request.windows or rows_wanted(bench.row_seconds(told.plan, random), room))
        gathered = replace(rows.from_files(request.data, request, told.plan, info, most, work), room=room)
    else:
        return None
    told.windows, told.notes = gathered.count, gathered.notes
    if request.windows and gathered.room < request.windows:
        told.notes.append(f"memory has room for {counted(gathered.room, 'window')}, so that many are used at most")
    return gathered


def _inspected(bench: Bench, work: Path) -> "ModelInfo":
    """The inspected model. Another process inspects it, because a runtime may crash on it."""
    from edge_agent.worker.capture.inspection import look_apart  # noqa: PLC0415  # numpy
    from edge_agent.worker.context import Context  # noqa: PLC0415

    task = bench.task()
    job = bench.job("inspected", task)
    with ProgressLine() as line:
        sink = lambda *said: line.show("inspect", *said)  # noqa: E731  # names what is going on
        return look_apart(Context(job_dir=job, out_dir=work, task=task, stage=INSPECT, sink=sink)).info


def _print(request: Request, told: _Told) -> None:
    lines = [f"note: {note}" for note in told.notes]
    if told.result is not None:
        lines += shown.judged(told.result, told.windows, request.model.name)
    else:
        lines += shown.unjudged(told.reference, told.measured, told.why_unjudged, request.model.name)
    if told.result is not None and told.result.code == "no_coverage" and (doubt := _scale_in_doubt(told.plan)):
        lines.append(f"  to do: {doubt} of {request.written}, and pass it with --manifest")
    _say(lines)
    if not request.written.exists():
        return
    fill = "fill in source in it, then" if not told.plan.sensed[0].source.isidentifier() else "then"
    print(f"\n{request.written}: check it, {fill} push-model {request.model} --manifest {request.written} --device ID")


def _scale_in_doubt(plan: Plan) -> str:
    """Other scales for the pixels of guessed pictures; empty if no scale was guessed."""
    pictures = plan.stated and any(one.frame for one in plan.sensed)
    what = "the scale of pixels is guessed; leave the step scale out for 0 to 255"
    return f"{what}, or take factor = {2 / 255:.6f} and offset = -1 for -1 to 1, in [input] steps" if pictures else ""


def _body(request: Request, told: _Told, seconds: float) -> dict[str, Any]:
    result = told.result
    return {
        "model": str(request.model),
        "manifest": _manifest(request),
        "guesses": [one._asdict() for one in told.plan.stated],
        "notes": told.notes,
        "windows": told.windows,
        "judged": result is not None,
        "verdict": result.verdict if result is not None else None,
        "code": result.code if result is not None else "not_judged",
        "message": shown.here(result.message, request.model.name) if result is not None else told.why_unjudged,
        "reference": Measured("float", told.reference).numbers() if told.reference is not None else None,
        "measured": [one.numbers() for one in told.measured],
        "result": msgspec.to_builtins(result),
        "seconds": round(seconds, 1),
    }


def _manifest(request: Request) -> str | None:
    """The path of the manifest, if one was written or given."""
    return str(request.written) if request.written.exists() else None


def _failed(request: Request, error: EdgeAgentError, *, as_json: bool) -> int:
    verdict = "rejected" if CODES[error.code].status == "rejected" else "failed"
    message = shown.here(error.message, request.model.name)
    print(printable(f"edge-agent try: {message} ({error.code})", 2000), file=sys.stderr)
    if to_do := remedy_for(error.code, message):
        print(f"  to do: {to_do}", file=sys.stderr)
    if as_json:
        ended = {"verdict": verdict, "code": error.code, "message": message}
        print_json({"model": str(request.model), "manifest": _manifest(request), "judged": False, **ended})
    return _EXITS[verdict]


def _say(lines: list[str]) -> None:
    for line in lines:
        print(printable(line, 2000))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
