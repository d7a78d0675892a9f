"""Three ways to show the progress of a push: drawn on a terminal, a line per change elsewhere, JSON lines for scripts.

Progress goes to stderr. With ``--json``, stdout carries the JSON lines and nothing else.
"""

import json
import sys
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edge_agent.printable import printable
from edge_agent.wire.messages import JobReport
from host_tools.broker.job_tracker import DeviceOutcome, Progress
from host_tools.display.console import can_redraw, stderr_console

_KB, _MB = 1_000, 1_000_000
_LINE_STEP = 0.25
_UPLOAD_STEP = 0.1
_QUEUED = "queued"
_TWO_MINUTES = 120
_COLOURS = {
    DeviceOutcome.SUCCEEDED: "green",
    DeviceOutcome.REJECTED: "yellow",
    DeviceOutcome.FAILED: "red",
    DeviceOutcome.CANCELED: "magenta",
    DeviceOutcome.REFUSED: "red",
    DeviceOutcome.IGNORED: "yellow",
    DeviceOutcome.INACTIVE: "yellow",
    DeviceOutcome.RUNNING: "cyan",
    DeviceOutcome.PENDING: "dim",
}


class Display(Protocol):
    """Where a command reports its progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def upload(self, done: int, total: int) -> None:
        """The broker holds ``done`` of ``total`` bytes."""
        ...

    def progress(self, progress: Progress) -> None:
        """A device reported something new."""
        ...

    def note(self, text: str) -> None:
        """One sentence for a person."""
        ...

    def summary(self, fields: dict[str, Any]) -> None:
        """The command's end, for scripts."""
        ...


class TerminalDisplay:
    """A table that is redrawn in place: device, stage, bar, detail."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._upload: tuple[int, int] | None = None
        self._rows: dict[str, Progress] = {}
        self._live = Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=8, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def upload(self, done: int, total: int) -> None:
        """Note the upload for the next drawing."""
        self._upload = done, total

    def progress(self, progress: Progress) -> None:
        """Note the device for the next drawing."""
        self._rows[progress.device] = progress

    def note(self, text: str) -> None:
        """Print above the table."""
        self._console.print(printable(text))

    def summary(self, fields: dict[str, Any]) -> None:
        """Nothing: a person reads the result table instead."""

    def _draw(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._upload:
            done, total = self._upload
            table = _grid()
            table.add_row(
                "upload",
                "",
                ProgressBar(total=total, completed=done, width=24),
                _amount(done, total),
            )
            parts.append(table)
        if self._rows:
            table = _grid()
            for progress in self._rows.values():
                table.add_row(*_row(progress))
            parts.append(table)
        return Group(*parts)


class LineDisplay(Display):
    """A line on stderr for each change that belongs in a log."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Any, ...]] = {}
        self._quarter, self._shown = -1, ""

    def upload(self, done: int, total: int) -> None:
        """A line for each quarter of the upload, and none that looks like the one before."""
        quarter, shown = int(done / total / _LINE_STEP), _amount(done, total)
        if quarter != self._quarter and shown != self._shown:
            self._quarter, self._shown = quarter, shown
            _say(f"upload: {shown}")

    def progress(self, progress: Progress) -> None:
        """A line for each stage, each quarter of it, each end, and the time that a capture takes."""
        report = progress.report
        quarter = int(report.progress / _LINE_STEP) if report else 0
        # The duration of a capture is known a moment after its start, and gets a line of its own.
        timed = report is not None and report.stage == "capture" and report.eta_s is not None
        if self._changed(progress.device, (progress.end, progress.online, report and report.stage, quarter, timed)):
            _say(f"{progress.device}: {_words(progress)}")

    def note(self, text: str) -> None:
        """The sentence as a line."""
        _say(text)

    def summary(self, fields: dict[str, Any]) -> None:
        """Nothing: a person reads the result table instead."""

    def _changed(self, name: str, state: tuple[Any, ...]) -> bool:
        changed = self._last.get(name) != state
        self._last[name] = state
        return changed


class JsonDisplay(Display):
    """One JSON object per line on stdout, each with ``event``; sentences for people go to stderr."""

    def __init__(self) -> None:
        self._uploaded = -1.0

    def upload(self, done: int, total: int) -> None:
        """An ``upload`` event for each tenth of the upload, the last one included."""
        step = int(done / total / _UPLOAD_STEP)
        if step != self._uploaded:
            self._uploaded = step
            _emit({"event": "upload", "done_bytes": done, "total_bytes": total})

    def progress(self, progress: Progress) -> None:
        """A ``report`` event: the device's report, or the known state of a device that has sent none."""
        fields: dict[str, Any] = {"event": "report"}
        if progress.report:
            fields |= msgspec.to_builtins(progress.report)
        fields |= {"device": progress.device, "online": progress.online, "end": progress.end.value}
        if progress.refused:
            fields["refused"] = msgspec.to_builtins(progress.refused)
        _emit(fields)

    def note(self, text: str) -> None:
        """The sentence, away from the JSON."""
        _say(text)

    def summary(self, fields: dict[str, Any]) -> None:
        """The last line."""
        _emit({"event": "summary", **fields})


def open_display(*, as_json: bool) -> Display:
    """The display that fits: JSON on request, drawn if stderr is a terminal, else lines."""
    if as_json:
        return JsonDisplay()
    return TerminalDisplay() if can_redraw() else LineDisplay()


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    return table


def _row(progress: Progress) -> tuple[RenderableType, ...]:
    report, colour = progress.report, _COLOURS[progress.end]
    stage = _stage(report) if report and progress.end is DeviceOutcome.RUNNING else progress.end.value
    fraction = 1.0 if progress.ended else (report.progress if report else 0.0)
    bar = ProgressBar(total=1.0, completed=fraction, width=24, complete_style=colour, finished_style=colour)
    detail = Text()
    if progress.online is False and progress.end is DeviceOutcome.RUNNING:
        detail.append("offline ", "dim")
    if progress.ended and progress.code not in ("", "accepted", progress.end):
        detail.append(f"{progress.code} ", colour)
    detail.append(progress.message)
    if report and not progress.ended:
        detail.append(_left(report), "dim")
    return progress.device, Text(stage, colour), bar, detail


def _words(progress: Progress) -> str:
    report = progress.report
    if report and progress.end is DeviceOutcome.RUNNING:
        stage = _stage(report)
        words = stage if stage == _QUEUED else f"{stage} {report.progress:.0%} {report.detail}".rstrip()
        words += _left(report)
    else:
        code = f" {progress.code}" if progress.ended and progress.code not in ("", "accepted", progress.end) else ""
        words = f"{progress.end}{code}: {progress.message}" if progress.message else f"{progress.end}{code}"
    return words + (" (offline)" if progress.online is False and progress.end is DeviceOutcome.RUNNING else "")


def _stage(report: JobReport) -> str:
    """The stage that a device works on; ``queued`` before the first one has begun."""
    return _QUEUED if report.status == _QUEUED and not report.progress else report.stage


def _amount(done: int, total: int) -> str:
    unit, name = (_MB, "MB") if total >= _MB else (_KB, "kB")
    return f"{done / unit:.1f} of {total / unit:.1f} {name}"


def _left(report: JobReport) -> str:
    """The time until the stage ends; empty where nobody knows it, or it is less than half a second."""
    whole = round(report.eta_s or 0.0)
    if not whole:
        return ""
    return f" ({whole} s left)" if whole < _TWO_MINUTES else f" ({whole // 60} min {whole % 60:02d} s left)"


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _emit(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)
