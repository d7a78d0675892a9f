"""How a push goes on, noted in the ledger: a display as the command line has, for people at a browser."""

from types import TracebackType
from typing import Any, Self

from host_tools.broker.commands import Answer
from host_tools.broker.job_tracker import DeviceOutcome, Progress
from host_tools.dashboard.orders.ledger import Ledger
from host_tools.exits import FAILED

_MB = 1e6


class Recorder:
    """Notes in the ledger."""

    def __init__(self, ledger: Ledger, number: str) -> None:
        self._ledger = ledger
        self._number = number
        self._tenth = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def upload(self, done: int, total: int) -> None:
        """How much is at the broker, in tenths."""
        tenth = 10 * done // total if total else 10
        if tenth != self._tenth:
            self._tenth = tenth
            text = f"upload: {done / _MB:.1f} of {total / _MB:.1f} MB"
            self._ledger.answer(self._number, "broker", Answer("" if done >= total else "pending", text, 0), said=False)

    def progress(self, progress: Progress) -> None:
        """Where the job stands on a device."""
        report = progress.report
        self._ledger.change(self._number, sent=True, **({"job": report.job} if report else {}))
        if not progress.ended:
            text = f"{report.stage}: {progress.message}" if report else progress.message
            self._ledger.answer(self._number, progress.device, Answer("pending", text, 0), said=False)
            return
        good = progress.end is DeviceOutcome.SUCCEEDED
        code = "" if good else progress.code or progress.end.value
        self._ledger.answer(self._number, progress.device, Answer(code, progress.message, 0 if good else FAILED))

    def note(self, text: str) -> None:
        """One sentence for a person."""
        self._ledger.note(self._number, text)

    def summary(self, fields: dict[str, Any]) -> None:
        """All of it is in the ledger."""
