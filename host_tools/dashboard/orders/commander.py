"""Sends what people order, each order in a thread of its own, and notes in the ledger what becomes of it.

The threads end with the program: what was sent lies at the broker, and devices obey it without us.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.wire.messages import Command
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.commands import Answer, Watcher, order
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders.ledger import Entry, Ledger
from host_tools.dashboard.orders.progress import Recorder
from host_tools.dashboard.orders.uploads import Uploads
from host_tools.push.push import PushRequest, push
from host_tools.push.resend import resend

MOST_AT_ONCE: Final = 16
ANSWERS_S: Final = 120.0
"""How long answers are waited for; a device that is away obeys when it is back."""
EXPIRES_H: Final = 24.0


class Commander:
    """Gives orders in the operator's name."""

    def __init__(self, settings: Settings, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.settings = settings
        self.ledger = Ledger(say, changed)
        self.uploads = Uploads()
        self._free = threading.Semaphore(MOST_AT_ONCE)

    def command(
        self, who: str, devices: Sequence[str], action: str, *, model: str = "", version: int = 0, job: str = ""
    ) -> str:
        """Order ``devices`` to roll back, recalibrate or cancel; returns the entry's id.

        Raises:
            ConfigError: ``usage``: too many orders are under way.
        """
        scopes = [Scope("d", name) for name in devices]
        about = {"job": job} if job else {"model": model, "version": version}
        entry = Entry(
            who=who, action=action, about=job or f"{model} {version or ''}".strip(),
            whom=tuple(map(str, scopes)), devices=tuple(devices), job=job,
            command=command_words(self.settings, action, devices, model=model, version=version, job=job),
        )  # fmt: skip

        def work() -> None:
            watcher = _Watcher(self.ledger, entry.id)
            answers = order(
                self.settings, scopes, timeout_s=ANSWERS_S, expires_h=EXPIRES_H, watcher=watcher, action=action, **about
            )
            for device, answer in answers.items():
                self.ledger.answer(entry.id, device, answer)

        return self._begin(entry, work)

    def resend(self, who: str, scopes: Sequence[Scope], job: str, about: str) -> str:
        """Send a version that the broker has to ``scopes``; as :meth:`command`."""
        entry = Entry(
            who=who, action="push", about=about, whom=tuple(map(str, scopes)), job=job,
            devices=tuple(scope.name for scope in scopes if scope.kind == "d"),
            command=push_words(self.settings, scopes),
        )  # fmt: skip

        def work() -> None:
            recorder = Recorder(self.ledger, entry.id)
            with Session(self.settings, recorder.note) as session:
                resend(session, job, scopes, recorder)

        return self._begin(entry, work)

    def push(self, who: str, request: PushRequest, about: str, done: Callable[[], None]) -> str:
        """Send a model; ``done`` is called when its file is not needed any more. As :meth:`command`."""
        scopes = request.scopes
        entry = Entry(
            who=who, action="push", about=about, whom=tuple(map(str, scopes)),
            devices=tuple(scope.name for scope in scopes if scope.kind == "d"),
            command=push_words(self.settings, scopes, Path(request.model.name)),
        )  # fmt: skip

        def work() -> None:
            try:
                push(self.settings, request, Recorder(self.ledger, entry.id))
            finally:
                done()

        return self._begin(entry, work)

    def _begin(self, entry: Entry, work: Callable[[], None]) -> str:
        if not self._free.acquire(blocking=False):
            raise ConfigError("usage", f"{MOST_AT_ONCE} orders are under way; wait until one has ended")
        self.ledger.begin(entry)

        def run() -> None:
            trouble = ""
            try:
                work()
            except EdgeAgentError as error:
                trouble = f"{error.code}: {error.message}"
            except Exception as error:  # noqa: BLE001  # a bug ends one order, and is told where people look
                trouble = f"internal: {error!r}"
            finally:
                self._free.release()
                self.ledger.end(entry.id, trouble)

        threading.Thread(target=run, name=f"order-{entry.id}", daemon=True).start()
        return entry.id


class _Watcher(Watcher):
    """Tells the ledger how a command goes on."""

    def __init__(self, ledger: Ledger, number: str) -> None:
        self._ledger = ledger
        self._number = number

    def say(self, text: str) -> None:
        self._ledger.note(self._number, text)

    def sent(self, command: Command, devices: Iterable[str]) -> None:
        self._ledger.change(self._number, devices=tuple(devices))
        self._ledger.note(self._number, f"sent as command {command.id}, until {command.expires}")

    def answered(self, device: str, answer: Answer) -> None:
        self._ledger.answer(self._number, device, answer)


def command_words(
    settings: Settings, action: str, devices: Iterable[str], *, model: str = "", version: int = 0, job: str = ""
) -> str:
    """What to type for the same order."""
    whom = [word for name in devices for word in ("--device", name)]
    which = [job] if job else [model, *(["--version", str(version)] if version else [])]
    return command_line(settings, "host-tools", action, *which, *whom, signed=True)


def push_words(settings: Settings, scopes: Iterable[Scope], model: Path = Path("MODEL")) -> str:
    """What to type for the same push, from where the model and its manifest lie."""
    flags = {"d": "--device", "g": "--group"}
    whom = [word for scope in scopes for word in (flags[scope.kind], scope.name)]
    return command_line(settings, "push-model", str(model), "--manifest", "M.toml", *whom, signed=True)
