"""The dashboard of a demo and ten simulated devices beside the real one, as children of the stage."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.errors import StageError

DEVICES = 10
_MAIN = "import sys; from host_tools.cli.app import main; sys.argv[0] = 'host-tools'; main()"
_WHERE = re.compile(r" is on (http://\S+)/;")
_SIMULATED = ("simulate", str(DEVICES), "--beside-real", "--keep", "--jobs-per-hour", "12", "--job-seconds", "90",
              "--health", "10", "--samples", "10", "--failures", "0.3")  # fmt: skip
_SHOWN = ("dashboard", "--listen", "127.0.0.1:0", "--allow-commands", "--unsigned")
_START_TIMEOUT_S, _END_TIMEOUT_S, _TICK_S = 60.0, 10.0, 0.1


@contextlib.contextmanager
def page(directory: Path, broker: str) -> Iterator[str]:
    """Run both during the block; yields the page's address.

    Raises:
        StageError: ``stage_crashed``: the page did not start.
    """
    log = directory / "dashboard.log"
    with (
        _child(directory / "simulate.log", *_SIMULATED, "--broker", broker),
        _child(log, *_SHOWN, "--broker", broker) as child,
    ):
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (found := _WHERE.search(log.read_text(encoding="utf-8", errors="replace"))):
            if child.poll() is not None or time.monotonic() > deadline:
                raise StageError("stage_crashed", f"the dashboard did not start; see {log}")
            time.sleep(_TICK_S)
        yield found[1]


@contextlib.contextmanager
def _child(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        argv = [sys.executable, "-c", _MAIN, *arguments]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
