"""``python -m edge_agent.worker STAGE JOB_DIR``: run one stage, report its progress, write its folder.

Standard output carries JSON lines and nothing else. All other prints go to standard error:

    {"event": "progress", "fraction": 0.4, "detail": "...", "eta_s": 3.2}
    {"event": "end", "code": "...", "message": "...", "status": "ok | rejected | failed"}

The stage works in ``<stage>.tmp/``. Its last act renames this folder to ``<stage>/``, once all of it is on disk. A
refusal leaves the folder like a success; a failure leaves none. Exit codes: 0, the end line has the result; 70, a bug
in edge-agent with its traceback on standard error; 71, out of memory; 2, wrong arguments.
"""

import errno
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import msgspec

from edge_agent.advice.installation import lacking
from edge_agent.errors import EdgeAgentError, LimitError, Refusal
from edge_agent.foreign.decoding import cut
from edge_agent.foreign.removal import remove_quietly
from edge_agent.jobs.outcome import Outcome, encode_outcome
from edge_agent.jobs.task import INSPECT, OUTCOME_FILE, WORKER_STAGES, Stage, Task, read_task
from edge_agent.process.confinement import confine_opener, confine_sensor
from edge_agent.process.program import EXIT_OUT_OF_MEMORY
from edge_agent.settings.sensor_needs import devices_elsewhere, socket_families
from edge_agent.state.durable import publish_dir
from edge_agent.worker.blobs import take_blobs
from edge_agent.worker.context import Context

_STEPS: tuple[str, ...] = (INSPECT, *WORKER_STAGES, Stage.ACTIVATE)
EXIT_INTERNAL = 70
EXIT_USAGE = 2
_RESUMED: frozenset[str] = frozenset({Stage.CAPTURE})
"""Stages that resume from what an interrupted run left in ``<stage>.tmp/``."""
_OUT_OF_MEMORY_WORDS = ("std::bad_alloc", "bad allocation", "Failed to allocate memory")


def main(arguments: list[str]) -> int:
    """Run the stage that ``arguments`` (STAGE, JOB_DIR) name; returns the exit code."""
    stage, job_dir = arguments[0] if arguments else "", Path(arguments[-1] if arguments else "").resolve()
    if stage not in _STEPS or len(arguments) != 2:  # noqa: PLR2004  # STAGE and JOB_DIR
        print(f"usage: python -m edge_agent.worker {{{'|'.join(_STEPS)}}} JOB_DIR", file=sys.stderr)
        return EXIT_USAGE
    with _take_stdout() as lines:
        try:
            task = read_task(job_dir)
            if stage != INSPECT:  # the capture stage that starts it has just taken the blobs
                take_blobs(job_dir, task)
            give_up(stage, job_dir, task)
            outcome = run(stage, job_dir, lines)
        except EdgeAgentError as error:
            _say(lines, event="end", code=error.code, message=error.message, status="failed")
            return 0
        except Exception as error:  # noqa: BLE001  # the last line of defence: every end must be reported
            return _report_unexpected(lines, stage, error)
        status = "rejected" if outcome.code else "ok"
        _say(lines, event="end", code=outcome.code, message=outcome.message, status=status)
        return 0


def give_up(stage: str, job_dir: Path, task: Task) -> list[str]:
    """Confine this process and its children before they open any foreign file; returns the active restrictions.

    A capture from a sensor opens no model. It keeps the rights that a sensor may need.
    """
    if stage == Stage.CAPTURE and task.arrays is None:
        tables = task.sources.values()
        devices = [folder for table in tables for folder in devices_elsewhere(table)]
        families = sorted({family for table in tables for family in socket_families(table)})
        return confine_sensor(write=[job_dir], families=families, devices=devices)
    arrays = [] if task.arrays is None else [task.arrays.calibration, task.arrays.heldout]
    given = [job_dir / name for name in (*arrays, task.eval) if name]
    return confine_opener(write=[job_dir], read=[*given, (job_dir / "release").resolve()])


def run(stage: str, job_dir: Path, lines: IO[str]) -> Outcome:
    """Run ``stage`` and publish its folder; returns its outcome, even if it is a refusal."""
    task = read_task(job_dir)
    out_dir, final = job_dir / f"{stage}.tmp", job_dir / stage
    for later in _STEPS[_STEPS.index(stage) :]:  # their results rest on this stage's former outcome
        remove_quietly(job_dir / later)
    if stage not in _RESUMED or out_dir.is_symlink():
        remove_quietly(out_dir)
    out_dir.mkdir(exist_ok=True)

    def sink(fraction: float, detail: str, eta_s: float | None) -> None:
        _say(lines, event="progress", fraction=fraction, detail=detail, eta_s=eta_s)

    try:
        outcome: Outcome = import_module(f"edge_agent.worker.stages.{stage}").run(
            Context(job_dir=job_dir, out_dir=out_dir, task=task, stage=stage, sink=sink)
        )
    except Refusal as refusal:
        outcome = Outcome(code=refusal.code, message=refusal.message)
    (out_dir / OUTCOME_FILE).write_bytes(encode_outcome(outcome))
    publish_dir(out_dir, final)
    return outcome


def _take_stdout() -> IO[str]:
    """The real standard output. From now on descriptor 1 leads to standard error, for every writer."""
    sys.stdout.flush()
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lines


def _say(lines: IO[str], **fields: Any) -> None:
    """Write one event. Texts are cut: a model may have names of megabytes, and the daemon ignores lines that long."""
    lines.write(msgspec.json.encode(cut(fields)).decode() + "\n")
    lines.flush()


def _report_unexpected(lines: IO[str], stage: str, error: Exception) -> int:
    if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY_WORDS):
        message = f"{stage} needed more memory than its limit"
        _say(lines, event="end", code="out_of_memory", message=message, status="failed")
        return EXIT_OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        full = LimitError("no_space", f"the disk is full; free space where {error.filename or 'the job'} lies")
        _say(lines, event="end", code=full.code, message=full.message, status="failed")
        return 0
    if isinstance(error, ModuleNotFoundError) and (sentence := lacking([error.name or ""])):
        _say(lines, event="end", code="format_unsupported", message=sentence, status="failed")
        return 0
    traceback.print_exception(error)
    words = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    message = f"{stage} stopped on a bug ({words}); please report it with the log"
    _say(lines, event="end", code="stage_crashed", message=message, status="failed")
    return EXIT_INTERNAL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
