"""Records the progress of a push in the ledger: the counterpart of the command line's display."""

from typing import Any

from edge_agent.wire.manifest import Manifest
from host_tools.broker.commands import Answer
from host_tools.broker.job_tracker import DeviceOutcome, Progress
from host_tools.dashboard.orders.ledger import Ledger
from host_tools.display.progress import Display
from host_tools.exits import FAILED

_MB = 1e6


class Recorder(Display):
    """Records progress in the ledger."""

    def __init__(self, ledger: Ledger, number: str) -> None:
        self._ledger = ledger
        self._number = number
        self._tenth = -1

    def upload(self, done: int, total: int) -> None:
        """Record the uploaded share, in tenths."""
        tenth = 10 * done // total if total else 10
        if tenth != self._tenth:
            self._tenth = tenth
            text = f"upload: {done / _MB:.1f} of {total / _MB:.1f} MB"
            self._ledger.answer(self._number, "broker", Answer("" if done >= total else "pending", text, 0), said=False)

    def progress(self, progress: Progress) -> None:
        """Record the job's state on a device."""
        report = progress.report
        if report is not None:
            self._ledger.change(self._number, job=report.job)
        if not progress.ended:
            text = f"{report.stage}: {progress.message}" if report else progress.message
            self._ledger.answer(self._number, progress.device, Answer("pending", text, 0), said=False)
            return
        good = progress.end is DeviceOutcome.SUCCEEDED
        code = "" if good else progress.code or progress.end.value
        self._ledger.answer(self._number, progress.device, Answer(code, progress.message, 0 if good else FAILED))

    def sent(self, manifest: Manifest) -> None:
        """Record that the push is at the broker."""
        self._ledger.change(self._number, until=manifest.expires)

    def note(self, text: str) -> None:
        """Record a sentence for a person."""
        self._ledger.note(self._number, text)

    def summary(self, fields: dict[str, Any]) -> None:
        """Ignored: the ledger already holds all of it."""
