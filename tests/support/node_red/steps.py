"""The flow's functions one after the other, as its wires have them, at moments that a test says."""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from support import npm
from support.node_red.flow import SOURCE

START = 1_800_000_000.0


class Steps:
    """The flow without Node-RED. Its clock begins at :data:`START` and goes when a test says."""

    def __init__(self) -> None:
        try:
            argv = [npm.node(), str(Path(__file__).with_name("step.mjs"))]
        except npm.NotHereError as missing:
            pytest.skip(str(missing))
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.begin()

    def begin(self) -> None:
        """Forget everything; the broker is connected."""
        self.now = START
        self._run("", {})
        self.connected()

    def connected(self, fill: str = "green") -> None:
        """The MQTT node's status has this colour: green, yellow, red."""
        self._run("connection.js", {"status": {"fill": fill}})

    def hear(self, topic: str, payload: bytes | str, *, retained: bool = False) -> bool:
        """The broker brings a message; whether it was understood."""
        text = payload if isinstance(payload, str) else payload.decode()
        message = self._run("read.js", {"topic": topic, "payload": text, "retain": retained})
        if message is None:
            return False
        self._run("remember.js", message)
        return True

    def tick(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The rows, and the lines of what is newly wrong."""
        rows = self._run("rows.js", {})
        problems = self._run("problems.js", {"payload": rows["payload"]})
        return rows["payload"], problems["payload"].split("\n") if problems else []

    def problems(self) -> list[str]:
        """The lines of what is newly wrong."""
        return self.tick()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _run(self, source: str, msg: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        step = {"now": self.now * 1000, "source": str(SOURCE / source) if source else "", "msg": msg}
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
