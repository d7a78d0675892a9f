"""Sends people's orders, each in a thread of its own, and records their progress in the ledger.

The threads end with the program: a sent order stays at the broker, and devices execute it without the dashboard.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.messages import Command
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.commands import Answer, Watcher, order
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders.checking import requested, without_path
from host_tools.dashboard.orders.ledger import Entry, Ledger
from host_tools.dashboard.orders.progress import Recorder
from host_tools.dashboard.orders.uploads import Upload, Uploads
from host_tools.push.push import push
from host_tools.push.resend import resend

Kind = Literal["command", "push"]
MOST_AT_ONCE: Final[Mapping[Kind, int]] = {"command": 64, "push": 16}
"""Limit per kind, so that pushes waiting for their devices never delay a rollback."""
ANSWERS_S: Final = 120.0
"""How long to wait for answers; an offline device executes the order when it is back."""
EXPIRES_H: Final = 24.0


class Commander:
    """Sends orders with the operator's key."""

    def __init__(self, settings: Settings, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.settings = settings
        self.ledger = Ledger(say, changed)
        self.uploads = Uploads()
        self._lock = threading.Lock()
        self._under_way: Counter[Kind] = Counter()

    def command(
        self,
        who: str,
        targets: Mapping[int, Sequence[str]],
        action: str,
        *,
        model: str = "",
        job: str = "",
        once: str = "",
    ) -> list[str]:
        """Order devices to roll back, recalibrate or cancel; returns the ids of the entries, one per version.

        ``targets`` maps version → devices. Either all orders are started or none. Orders of the same ``once`` are sent
        only
        once: later calls return the first ids.

        Raises:
            ConfigError: ``usage``: too many orders are running.
            ConfigError: ``usage``: too many orders are under way.
        """
        orders = [
            self._command(who, devices, action, model, version, job, once) for version, devices in targets.items()
        ]
        return self._begin("command", once, orders)

    def resend(self, who: str, scopes: Sequence[Scope], job: str, once: str = "") -> str:
        """Send a version at the broker to more ``scopes``; returns the entry's id, otherwise as :meth:`command`."""
        entry = Entry(
            who=who, action="push", about=f"job {job}", whom=tuple(map(str, scopes)), job=job, once=once,
            devices=tuple(scope.name for scope in scopes if scope.kind == "d"), command="",
        )  # fmt: skip

        def work() -> None:
            recorder = Recorder(self.ledger, entry.id)
            with Session(self.settings, recorder.note) as session:
                resend(session, job, scopes, recorder, named=partial(self.ledger.change, entry.id), sent=recorder.sent)

        return self._begin("push", once, [(entry, work)])[0]

    def push(self, who: str, upload: Upload, scopes: Sequence[Scope], text: str, version: int) -> str:
        """Send a model with this manifest, once, with exactly this version.

        Its file is deleted when its devices have ended, and kept if it was not sent. Otherwise as :meth:`resend`.
        """
        entry = Entry(
            who=who, action="push", about=upload.shown, whom=tuple(map(str, scopes)), once=upload.id,
            devices=tuple(scope.name for scope in scopes if scope.kind == "d"),
            command=push_words(self.settings, scopes, Path(upload.path.name)),
        )  # fmt: skip
        recorder = Recorder(self.ledger, entry.id)

        def sent(manifest: Manifest) -> None:
            recorder.sent(manifest)
            self.ledger.change(entry.id, about=f"{manifest.name} {manifest.version}")

        def work() -> None:
            try:
                with requested(upload, scopes, text, version=version, sent=sent) as request:
                    push(self.settings, request, recorder)
            except EdgeAgentError as error:
                raise type(error)(error.code, without_path(error.message, upload)) from None
            finally:
                self._put_away(entry.id, upload)

        return self._begin("push", upload.id, [(entry, work)], lambda: self.uploads.claim(upload.id))[0]

    def _put_away(self, number: str, upload: Upload) -> None:
        entry = self.ledger.entry(number)
        if entry is None or entry.until:
            self.uploads.drop(upload.id)
        else:
            self.uploads.release(upload.id)

    def _command(
        self, who: str, devices: Sequence[str], action: str, model: str, version: int, job: str, once: str
    ) -> tuple[Entry, Callable[[], None]]:
        scopes = [Scope("d", name) for name in devices]
        about = {"job": job} if job else {"model": model, "version": version}
        entry = Entry(
            who=who, action=action, about=job or f"{model} {version or ''}".strip(),
            whom=tuple(map(str, scopes)), devices=tuple(devices), job=job, once=once,
            command=command_words(self.settings, action, devices, model=model, version=version, job=job),
        )  # fmt: skip

        def work() -> None:
            watcher = _Watcher(self.ledger, entry.id)
            answers = order(
                self.settings, scopes, timeout_s=ANSWERS_S, expires_h=EXPIRES_H, watcher=watcher, action=action, **about
            )
            for device, answer in answers.items():
                self.ledger.answer(entry.id, device, answer)

        return entry, work

    def _begin(
        self,
        kind: Kind,
        once: str,
        orders: Sequence[tuple[Entry, Callable[[], None]]],
        claim: Callable[[], None] = lambda: None,
    ) -> list[str]:
        with self._lock:
            if known := self.ledger.given(once):
                return [entry.id for entry in known]
            most = MOST_AT_ONCE[kind]
            if self._under_way[kind] + len(orders) > most:
                text = f"at most {most} orders may run at once, one for each version; wait, or choose fewer"
                raise ConfigError("usage", f"nothing was sent: {text}")
            claim()
            self._under_way[kind] += len(orders)
            for entry, _ in orders:
                self.ledger.begin(entry)
        for entry, work in orders:
            threading.Thread(target=self._run, args=(kind, entry, work), name=f"order-{entry.id}", daemon=True).start()
        return [entry.id for entry, _ in orders]

    def _run(self, kind: Kind, entry: Entry, work: Callable[[], None]) -> None:
        trouble = ""
        try:
            work()
        except EdgeAgentError as error:
            trouble = f"{error.code}: {error.message}"
        except Exception as error:  # noqa: BLE001  # a bug ends one order, and is shown on its page
            trouble = f"internal: {error!r}"
        finally:
            with self._lock:
                self._under_way[kind] -= 1
            self.ledger.end(entry.id, trouble)


class _Watcher(Watcher):
    """Records a command's progress in the ledger."""

    def __init__(self, ledger: Ledger, number: str) -> None:
        self._ledger = ledger
        self._number = number

    def say(self, text: str) -> None:
        self._ledger.note(self._number, text)

    def sent(self, command: Command, devices: Iterable[str]) -> None:
        self._ledger.change(self._number, devices=tuple(devices), until=command.expires)
        self._ledger.note(self._number, f"sent as command {command.id}, until {command.expires}")

    def answered(self, device: str, answer: Answer) -> None:
        self._ledger.answer(self._number, device, answer)


def command_words(
    settings: Settings, action: str, devices: Iterable[str], *, model: str = "", version: int = 0, job: str = ""
) -> str:
    """The command line for the same order."""
    whom = [word for name in devices for word in ("--device", name)]
    which = [job] if job else [model, *(["--version", str(version)] if version else [])]
    return command_line(settings, "host-tools", action, *which, *whom, signed=True)


def push_words(settings: Settings, scopes: Iterable[Scope], model: Path = Path("MODEL")) -> str:
    """The command line for the same push, run where the model and its manifest are."""
    flags = {"d": "--device", "g": "--group"}
    whom = [word for scope in scopes for word in (flags[scope.kind], scope.name)]
    return command_line(settings, "push-model", str(model), "--manifest", "M.toml", *whom, signed=True)
