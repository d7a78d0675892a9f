"""A running Node-RED, the real one from npm, on a free port of 127.0.0.1, with flows that a test gives it.

``python -m support.node_red`` (in ``tests``) installs it and no more.
"""

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from host_tools.demo.broker import free_ports
from support import npm

HERE = Path(__file__).parent
_STARTS_WITHIN_S = 60.0
_SETTINGS = {
    "uiHost": "127.0.0.1",
    "flowFile": "flows.json",
    "credentialSecret": False,
    "externalModules": {"autoInstall": False, "palette": {"allowInstall": False, "catalogues": []}},
    "telemetry": {"enabled": False, "updateNotification": False},
    "diagnostics": {"enabled": False},
    "editorTheme": {"tours": False},
    "mqttReconnectTime": 1000,
    "logging": {"console": {"level": "info"}},
}


def installed(within_s: float = 240) -> Path:
    """The folder that npm has installed it into; raises as :func:`support.npm.installed`."""
    return npm.installed("node-red", HERE, within_s=within_s)


class NodeRed:
    """Node-RED with its files in ``directory``; starts on entering, ends on leaving.

    Attributes:
        url: of its editor, its admin API and the pages of its flows.
        log: what it says on its standard output.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._program = installed() / "node_modules" / "node-red" / "red.js"
        except npm.NotHereError as missing:
            pytest.skip(str(missing))
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = directory / "node-red.log"
        self._directory = directory

    def __enter__(self) -> Self:
        settings = self._directory / "settings.js"
        settings.write_text(f"module.exports = {json.dumps(_SETTINGS | {'uiPort': self._port})}", encoding="utf-8")
        argv = [npm.node(), str(self._program), "--userDir", str(self._directory), "--settings", str(settings)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            self._started(1)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def deploy(self, flows: list[dict[str, Any]]) -> None:
        """Run these flows and no others, as a press on the editor's button does."""
        before = self._starts()
        self.ask("/flows", flows)
        self._started(before + 1)

    def press(self, inject: str) -> None:
        """Press the button of an inject node."""
        self.ask(f"/inject/{inject}", {})

    def ask(self, path: str, body: object = None) -> bytes:
        """The answer to a GET or, with a body, to a POST of JSON; empty where it answers with no success."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "*/*"}
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310  # of this machine
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # the same
            said: bytes = answer.read()
        return said

    def _starts(self) -> int:
        return self.log.read_text(encoding="utf-8").count("Started flows")

    def _started(self, times: int) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while self._starts() < times:
            assert self._process.poll() is None, self.log.read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.05)
