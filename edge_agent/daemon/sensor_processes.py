"""The daemon's side of shared sensors: starts a process for each, restarts it when it dies, tracks its state.

One thread per sensor waits for its process and only puts events into the inbox; the consumer calls
:meth:`Sensors.note`. Jobs continue whatever a sensor's process does; a job that needs the sensor reports what it lacks.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.daemon.events import SensorSaid
from edge_agent.errors import CODES
from edge_agent.execution.launcher import source_table
from edge_agent.foreign.allowance import Allowance
from edge_agent.foreign.decoding import cut, cut_text, decode
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child
from edge_agent.retry.backoff import Backoff
from edge_agent.settings.device import Config
from edge_agent.settings.sharing import SensorProcessConfig, SourceState, source_folder, split_common_keys
from edge_agent.strict import UNDECODABLE

log = logging.getLogger(__name__)

_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 60.0
_GRACE_S = 8.0
_JOIN_S = 12.0
_LOG_EVERY_S = 86_400.0
_LINES_PER_S, _LINES_AT_ONCE = 2.0, 20
"""Lines of a sensor's process, which reports every change, and its state every ten seconds."""
_STATE_LIMITS = {"most_text": 500, "most_items": 50}


class Sensor:
    """One sensor's process, kept alive by a thread."""

    def __init__(self, config: SensorProcessConfig, put: Callable[[SensorSaid], None]) -> None:
        self.name = config.name
        self._config = msgspec.json.encode(config)
        self._put = put
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._allowance = Allowance(_LINES_PER_S, _LINES_AT_ONCE)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name=f"sensor-{config.name}", daemon=True)

    def start(self) -> None:
        """Start the process, and restart it whenever it ends."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the process for good; returns at once."""
        self._stopped.set()
        with self._lock:
            if self._child is not None:
                self._child.stop(_GRACE_S)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    @property
    def pid(self) -> int:
        """Id of the process; 0 if none runs."""
        with self._lock:
            return self._child.pid if self._child is not None else 0

    def _keep_alive(self) -> None:
        backoff = Backoff(_FIRST_DELAY_S, _LONGEST_DELAY_S)
        while not self._stopped.is_set():
            try:
                ended = self._run()
            except Exception as error:  # noqa: BLE001  # a sensor that cannot be started must not end the thread
                ended = ChildExit(127, "exited", 0, f"{error!r}", 0.0)
            if self._stopped.is_set():
                return
            delay_s = backoff.ended(ended.seconds)
            text = f"its process {ended.describe()}; restarting it in {delay_s:g} s"
            self._put(SensorSaid(self.name, SourceState(code="stage_crashed", message=text)))
            self._stopped.wait(delay_s)

    def _run(self) -> ChildExit:
        with self._lock:
            if self._stopped.is_set():
                return ChildExit(0, "stopped", 0, "", 0.0)
            self._child = child = Child(
                python_child("edge_agent.sensing"),
                limits=ChildLimits(timeout_s=None),
                on_line=self._take_line,
                stdin=self._config,
            )
        try:
            return child.wait()
        finally:
            with self._lock:
                self._child = None

    def _take_line(self, line: str) -> None:
        """Handle a line of the process, at a limited rate, as malicious input may have taken over the driver."""
        if not self._allowance.take():
            return
        try:
            said = msgspec.convert(cut(decode(line.encode(), dict[str, Any]), **_STATE_LIMITS), SourceState)
        except (*UNDECODABLE, UnicodeEncodeError) as error:
            text = "sensor %s wrote a line that is not of the protocol (%s): %.200r"
            log.warning(text, self.name, cut_text(str(error), 200), line)
            return
        if said.code and said.code not in CODES:
            said = msgspec.structs.replace(said, code="stage_crashed")
        self._put(SensorSaid(self.name, said))


class Sensors:
    """The shared sensors of this device."""

    def __init__(self, config: Config, put: Callable[[SensorSaid], None]) -> None:
        self.states: dict[str, SourceState] = {}
        """The last state of each shared sensor that has reported one."""
        self._logged: dict[str, float] = {}
        self._root = Path(config.state_dir)
        self._sensors: list[Sensor] = []
        for name, table in config.sources.items():
            if split_common_keys(name, table)[0].shared:
                self._sensors.append(Sensor(make_process_config(config, name), put))

    @property
    def names(self) -> list[str]:
        """The names of the shared sensors."""
        return [sensor.name for sensor in self._sensors]

    @property
    def pids(self) -> Mapping[str, int]:
        """The process id of each sensor."""
        return {sensor.name: sensor.pid for sensor in self._sensors}

    def start(self) -> None:
        """Start a process for each sensor."""
        for sensor in self._sensors:
            folder = source_folder(self._root, sensor.name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                folder.parent.chmod(0o755)  # users of a socket must reach it; the folder itself belongs to the group
            except OSError as error:
                log.error("sensor %s: %s: %s", sensor.name, folder, error.strerror)  # noqa: TRY400  # its process says more
            sensor.start()

    def stop(self) -> None:
        """Stop all processes; returns at once."""
        for sensor in self._sensors:
            sensor.stop()

    def join(self) -> None:
        """Wait for their ends, which includes writing their samples to disk."""
        deadline = time.monotonic() + _JOIN_S
        for sensor in self._sensors:
            sensor.join(max(0.0, deadline - time.monotonic()))

    def note(self, said: SensorSaid) -> bool:
        """Store a sensor's reported state and log it on change and once a day; returns whether it has changed."""
        before = self.states.get(said.name)
        self.states[said.name] = state = said.state
        news = before is None or (before.state, before.code) != (state.state, state.code)
        now = time.monotonic()
        if news or now - self._logged.get(said.name, now) > _LOG_EVERY_S:
            self._logged[said.name] = now
            level = logging.INFO if state.state == "open" and not state.code else logging.WARNING
            log.log(level, "sensor %s", describe(said.name, state))
        self._logged.setdefault(said.name, now)
        return news

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Each shared sensor's state, as ``status`` and ``info`` show it."""
        return {name: msgspec.to_builtins(self.states.get(name, SourceState())) for name in self.names}


def make_process_config(config: Config, name: str) -> SensorProcessConfig:
    """The configuration for the process of a shared sensor."""
    keeping, own = split_common_keys(name, source_table(config, name))
    return SensorProcessConfig(
        name=name, folder=str(source_folder(Path(config.state_dir), name)), table=own, keeping=keeping
    )


def describe(name: str, state: SourceState) -> str:
    """A one-line description for a person."""
    what = f"{name}: {state.state}"
    if state.rate_hz is not None and state.state == "open":
        what += f", {state.rate_hz:.4g} samples a second"
    if state.wanted:
        what += f", {state.kept} of {state.wanted} segments stored over {state.hours:.1f} h"
        what += f", {state.written_mb_last_day:.3g} MB written in the last day"
    if state.confined is not None:
        what += f", confined by {' '.join(state.confined) or 'nothing: this kernel has neither Landlock nor seccomp'}"
    told = (
        (state.late, "lost"),
        (state.dropped, "dropped by readers"),
        (state.over_budget, "segments not stored because of the write budget"),
        (state.unwritten, "segments not stored because the disk refused them"),
    )
    lost = [f"{count} {word}" for count, word in told if count]
    if lost:
        what += f", {', '.join(lost)}"
    return f"{what}: {state.message}" if state.message else what
