"""``sudo edge-agent doctor``: what root may and the service may not is found, with a user and a unit that are real."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.unprivileged import open_folder

from edge_agent.cli import open_source
from edge_agent.cli.check import Check
from edge_agent.cli.doctor_checks import examine
from edge_agent.cli.doctor_sources import check_sources
from edge_agent.cli.installation.host import UNIT
from edge_agent.cli.service_rights import ServiceRights, rights_as_installed, rights_of
from edge_agent.settings.device import read_config
from host_tools.broker.signing import generate_key
from host_tools.demo.simulator import SerialImu

pytestmark = [
    pytest.mark.children(covered=False),
    pytest.mark.skipif(os.getuid() != 0, reason="only root may do what others may not"),
]

NOBODY = pwd.getpwnam("nobody")
SHIPPED = (Path(__file__).parents[2] / "systemd/edge-agent.service").read_text(encoding="utf-8")
UNIT_TEXT = SHIPPED.replace("User=edge-agent", "User=nobody")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes long to start a process."""
    monkeypatch.setattr(open_source, "OPEN_TIMEOUT_S", 120.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def service() -> ServiceRights:
    found = rights_of(UNIT_TEXT)
    assert found is not None
    return found


Examined = Callable[..., dict[str, Check]]


@pytest.fixture
def examined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Examined:
    """Every check but those of runtimes, of a device whose unit names ``nobody``, by the check's name."""
    monkeypatch.setattr("edge_agent.cli.doctor_checks._runtimes", lambda: ())
    unit = folder / UNIT.relative_to("/")
    unit.parent.mkdir(parents=True)
    unit.write_text(UNIT_TEXT, encoding="utf-8")
    (folder / "keys").mkdir()
    generate_key(folder / "me.key", folder / "keys/me.pem")

    def run(mqtt: str = "", mode: int = 0o644) -> dict[str, Check]:
        config = folder / "config.toml"
        config.write_text(
            f'device_id = "pi"\nstate_dir = "{folder}/state"\n[trust]\nkeys_dir = "{folder}/keys"\n'
            f'[mqtt]\nurl = "mqtt://127.0.0.1:9"\n{mqtt}\n',
            encoding="utf-8",
        )
        config.chmod(mode)
        return {check.name: check for check in examine(config, folder)}

    return run


def test_the_unit_says_as_whom_the_service_runs_and_what_it_may_open() -> None:
    found = rights_of(f"{UNIT_TEXT}\n[Service]\nSupplementaryGroups=video no-such-group\nDeviceAllow=/dev/video0 r\n")

    assert found is not None
    assert (found.user, found.uid, found.groups[0]) == ("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    assert len(found.groups) > 1
    assert found.devices == ("char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS", "char-ttyTHS", "/dev/video0")


@pytest.mark.parametrize(
    ("text", "devices"),
    [("", None), ("DevicePolicy=closed", ()), ("DeviceAllow=char-alsa rw\nDeviceAllow=\nDeviceAllow=a r", ("a",))],
)
def test_without_a_policy_every_device_is_open(text: str, devices: tuple[str, ...] | None) -> None:
    found = rights_of(f"[Service]\nUser=nobody\n{text}")

    assert found is not None
    assert found.devices == devices


@pytest.mark.parametrize(
    ("controllers", "delegate", "how"),
    [
        ("cpu memory pids", "", "a cgroup of its own"),
        ("cpu memory pids", "Delegate=yes", "a cgroup of its own"),
        ("cpu pids", "", "RLIMIT_AS"),
        ("cpu memory pids", "Delegate=\nDelegate=pids", "RLIMIT_AS"),
    ],
)
def test_what_limits_a_worker_of_the_service_is_told_not_what_would_limit_one_of_this_shell(
    folder: Path, examined: Examined, controllers: str, delegate: str, how: str
) -> None:
    there = folder / "sys/fs/cgroup/cgroup.controllers"
    there.parent.mkdir(parents=True)
    there.write_text(f"{controllers}\n", encoding="ascii")
    drop_in = folder / f"{UNIT.relative_to('/')}.d/x.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\n{delegate}\n", encoding="utf-8")

    assert examined()["memory"].detail.endswith(f"held by {how}")


def test_a_unit_of_root_or_of_nobody_known_says_nothing(folder: Path) -> None:
    assert rights_of("[Service]\n") is None
    assert rights_of("[Service]\nUser=no-such-user") is None
    assert rights_as_installed(folder) is None


def test_a_source_that_only_root_may_open_fails(folder: Path, service: ServiceRights) -> None:
    recording = folder / "x.npz"
    np.savez(recording, np.zeros((100, 2), np.float32))
    config = folder / "config.toml"
    config.write_text(f'device_id = "pi"\n[sources.rec]\nkind = "replay"\npath = "{recording}"\nrate_hz = 10\n')

    (sound,) = check_sources(read_config(config), service)
    recording.chmod(0o600)
    (shut,) = check_sources(read_config(config), service)
    (as_root,) = check_sources(read_config(config))

    assert (sound.level, sound.detail) == ("ok", f"replay {recording}, opened as nobody")
    assert shut.level == "fail"
    assert "ermission denied" in shut.detail
    assert shut.remedy.startswith(f"sudo chgrp nobody {recording}")
    assert as_root.level == "ok"


def test_a_port_is_opened_as_the_service_would(folder: Path, service: ServiceRights) -> None:
    config = folder / "config.toml"
    with SerialImu(folder / "imu") as imu:
        port = Path(imu.port).resolve()
        config.write_text(
            f'device_id = "pi"\n[sources.imu]\nkind = "serial"\nport = "{imu.port}"\n'
            'channels = ["ax", "ay", "az", "gx", "gy", "gz"]\nrate_hz = 50\n'
        )
        port.chmod(0o600)
        (shut,) = check_sources(read_config(config), service)
        port.chmod(0o666)
        (sound,) = check_sources(read_config(config), service)

    assert shut.level == "fail"
    assert shut.remedy == "sudo usermod -aG dialout nobody && sudo systemctl restart edge-agent"
    assert sound.level == "ok"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"kind": "camera", "device": "/dev/video0"}, "DeviceAllow=char-video4linux rw"),
        ({"kind": "camera", "device": __file__}, ""),
        ({"kind": "audio"}, "DeviceAllow=char-alsa rw"),
        ({"kind": "iio", "device": "bmi160", "mode": "buffer"}, "DeviceAllow=char-iio rw"),
        ({"kind": "iio", "device": "bmi160"}, "DeviceAllow=char-iio rw"),
        ({"kind": "iio", "device": "bmi160", "mode": "poll"}, ""),
        ({"kind": "serial", "port": "/dev/null"}, ""),
        ({"kind": "serial", "port": "/dev/tty"}, "DeviceAllow=char-/dev/ptmx rw"),
        ({"kind": "mqtt", "topic": "x"}, ""),
    ],
)
def test_a_device_that_the_unit_shuts_out_names_the_line(
    service: ServiceRights, table: dict[str, str], line: str
) -> None:
    assert service.shut_out(table) == line
    everything = rights_of("User=nobody")
    assert everything is not None
    assert everything.shut_out(table) == ""


def test_a_device_number_with_several_names_is_allowed_by_one_of_them(
    service: ServiceRights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Pi's UART shares its number with consoles, and systemd looks at the number."""
    monkeypatch.setattr("edge_agent.cli.service_rights._drivers", lambda _: ["/dev/vc/0", "tty", "ttyS"])

    assert service.shut_out({"kind": "serial", "port": "/dev/ttyS0"}) == ""


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
def test_a_file_of_the_broker_that_the_service_may_not_read_fails(folder: Path, examined: Examined, key: str) -> None:
    (folder / "secret").write_text("secret", encoding="utf-8")
    (folder / "secret").chmod(0o600)

    broker = examined(f'{key} = "{folder}/secret"')["broker"]

    assert broker.level == "fail"
    assert broker.detail == f"{key} {folder}/secret: the service's user nobody may not read it"
    assert broker.remedy.startswith(f"sudo chgrp nobody {folder}/secret && sudo chmod g+rX {folder}/secret")


def test_configuration_keys_and_state_are_held_against_the_services_user(folder: Path, examined: Examined) -> None:
    sound = examined()
    assert [sound[name].level for name in ("config", "state", "trust")] == ["ok"] * 3

    (folder / "state").mkdir()
    (folder / "keys/me.pem").chmod(0o600)
    shut = examined(mode=0o600)

    assert [shut[name].level for name in ("config", "state", "trust")] == ["fail"] * 3
    assert "keys/me.pem: the service's user nobody may not read it" in shut["trust"].detail
    assert shut["state"].remedy == f"sudo chown -R nobody: {folder}/state"
