"""Cleanup at the end of a demo: on its machine, and on a broker that is not its own."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from edge_agent.errors import BrokerError, ConfigError, EdgeAgentError
from edge_agent.wire.topics import Scope
from host_tools.broker.purge import held_blobs, referenced
from host_tools.broker.registry import read_want
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.demo.stage import STAGE_FILE

_END_TIMEOUT_S = 30.0
_GUEST_TIMEOUT_S = 10.0
_TICK_S = 0.05
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ending:
    """The signal that ends the demo. ``number`` is 0 until one comes."""

    def __init__(self) -> None:
        self.number = 0

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Unwind as Ctrl-C does, and ignore further signals meanwhile."""
        self.number = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """During the block, SIGTERM and SIGHUP clean up, too. A signal that nohup ignores stays ignored."""
    ending = Ending()
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    for each in _SIGNALS:
        if before[each] is not signal.SIG_IGN:
            signal.signal(each, ending.on_signal)
    try:
        yield ending
    finally:
        for each in _SIGNALS:
            signal.signal(each, before[each])


@contextlib.contextmanager
def guest(broker: str, device: str, *, keep: bool) -> Iterator[None]:
    """Clear ``device`` from ``broker`` afterwards, unless the demo goes on.

    An empty ``broker`` is the demo's own, and ends with it.
    """
    settings = Settings(url=broker, broker_timeout_s=_GUEST_TIMEOUT_S)
    try:
        yield
    except BaseException as error:
        answers = not isinstance(error, BrokerError) or not error.code.startswith("broker_")
        if broker and answers:
            with contextlib.suppress(EdgeAgentError):
                forget(settings, device)
        raise
    if broker and not keep:
        forget(settings, device)


def forget(settings: Settings, device: str) -> None:
    """Clear the retained messages of a device, and the blobs that no other device needs."""
    with Session(settings) as session:
        topics = session.topics
        wants = session.snapshot(topics.want(Scope("d", device), "+"))
        retained = session.snapshot(
            *(topics.device(device, kind) for kind in ("status", "info")),
            *(topics.device(device, kind, "+") for kind in ("job", "model")),
        )
        manifests = [manifest for payload in wants.values() if (manifest := read_want(payload))]
        left = session.clear([*wants, *retained])
        alone = {blob.sha256 for manifest in manifests for blob in manifest.blobs} - referenced(session, time.time())
        for sha256, blob in held_blobs(session).items():
            if sha256 in alone:
                left += session.clear(blob.topics(topics))
        session.say_left(left)


def stop(directory: Path) -> None:
    """End a kept demo, and remove its folder once nothing writes there any more.

    Raises:
        ConfigError: ``usage``: the folder holds no demo.
    """
    stage = _read_stage(directory)
    for name in ("pid", "agent_pid", "sensor_pid"):  # the first ends the others, if it still lives
        _end(int(stage[name]), str(stage["directory"]))
    if stage["guest"]:
        forget(Settings(url=stage["broker"], broker_timeout_s=_GUEST_TIMEOUT_S), stage["device"])
    shutil.rmtree(directory)


def _read_stage(directory: Path) -> dict[str, Any]:
    file = directory / STAGE_FILE
    try:
        stage = json.loads(file.read_text(encoding="utf-8"))
        return {key: stage[key] for key in ("pid", "agent_pid", "sensor_pid", "directory", "broker", "device", "guest")}
    except OSError as error:
        text = f"{directory} is no folder of a kept demo: {file.name}: {error.strerror}"
        raise ConfigError("usage", f"{text}; give the folder that demo --keep has named") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError("usage", f"{file} was not written by a demo of this version; remove the folder") from None


def _end(pid: int, directory: str) -> None:
    """End a process of the demo, by force if it takes too long. A process id that was reused is left alone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _runs_there(pid, directory):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + _END_TIMEOUT_S
        while _runs_there(pid, directory) and time.monotonic() < deadline:
            time.sleep(_TICK_S)


def _runs_there(pid: int, directory: str) -> bool:
    """Whether a process belongs to the demo's folder. A zombie has no command line."""
    try:
        return os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
