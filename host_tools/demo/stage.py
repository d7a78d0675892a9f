"""The demo's broker, sensor and agent, as children of one process, so that one signal ends them all.

    python -m host_tools.demo.stage DIRECTORY --device demo [--broker URL] [--pace max] [--keep] [--dashboard]

Writes ``stage.json`` once all three run. Ends on SIGTERM and when the agent ends. Without ``--keep`` it also ends when
its stdin closes, so nothing outlives a demo that was killed.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from edge_agent.errors import EdgeAgentError
from host_tools.demo.broker import EmbeddedBroker
from host_tools.demo.page import page
from host_tools.demo.simulator import SerialImu

STAGE_FILE = "stage.json"
CONFIG_FILE = "config.toml"
AGENT_LOG = "agent.log"
STATE_DIR = "state"
_STOP_TIMEOUT_S = 15.0
_TICK_S = 0.2

_CONFIG = """\
# Written by host-tools demo. A real device asks for signatures: leave allow_unsigned out and fill [trust] keys_dir.
device_id = "{device}"
groups = ["demo"]
state_dir = "{state_dir}"

[mqtt]
url = "{broker}"
namespace = "{namespace}"

[trust]
allow_unsigned = true

[telemetry]
health_s = 5

[sources.imu]
kind = "serial"
port = "{port}"
baud = 115200
framing = "csv"
channels = ["ax", "ay", "az", "gx", "gy", "gz"]
rate_hz = 50
"""


def main(argv: list[str]) -> int:
    """Run until a signal, the agent's end, or the end of stdin."""
    arguments = _parse(argv)
    directory: Path = arguments.directory
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if not arguments.keep:
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    try:
        with contextlib.ExitStack() as stack:
            url = arguments.broker or stack.enter_context(EmbeddedBroker(directory)).url
            imu = stack.enter_context(SerialImu(directory / "imu", pace=arguments.pace, rewind=True))
            config = _write_config(directory, arguments, url, imu.port)
            agent = stack.enter_context(_agent(config, directory / AGENT_LOG))
            shown = stack.enter_context(page(directory, url)) if arguments.dashboard else ""
            ready = {
                "pid": os.getpid(), "agent_pid": agent.pid, "sensor_pid": imu.pid, "directory": str(directory),
                "broker": url, "device": arguments.device, "guest": bool(arguments.broker), "page": shown,
            }  # fmt: skip
            temporary = directory / f"{STAGE_FILE}.tmp"
            temporary.write_text(json.dumps(ready), encoding="utf-8")
            temporary.replace(directory / STAGE_FILE)
            while not stop.wait(_TICK_S) and agent.poll() is None:
                pass
            return 0 if agent.poll() is None else 1
    except EdgeAgentError as error:
        print(f"error: {error.code}: {error.message}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _agent(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        agent = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield agent
    finally:
        agent.terminate()
        try:
            agent.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _write_config(directory: Path, arguments: argparse.Namespace, url: str, port: Path) -> Path:
    path = directory / CONFIG_FILE
    text = _CONFIG.format(
        device=arguments.device, state_dir=directory / STATE_DIR, broker=url, namespace=arguments.namespace, port=port
    )
    path.write_text(text, encoding="utf-8")
    return path


def _wait_for_eof(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m host_tools.demo.stage")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--namespace", default="ea/v1")
    parser.add_argument("--broker", default="")
    parser.add_argument("--pace", default="max")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--dashboard", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
