"""Run a host command as its console script would, in this process."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from host_tools.cli.push_model import main as push_main

MANIFEST = """
name = "har"
[input]
source = "imu"
channels = ["ax", "ay"]
window = { size = 128, hop = 64 }
[output]
kind = "classes"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    exit: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Host:
    """A host with a model, a manifest, and settings for one broker."""

    url: str
    namespace: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        self.model = self.folder / "har.onnx"
        self.model.write_bytes(bytes(range(256)) * 1000)
        self.manifest = self.write_manifest(MANIFEST)
        self.monkeypatch.setenv("XDG_CONFIG_HOME", str(self.folder / "config"))
        self.monkeypatch.setenv("XDG_STATE_HOME", str(self.folder / "state"))

    def write_manifest(self, text: str) -> Path:
        path = self.folder / "har.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, main: Callable[[], None], *argv: str | Path) -> Ended:
        """``main`` with these arguments and this broker."""
        where = ["--broker", self.url, "--namespace", self.namespace, "--broker-timeout", "60"]
        return self.run_bare(main, *argv, *where)

    def run_bare(self, main: Callable[[], None], *argv: str | Path) -> Ended:
        """``main`` with exactly these arguments."""
        self.monkeypatch.setattr(sys, "argv", ["command", *map(str, argv)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = self.capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, said.out, said.err)

    def push(self, *argv: str | Path) -> Ended:
        """``push-model`` of the model with the manifest."""
        return self.run(push_main, self.model, "--manifest", self.manifest, *argv)
