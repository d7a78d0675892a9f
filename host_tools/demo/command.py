"""``host-tools demo``: the whole path of a model on this machine. Only the sensor's hardware is simulated.

The demo starts a broker, a serial IMU on a pseudo-terminal that replays recorded data, and the agent in a temporary
directory. Then it pushes a model as ``push-model`` does. It needs no root and no network.
"""

import contextlib
import json
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_agent.advice.installation import require
from edge_agent.errors import BrokerError, ConfigError, StageError
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.demo.simulator import SerialImu
from host_tools.demo.stage import AGENT_LOG, CONFIG_FILE, STAGE_FILE, STATE_DIR
from host_tools.demo.tidying import Ending, ended_by_signals, guest, stop
from host_tools.display.progress import open_display
from host_tools.display.result_table import show
from host_tools.exits import INTERRUPTED
from host_tools.invocation import typed
from host_tools.push.push import PushRequest, push
from host_tools.push.sending import PushResult

_DATA = Path(__file__).with_name("data")
_BUNDLED = {
    "onnx": (_DATA / "har.onnx", _DATA / "har.toml"),
    "tflite": (_DATA / "har.tflite", _DATA / "har_tflite.toml"),
}
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 30.0
_TICK_S = 0.1
_GONE = "Broker, sensor and agent have stopped, and their folder is removed."


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="leave broker, sensor and agent running afterwards")] = False,
    model: Annotated[
        str,
        typer.Option("--model", metavar="onnx|tflite|FILE", help="the bundled model in this format, or one of yours"),
    ] = "onnx",
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="M.toml", show_default=False, help="your model's manifest")
    ] = None,
    broker: Annotated[
        str,
        typer.Option("--broker", metavar="URL", show_default=False, help="use this broker, not the demo's own"),
    ] = "",
    pace: Annotated[
        str, typer.Option("--pace", metavar="max|real|N", help="how fast the sensor sends; N: bytes a second")
    ] = "max",
    broker_timeout: Annotated[
        float, typer.Option("--broker-timeout", metavar="S", min=0, help="give up when the broker is away this long")
    ] = 60.0,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="also serve a page with ten simulated devices, until Ctrl-C")
    ] = False,
    stop_kept: Annotated[
        Path | None,
        typer.Option("--stop", metavar="DIR", show_default=False, help="end a kept demo, and remove its folder"),
    ] = None,
) -> None:
    """Show the whole path of a model on this machine.

    Sent, calibrated, quantized, proved, measured, activated.

    The model (a small network that tells seven shoulder exercises apart) and the recording that the sensor replays
    come with the package. The gates are those of its manifest, for ONNX the defaults: a model that fails one is
    rejected here, too.
    """
    if stop_kept is not None:
        stop(stop_kept)
        _say(f"Broker, sensor and agent have stopped, and {stop_kept} is removed.")
        return
    chosen, described = _bundled(model, manifest)
    if dashboard and broker:
        raise ConfigError("usage", "--dashboard simulates devices, on a broker of the demo's own; leave --broker out")
    web = ["starlette", "uvicorn", "sse_starlette", "python_multipart"] if dashboard else []
    require("numpy", "serial", *([] if broker else ["iotcore"]), *web)
    device = f"demo-{secrets.token_hex(2)}" if broker else "demo"
    request = PushRequest(model=chosen, manifest=described, scopes=[Scope("d", device)], devices_stay=keep)
    with ended_by_signals() as ending:
        try:
            with (
                _folder(ending, keep=keep) as directory,
                guest(broker, device, keep=keep),
                _stage(directory, device, broker, pace, keep=keep, dashboard=dashboard) as stage,
            ):
                settings = Settings(url=stage["broker"], broker_timeout_s=broker_timeout)
                if dashboard:
                    _say(f"The page: {stage['page']}/")
                result = _run(directory, request, settings, device, keep=keep)
                if dashboard and not keep:
                    _linger(stage["page"])
        except KeyboardInterrupt:
            _say(f"Interrupted. {_GONE}")
            raise typer.Exit(INTERRUPTED) from None
    if not keep:
        _say(_GONE)
        _say(f"To look around in a demo that goes on: {typed('host-tools')} demo --keep")
        _say("Next: push a model of your own to such a demo, or install the agent on a device: docs/install.md")
    raise typer.Exit(result.exit)


def _run(directory: Path, request: PushRequest, settings: Settings, device: str, *, keep: bool) -> PushResult:
    """Push the model, and show the result."""
    _wait_online(settings, device, directory)
    _say(f"broker {settings.url}, device {device}, sensor {directory / 'imu'}, log {directory / AGENT_LOG}")
    with open_display(as_json=False) as display:
        result = push(settings, request, display)
    show(result.reports)
    _say_what_now(directory, request, result, settings, device, keep=keep)
    return result


@contextlib.contextmanager
def _folder(ending: Ending, *, keep: bool) -> Iterator[Path]:
    """A folder for everything. It is removed afterwards, unless the demo goes on or the folder's logs are needed."""
    directory = Path(tempfile.mkdtemp(prefix="edge-agent-demo-"))
    try:
        yield directory
    except BaseException as error:
        if ending.number or isinstance(error, KeyboardInterrupt):
            shutil.rmtree(directory, ignore_errors=True)
            raise
        _say(f"The logs of broker, sensor and agent are in {directory}; remove it when you have read them.")
        raise
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)


def _bundled(model: str, manifest: Path | None) -> tuple[Path, Path]:
    """The model to send and its manifest; raises ``ConfigError`` (usage) if the user gives only one of them."""
    if (model in _BUNDLED) != (manifest is None):
        raise ConfigError("usage", f"give --model FILE and --manifest together, or --model {' or '.join(_BUNDLED)}")
    return _BUNDLED[model] if manifest is None else (Path(model), manifest)


@contextlib.contextmanager
def _stage(
    directory: Path, device: str, broker: str, pace: str, *, keep: bool, dashboard: bool
) -> Iterator[dict[str, Any]]:
    """Run broker, sensor and agent in another process during the block; yields the content of ``stage.json``."""
    argv = [sys.executable, "-m", "host_tools.demo.stage", str(directory), "--device", device, "--pace", pace]
    argv += ["--broker", broker] if broker else []
    argv += ["--keep"] if keep else []
    argv += ["--dashboard"] if dashboard else []
    with (directory / "stage.log").open("wb") as log:
        stage = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL if keep else subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )  # Ctrl-C is for the push; the stage ends with us
    left = False
    try:
        yield _wait_ready(stage, directory)
        left = keep
    finally:
        if not left:
            stage.terminate()
            stage.wait(_END_TIMEOUT_S)
            if stage.stdin:
                stage.stdin.close()


def _wait_ready(stage: subprocess.Popen[bytes], directory: Path) -> dict[str, Any]:
    ready, deadline = directory / STAGE_FILE, time.monotonic() + _START_TIMEOUT_S
    while not ready.exists():
        if stage.poll() is not None or time.monotonic() > deadline:
            log = (directory / "stage.log").read_text(encoding="utf-8", errors="replace").strip()
            raise StageError("stage_crashed", f"the demo did not start: {log or directory}")
        time.sleep(_TICK_S)
    found: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return found


def _linger(page: str) -> None:
    """Keep the page up until Ctrl-C."""
    _say(f"The page goes on: {page}/ (Ctrl-C ends it and the whole demo)")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


def _wait_online(settings: Settings, device: str, directory: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    with Session(settings) as session:
        while not ((known := read_devices(session).get(device)) and known.online and known.info):
            if time.monotonic() > deadline:
                log = directory / AGENT_LOG
                last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2][-200:]
                raise BrokerError("not_running", f"the agent did not come online; see {log}, which ends with: {last}")
            time.sleep(_TICK_S)


def _say_what_now(
    directory: Path, request: PushRequest, result: PushResult, settings: Settings, device: str, *, keep: bool
) -> None:
    sensor = SerialImu(directory / "imu").progress()
    _say(f"The sensor sent {sensor.samples} samples, {sensor.times_real_time:.0f} times faster than real time.")
    if not keep:
        return
    if result.devices[device]["release"]:
        release = (directory / STATE_DIR / "models" / result.manifest.name / "active").resolve()
        _say(f"The release is in {release}: the model, its contract, and its verdict.")
    again = [str(request.model), "--manifest", str(request.manifest), "--device", device]
    _say("Broker, sensor and agent keep running. Next:")
    _say(f"  {command_line(settings, 'host-tools', 'devices')}")
    _say(f"  {command_line(settings, 'host-tools', 'report', result.job)}")
    _say(f"  {command_line(settings, 'push-model', *again)}")
    _say(f"  {typed('edge-agent')} releases --config {shlex.quote(str(directory / CONFIG_FILE))}")
    _say("To stop them and remove the demo:")
    _say(f"  {typed('host-tools')} demo --stop {shlex.quote(str(directory))}")


def _say(text: str) -> None:
    print(text, flush=True)
