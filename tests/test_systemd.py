"""The unit and the example configuration: what systemd says about them, and that they and the code agree."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from edge_agent.settings.device import DEFAULT_PATH, Config, Limits, Mqtt, parse_config

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "edge-agent.service"
EXAMPLE = ROOT / "systemd" / "config.toml"


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze: sudo apt install systemd")
    return program


@pytest.fixture
def startable(tmp_path: Path) -> Path:
    """A copy whose program exists on this machine."""
    text = UNIT.read_text(encoding="utf-8").replace(f"ExecStart={value('ExecStart').split()[0]}", "ExecStart=/bin/true")
    copy = tmp_path / "edge-agent.service"
    copy.write_text(text, encoding="utf-8")
    return copy


def settings() -> list[tuple[str, str]]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [(key, found) for key, sep, found in (line.partition("=") for line in lines) if sep and key[0] != "#"]


def value(key: str) -> str:
    return next(found for name, found in settings() if name == key)


def check(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No other program is found, as on a machine without man: the unit's words need none.
    environment = os.environ | {"SYSTEMD_PAGER": "", "LC_ALL": "C", "PATH": ""}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


@pytest.mark.systemd
def test_verify_says_nothing(analyze: str, startable: Path) -> None:
    answer = check(analyze, "verify", str(startable))

    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")  # a misspelt key only prints


@pytest.mark.systemd
def test_verify_would_have_spoken(analyze: str, startable: Path) -> None:
    startable.write_text(startable.read_text(encoding="utf-8").replace("RestartSec=", "RestartSecs="), encoding="utf-8")

    answer = check(analyze, "verify", str(startable))

    assert "RestartSecs" in answer.stderr


@pytest.mark.systemd
def test_exposure_is_at_most_1_5(analyze: str, startable: Path) -> None:
    answer = check(analyze, "security", "--offline=true", "--no-pager", "--threshold=15", str(startable))

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Overall exposure level" in answer.stdout + answer.stderr


def test_the_units_paths_are_the_configurations_defaults() -> None:
    state = Path("/var/lib") / value("StateDirectory")
    folder = Path("/etc") / value("ConfigurationDirectory")

    assert str(state) == Config(device_id="x").state_dir
    assert DEFAULT_PATH.parent == folder
    assert value("ExecStart").endswith(f" run --config {DEFAULT_PATH}")
    assert Path(Config(device_id="x").trust.keys_dir).parent == folder


def test_an_out_of_memory_worker_or_a_late_driver_is_no_outage() -> None:
    assert value("OOMPolicy") == "continue"
    assert value("Restart") == "on-failure"
    assert value("StartLimitIntervalSec") == "0"
    modules = {"modprobe@usbserial.service", "modprobe@cdc_acm.service"}
    for key in ("Wants", "After"):
        assert modules <= {unit for name, found in settings() if name == key for unit in found.split()}


def test_nothing_hides_what_the_runtimes_read_or_forbids_what_workers_do() -> None:
    keys = {name for name, _ in settings()}
    filters = [found for name, found in settings() if name == "SystemCallFilter"]

    assert not keys & {"ProcSubset", "PrivateDevices", "ProtectControlGroups"}
    assert not any("@resources" in found for found in filters)
    assert any("landlock_restrict_self" in found for found in filters)


def test_the_example_configuration_shows_every_key_with_its_default() -> None:
    tables = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    config = parse_config(tables)
    example = Config(
        device_id="pi-01",
        mqtt=Mqtt(url="mqtts://broker.local:8883"),
        limits=Limits(require_confinement=True),  # what is new is strict; what was there before it goes on
        sources=config.sources,
    )

    assert config == example
    for name, table in (("mqtt", config.mqtt), ("trust", config.trust), ("limits", config.limits)):
        assert set(tables[name]) == set(table.__struct_fields__)
    assert set(tables["activation"]) == set(config.activation.__struct_fields__)
    assert set(tables["capture"]) == set(config.capture.__struct_fields__)
    assert set(tables) == set(Config.__struct_fields__)
