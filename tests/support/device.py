"""A device as it really is: the daemon in a child process, its sensor on a pty, and an eye on what it says over MQTT.

Verdicts are read from the broker, as anybody else would read them. Whatever it says is what ``docs/asyncapi.yaml`` says
that it says.
"""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from edge_agent.mqtt import Connected, Incoming
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.manifest import Blob, Gates, InputContract, Manifest, Output, Recipe, encode_manifest
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, decode
from edge_agent.wire.topics import DeviceTopic, Scope, Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.demo.simulator import SerialImu
from host_tools.push.manifest_file import model_format, read_blob, read_manifest_file
from host_tools.push.upload import Uploader
from support.links import QueuedLink
from support.protocol import Protocol

DEMO = Path(sys.modules[SerialImu.__module__].__file__ or "").with_name("data")
DEMO_MODEL, TFLITE_MODEL = DEMO / "har.onnx", DEMO / "har.tflite"
DEMO_CHANNELS = ["ax", "ay", "az", "gx", "gy", "gz"]
SMALL = Recipe(
    method="static", calibration="minmax", calibration_windows=60, search_windows=60, heldout_windows=100,
    search_budget_s=2,
)  # fmt: skip
"""Enough to see a job through; what verdicts are worth is tested where the statistics are."""

ONE_CANDIDATE = msgspec.structs.replace(SMALL, method="uniform", calibration="auto")
"""Less still, for what happens before or after the search: six structures take the screening as many seconds."""

EASY = Gates(max_latency_ratio=0, min_agreement=0.7)
"""For few windows on a busy machine; the proofs of agreement and speed at their defaults have a test of their own."""

SMALL_AND_EASY = """
[recipe]
method = "static"
calibration = "minmax"
calibration_windows = 60
search_windows = 60
heldout_windows = 100
search_budget_s = 2
[gates]
max_latency_ratio = 0
min_agreement = 0.7
"""
"""Both of these, as an operator writes them."""

_IMPATIENT = """
import sys
from edge_agent.cli import main
from edge_agent.daemon.transfer import receiver
receiver.PATIENCE_S = (0.5, 2.0)
sys.exit(main())
"""
IMPATIENT = ["-c", _IMPATIENT]
"""A :attr:`Device.program` whose daemon waits a tenth of its time for chunks that do not come."""

T = TypeVar("T", JobReport, DeviceStatus, DeviceInfo)


class Device:
    """A running daemon. Settings that a test wants otherwise go into ``tables``."""

    def __init__(
        self,
        directory: Path,
        url: str,
        namespace: str,
        *,
        name: str = "pi-01",
        login: tuple[str, str] = ("", ""),
        **tables: dict[str, Any],
    ) -> None:
        self.directory = directory
        self.url = url
        self.namespace = namespace
        self.name = name
        self.topics = Topics(namespace)
        self.state = directory / f"{name}-state"
        self.port = directory / "imu"
        self.log = directory / f"{name}.log"
        self.config = directory / f"{name}.toml"
        self.reports: list[JobReport] = []
        self.status: DeviceStatus | None = None
        self.info: DeviceInfo | None = None
        self.wrapper: list[str] = []
        """A command to run the daemon under."""
        self.program = ["-m", "edge_agent"]
        """What Python is to run."""
        self._protocol = Protocol(namespace)
        self._eye = QueuedLink(url, f"eye-{name}-{namespace[-6:]}", login=login)
        self._process: subprocess.Popen[bytes] | None = None
        self.write_config(**tables)

    def write_config(self, **tables: dict[str, Any]) -> None:
        """Write the configuration: a serial IMU on the pty, unsigned manifests, and what ``tables`` says."""
        imu = {
            "kind": "serial", "port": str(self.port), "baud": 115200, "framing": "csv",
            "channels": DEMO_CHANNELS, "rate_hz": 50,
        }  # fmt: skip
        merged: dict[str, dict[str, Any]] = {
            "mqtt": {"url": self.url, "namespace": self.namespace},
            "trust": {"allow_unsigned": True},
            "sources.imu": imu,
        }
        for table, values in tables.items():
            merged[table.replace("__", ".")] = {**merged.get(table.replace("__", "."), {}), **values}
        lines = [f'device_id = "{self.name}"', 'groups = ["lab"]', f'state_dir = "{self.state}"']
        for table, values in merged.items():
            lines.append(f"[{table}]")
            lines += [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start the daemon and wait until it says that it is online."""
        before = self.status.seq if self.status else 0
        self.launch()
        self.expect(DeviceStatus, lambda status: status.online and status.seq > before, 60)

    def launch(self, *options: str) -> None:
        """Start the daemon without waiting for it."""
        argv = [*self.wrapper, sys.executable, *self.program, "run", "--config", str(self.config), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)

    def stop(self) -> int:
        """End the daemon as systemd would; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(60)
        self._process = None
        return code

    def kill(self) -> None:
        """The power fails."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)
        self._process = None

    def wait(self, timeout_s: float = 120) -> int:
        """Wait for a daemon that ends by itself."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the daemon runs."""
        return self._process is not None and self._process.poll() is None

    def expect(self, kind: type[T], where: Callable[[T], bool], timeout_s: float = 120) -> T:
        """The first message of ``kind`` from now on for which ``where`` holds."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._next(max(0.05, deadline - time.monotonic()))
            if isinstance(message, kind) and where(message):
                return message
            if time.monotonic() > deadline:
                raise TimeoutError(f"no such {kind.__name__}; the daemon said:\n{self.log.read_text()[-3000:]}")

    def end_of(self, version: int, timeout_s: float = 180) -> JobReport:
        """The last report of a version's job."""
        for report in reversed(self.reports):
            if report.version == version and report.ended:
                return report
        return self.expect(JobReport, lambda report: report.version == version and report.ended, timeout_s)

    def _next(self, timeout_s: float) -> object:
        try:
            event = self._eye.inbox.get(timeout=min(timeout_s, 1.0))
        except queue.Empty:
            return None
        if isinstance(event, Connected):
            self._eye.link.subscribe(f"{self.namespace}/d/{self.name}/#")
        if not isinstance(event, Incoming) or not event.payload:
            return None
        topic = self.topics.parse(event.topic)
        if isinstance(topic, DeviceTopic):
            assert not (faults := self._protocol.faults(event.topic, event.payload)), f"{event.topic}: {faults}"
        match topic:
            case DeviceTopic(_, "job"):
                self.reports.append(decode(event.payload, JobReport))
                return self.reports[-1]
            case DeviceTopic(_, "status"):
                self.status = decode(event.payload, DeviceStatus)
                return self.status
            case DeviceTopic(_, "info"):
                self.info = decode(event.payload, DeviceInfo)
                return self.info
        return None

    def active(self, model: str = "har") -> dict[str, Any] | None:
        """What an application would find active now."""
        path = self.state / "models" / model / "active" / "release.json"
        return msgspec.json.decode(path.read_bytes()) if path.exists() else None

    def __enter__(self) -> Self:
        self._eye.link.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._eye.link.stop()
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGTERM)
            self._process.wait(60)


def demo_contract(model: Path = DEMO_MODEL) -> list[InputContract]:
    """The input contract of the demo's model, in the layout of its format."""
    return read_manifest_file(DEMO / ("har_tflite.toml" if model.suffix == ".tflite" else "har.toml")).inputs


def push(
    device: Device,
    model: Path = DEMO_MODEL,
    *,
    version: int = 1,
    scope: Scope | None = None,
    recipe: Recipe = SMALL,
    gates: Gates = EASY,
    inputs: list[InputContract] | None = None,
    blob: Blob | None = None,
    upload: bool = True,
    login: tuple[str, str] = ("", ""),
    **fields: Any,
) -> str:
    """Send a manifest, and the model unless ``upload`` is False; returns nothing that the device did not say."""
    scope = scope or Scope("d", device.name)
    described = blob or read_blob(model)
    manifest = Manifest(
        namespace=device.namespace,
        name=fields.pop("name", "har"),
        version=version,
        format=model_format(model),
        blob=described,
        inputs=demo_contract(model) if inputs is None else inputs,
        output=Output(kind="classes"),
        recipe=recipe,
        gates=gates,
        targets=[str(scope)],
        **fields,
    )
    settings = Settings(url=device.url, namespace=device.namespace, username=login[0], password_file=login[1])
    with Session(settings) as session:
        if upload:
            Uploader(session, [(model, described)]).upload()
        session.publish(device.topics.want(scope, manifest.name), seal(encode_manifest(manifest), MANIFEST_TYPE))
    return manifest.name
