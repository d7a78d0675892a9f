"""Sends what people order, each order in a thread of its own, and notes in the ledger what becomes of it.

The threads end with the program: what was sent lies at the broker, and devices obey it without us.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

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

MOST_COMMANDS: Final = 32
MOST_PUSHES: Final = 16
"""At once. A push is under way until its job has ended everywhere, and keeps no command waiting."""
ANSWERS_S: Final = 120.0
"""How long answers are waited for; a device that is away obeys when it is back."""
EXPIRES_H: Final = 24.0
_MOST_REMEMBERED = 1000


class Commander:
    """Gives orders in the operator's name."""

    def __init__(self, settings: Settings, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.settings = settings
        self.ledger = Ledger(say, changed)
        self.uploads = Uploads()
        self._commands = threading.Semaphore(MOST_COMMANDS)
        self._pushes = threading.Semaphore(MOST_PUSHES)
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}

    def is_new(self, once: str) -> bool:
        """Whether the form with this random word was not sent before; one without a word always is."""
        with self._lock:
            if once in self._seen:
                return False
            if once:
                self._seen[once[:64]] = None
            while len(self._seen) > _MOST_REMEMBERED:
                del self._seen[next(iter(self._seen))]
            return True

    def forget(self, once: str) -> None:
        """Nothing came of the form with this word; it may be sent again."""
        with self._lock:
            self._seen.pop(once[:64], None)

    def command(
        self, who: str, targets: Mapping[int, Sequence[str]], action: str, *, model: str = "", job: str = ""
    ) -> list[str]:
        """Order devices, by the version that each runs, to roll back, recalibrate or cancel; returns the entries' ids.

        Raises:
            ConfigError: ``usage``: too many orders are under way; nothing of this one is sent.
        """
        entries = [
            Entry(
                who=who, action=action, about=job or f"{model} {version or ''}".strip(), job=job,
                whom=tuple(f"d/{name}" for name in devices), devices=tuple(devices),
                command=command_words(self.settings, action, devices, model=model, version=version, job=job),
            )
            for version, devices in targets.items()
        ]  # fmt: skip
        _take(self._commands, len(entries), MOST_COMMANDS)
        about: list[dict[str, Any]] = [{"job": job} if job else {"model": model, "version": one} for one in targets]
        for entry, what in zip(entries, about, strict=True):
            self._begin(entry, partial(self._send, entry, action, what), self._commands)
        return [entry.id for entry in entries]

    def resend(self, who: str, scopes: Sequence[Scope], job: str) -> str:
        """Send a version that the broker has to ``scopes``; as :meth:`command`."""
        _take(self._pushes, 1, MOST_PUSHES)
        entry = Entry(
            who=who, action="push", about=f"job {job}", whom=tuple(map(str, scopes)), job=job,
            devices=tuple(scope.name for scope in scopes if scope.kind == "d"), command="",
        )  # fmt: skip

        def work() -> None:
            recorder = Recorder(self.ledger, entry.id)
            with Session(self.settings, recorder.note) as session:
                resend(session, job, scopes, recorder, named=partial(self.ledger.change, entry.id))

        return self._begin(entry, work, self._pushes)

    def push(self, who: str, request: PushRequest, about: str, done: Callable[[], None]) -> str:
        """Send a model; ``done`` is called when its file is not needed any more. As :meth:`command`."""
        _take(self._pushes, 1, MOST_PUSHES)
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

        return self._begin(entry, work, self._pushes)

    def _send(self, entry: Entry, action: str, about: Mapping[str, Any]) -> None:
        scopes = [Scope("d", name) for name in entry.devices]
        watcher = _Watcher(self.ledger, entry.id)
        answers = order(
            self.settings, scopes, timeout_s=ANSWERS_S, expires_h=EXPIRES_H, watcher=watcher, action=action, **about
        )
        for device, answer in answers.items():
            self.ledger.answer(entry.id, device, answer)

    def _begin(self, entry: Entry, work: Callable[[], None], slots: threading.Semaphore) -> str:
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
                slots.release()
                self.ledger.end(entry.id, trouble)

        threading.Thread(target=run, name=f"order-{entry.id}", daemon=True).start()
        return entry.id


def _take(slots: threading.Semaphore, count: int, most: int) -> None:
    """Have room for so many orders, or for none of them."""
    for taken in range(count):
        if not slots.acquire(blocking=False):
            if taken:
                slots.release(taken)
            raise ConfigError("usage", f"{most} orders may be under way at once; choose fewer devices, or try later")


class _Watcher(Watcher):
    """Tells the ledger how a command goes on."""

    def __init__(self, ledger: Ledger, number: str) -> None:
        self._ledger = ledger
        self._number = number

    def say(self, text: str) -> None:
        self._ledger.note(self._number, text)

    def sent(self, command: Command, devices: Iterable[str]) -> None:
        self._ledger.change(self._number, devices=tuple(devices), sent=True)
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
