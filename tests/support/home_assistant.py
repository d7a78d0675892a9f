"""A running Home Assistant: its real core with its MQTT integration, in an environment and a process of its own."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent
_ENVIRONMENT = ROOT / ".venv-home-assistant"
PYTHON = _ENVIRONMENT / "bin" / "python"
HERE = (_ENVIRONMENT / "installed").exists()
NOT_HERE = "Home Assistant is not installed: .ci/home-assistant"

Seen = dict[str, Any]


class RunningHomeAssistant:
    """Home Assistant at a broker on this machine; starts on entering, ends on leaving."""

    def __init__(self, directory: Path, port: int) -> None:
        self._log = directory / "core.log"
        (directory / "configuration.yaml").touch()
        argv = [str(PYTHON), str(Path(__file__).with_name("home_assistant_core.py")), str(directory), str(port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def see(self) -> Seen:
        """What it shows and has logged: states, entities (unique id → entity id), devices, log."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text(encoding="utf-8")[-3000:]
        seen: Seen = json.loads(line)
        return seen

    def wait(self, until: Callable[[Seen], bool], timeout_s: float = 20) -> Seen:
        """What it shows once ``until`` holds."""
        deadline = time.monotonic() + timeout_s
        while not until(seen := self.see()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()  # a clean end takes seconds
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def shown(seen: Seen, prefix: str) -> dict[str, str]:
    """Entity, by the end of its unique id behind ``prefix``, → its state."""
    return {
        unique.removeprefix(prefix): seen["states"].get(entity, {"state": "none"})["state"]
        for unique, entity in seen["entities"].items()
        if unique.startswith(prefix)
    }


def attributes(seen: Seen, unique: str) -> dict[str, Any]:
    """The attributes of an entity."""
    found: dict[str, Any] = seen["states"][seen["entities"][unique]]["attributes"]
    return found
