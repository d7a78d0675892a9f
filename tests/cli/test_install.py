"""``edge-agent install`` below another root: real files, a real venv, a real wheel."""

import io
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.cli.install import device_name, origin
from edge_agent.settings.device import parse_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout as a wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("edge_agent", "host_tools", "systemd"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture
def installed(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, str]:
    """A root in which the wheel is installed, without the 500 MB that it depends on, and what was printed."""
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert main(["install", "--root", str(tmp_path), "--from", str(wheel)]) == 0
    return tmp_path, capsys.readouterr().out


@pytest.mark.slow
def test_installs_what_the_unit_starts_and_keeps_what_the_operator_changed(
    installed: tuple[Path, str], wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, said = installed
    unit, config = root / "etc/systemd/system/edge-agent.service", root / "etc/edge-agent/config.toml"
    keys = root / "etc/edge-agent/trusted-keys"
    program = root / "opt/edge-agent/venv/bin/edge-agent"
    again = ["install", "--root", str(root), "--from", str(wheel)]

    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert version.startswith("edge-agent ")
    assert f"ExecStart={Path('/') / program.relative_to(root)} run" in unit.read_text(encoding="utf-8")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o755
    assert parse_config(tomllib.loads(config.read_text(encoding="utf-8"))).device_id
    assert (root / "usr/local/bin/edge-agent").readlink() == Path("/opt/edge-agent/venv/bin/edge-agent")
    assert all(str(path) in said for path in (unit, config, keys))
    assert "check-config" in said

    config.write_text('device_id = "mine"\n', encoding="utf-8")
    unit.write_text("[Unit]\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(again) == 2
    assert unit.read_text(encoding="utf-8") == "[Unit]\n"

    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(again) == 2
    assert "--yes" in capsys.readouterr().err

    assert main([*again, "--yes"]) == 0
    assert "ExecStart" in unit.read_text(encoding="utf-8")
    assert config.read_text(encoding="utf-8") == 'device_id = "mine"\n'


def test_without_root_it_says_sudo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert main(["install"]) == 2
    assert "sudo" in capsys.readouterr().err


def test_installs_from_where_it_came_itself(tmp_path: Path) -> None:
    assert origin(None).startswith("edge-agent-int8[device] @ ")
    assert origin(str(tmp_path)) == f"edge-agent-int8[device] @ {tmp_path.as_uri()}"
    assert origin("git+https://example.org/x@1") == "edge-agent-int8[device] @ git+https://example.org/x@1"


@pytest.mark.parametrize(
    ("hostname", "device"),
    [("raspberrypi", "raspberrypi"), ("Pi-03.lab.example", "pi-03"), ("Jörg's Pi", "j-rg-s-pi"), ("...", "pi-01")],
)
def test_the_device_is_called_as_its_host(hostname: str, device: str) -> None:
    assert device_name(hostname) == device
