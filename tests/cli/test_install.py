"""``edge-agent install`` below another root: real files, real venvs, real wheels, and a daemon that really runs."""

import io
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installed import NEVER_READY, Device, build_wheel, foreign_wheel
from support.service_manager import put_first_in_path

from edge_agent.cli import main
from edge_agent.cli.installation.versions import Versions
from edge_agent.errors import StoreError
from edge_agent.settings.device import parse_config

pytestmark = pytest.mark.children(covered=False)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the wheels of this module."""
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def wheel(wheels: Path) -> Path:
    """This checkout as a version that works, built without a network."""
    return build_wheel(wheels, "0.2.0")


@pytest.fixture(scope="module", autouse=True)
def no_network() -> Iterator[None]:
    """Have pip install the wheel without the 500 MB that it depends on, and compile what is used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_DEPS", "1")
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_NO_COMPILE", "1")
        yield


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """A device with nothing on it but a service manager; nobody answers its questions."""
    device = Device(tmp_path / "root")
    monkeypatch.setenv("PATH", put_first_in_path(device.root, tmp_path / "bin"))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    yield device
    device.systemctl("stop")


@pytest.fixture(scope="module")
def device_of_the_module(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device on which 0.2.0 is installed and runs."""
    folder = tmp_path_factory.mktemp("device")
    device = Device(folder / "root").configure()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", put_first_in_path(device.root, folder / "bin"))
        assert device.install(wheel) == 0
        assert device.systemctl("start") == 0
        yield device
        device.systemctl("stop")


@pytest.fixture
def running(device_of_the_module: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """A device that must run 0.2.0 after a test as it did before, started by the same unit."""
    device = device_of_the_module
    unit = device.unit.read_text(encoding="utf-8")
    assert (device.current, device.runs) == ("0.2.0", "0.2.0")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    yield device
    assert (device.current, device.runs) == ("0.2.0", "0.2.0")
    assert device.unit.read_text(encoding="utf-8") == unit


@pytest.mark.slow
def test_installs_what_the_unit_starts_and_keeps_what_the_operator_changed(
    bare: Device, wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, unit, config = bare.root, bare.unit, bare.config
    keys = root / "etc/edge-agent/trusted-keys"
    again = ["install", "--root", str(root), "--from", str(wheel)]

    assert main(again) == 0
    said = capsys.readouterr().out
    program = root / "opt/edge-agent/current/bin/edge-agent"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert version == "edge-agent 0.2.0\n"
    assert bare.current == "0.2.0"
    assert stat.S_IMODE((root / "opt/edge-agent/0.2.0").stat().st_mode) == 0o755
    assert f"ExecStart=/{program.relative_to(root)} run" in unit.read_text(encoding="utf-8")
    (documentation,) = re.findall(r"^Documentation=file:///(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    assert (root / documentation).is_file()
    assert (root / documentation).with_name("docs").joinpath("hook.md").is_file(), "config.toml names it"
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    assert stat.S_IMODE(keys.stat().st_mode) == 0o755
    assert parse_config(tomllib.loads(config.read_text(encoding="utf-8"))).device_id
    assert (root / "usr/local/bin/edge-agent").readlink() == Path("/opt/edge-agent/current/bin/edge-agent")
    assert all(str(path) in said for path in (unit, config, keys))
    assert "check-config" in said

    bare.configure()
    mine = config.read_text(encoding="utf-8")
    assert bare.systemctl("start") == 0
    unit.write_text("[Unit]\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(again) == 2
    assert unit.read_text(encoding="utf-8") == "[Unit]\n"

    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(again) == 2
    assert "--yes" in capsys.readouterr().err
    assert Versions(bare.prefix).all() == [bare.prefix / "0.2.0"]

    assert bare.install(wheel, "--yes", "--no-restart") == 0
    assert "ExecStart" in unit.read_text(encoding="utf-8")
    assert config.read_text(encoding="utf-8") == mine
    assert (bare.current, bare.runs) == ("0.2.0-2", "0.2.0")
    assert "next: sudo systemctl restart edge-agent" in capsys.readouterr().out


@pytest.mark.slow
def test_an_upgrade_from_the_one_folder_of_former_versions(
    bare: Device, wheels: Path, wheel: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare.configure()
    bare.install_as_formerly(build_wheel(wheels, "0.1.0", unit=lambda text: text.replace("/current/", "/venv/")))
    bare.pip(foreign_wheel(wheels, "edge_agent_lidar"))
    assert bare.systemctl("start") == 0
    assert bare.runs == "venv"
    files = bare.files("venv")

    assert bare.install(wheel) == 0

    assert (bare.current, bare.runs) == ("0.2.0", "0.2.0")
    assert bare.files("venv") == files
    assert "/current/bin/edge-agent run" in bare.unit.read_text(encoding="utf-8")
    assert (bare.root / "usr/local/bin/edge-agent").readlink() == Path("/opt/edge-agent/current/bin/edge-agent")
    assert any(path.name == "edge_agent_lidar-1.dist-info" for path in (bare.prefix / "0.2.0").rglob("*.dist-info"))
    assert "to go back: sudo ln -sfn venv /opt/edge-agent/current" in capfd.readouterr().out

    subprocess.run(["/bin/ln", "-sfn", "venv", bare.prefix / "current"], check=True)
    assert bare.systemctl("restart") == 0
    assert bare.runs == "venv"

    bare.systemctl("stop")
    assert bare.install(wheel) == 0
    assert bare.manager.state() == ("inactive", 0)  # what was stopped stays stopped
    assert Versions(bare.prefix).all() == [bare.prefix / "0.2.0-2", bare.prefix / "venv"]
    assert bare.current == "0.2.0-2"
    assert "next: sudo systemctl enable --now edge-agent" in capfd.readouterr().out


@pytest.mark.slow
def test_a_version_that_is_not_ready_goes_and_the_one_before_runs_again(
    running: Device, wheels: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = running.manager.state()[1]
    broken = build_wheel(wheels, "0.3.0", run=NEVER_READY, unit=lambda text: f"# Newer.\n{text}")

    assert running.install(broken) == 5

    assert running.manager.state()[1] != pid
    said = capfd.readouterr().err
    assert "0.3.0 did not become ready" in said
    assert "0.2.0 was restored and runs again; see journalctl -u edge-agent -n 50" in said
    assert "broken on purpose" in (running.manager.folder / "log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_pip_that_fails_leaves_everything_as_it_was(
    running: Device, wheels: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_DEPS")
    before = running.manager.state()
    unhappy = build_wheel(wheels, "0.4.0", needs="edge-agent-which-nobody-has")

    with pytest.raises(StoreError, match="ended with 1"):
        running.install(unhappy)

    assert running.manager.state() == before
    assert not (running.prefix / "0.4.0").exists()
    said = capfd.readouterr()
    assert "No matching distribution found for edge-agent-which-nobody-has" in said.err
    assert "0.4.0, which is incomplete; nothing else was changed" in said.out


def test_without_root_it_says_sudo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert main(["install"]) == 2
    assert "sudo" in capsys.readouterr().err
