"""What commands say to a user without rights: that it is a matter of rights, and how to get them; never a falsehood."""

import grp
import os
import re
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.demo import MODEL
from support.unprivileged import edge_agent, lock, open_folder

from edge_agent.daemon.control_socket import SOCKET_NAME, ControlServer

pytestmark = pytest.mark.children(covered=False)


@pytest.fixture
def device() -> Iterator[Path]:
    """The folder of a device's configuration and state."""
    with open_folder() as folder:
        (folder / "config.toml").write_text(
            f'device_id = "pi"\nstate_dir = "{folder}/state"\n[mqtt]\nurl = "mqtt://127.0.0.1:9"\n'
            f'[trust]\nkeys_dir = "{folder}/keys"\n'
            f'[sources.imu]\nkind = "serial"\nport = "{folder}/imu"\n'
            'channels = ["a"]\nrate_hz = 50\nkeep_windows = 9\n',
            encoding="utf-8",
        )
        for name in ("jobs", "models", "sources/imu/kept"):
            (folder / "state" / name).mkdir(parents=True)
        (folder / "keys").mkdir()
        yield folder


@pytest.fixture
def daemon(device: Path) -> Iterator[None]:
    """A control socket that is served, for its own user only."""
    server = ControlServer(device / "state" / SOCKET_NAME, lambda request: request.reply({}))
    lock(device / "state" / SOCKET_NAME)
    yield
    server.close()


def assert_refused(device: Path, path: str, *argv: str | Path) -> str:
    """The command names the path and sudo, and does not succeed; returns what it said."""
    ended = edge_agent(*argv, "--config", device / "config.toml")

    assert ended.returncode == 2, ended
    assert f"{device / path}: permission denied, it belongs to user " in ended.stderr
    assert "use sudo" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("command", [["status"], ["rollback", "har"], ["recalibrate", "har"], ["cancel", "j"]])
def test_a_daemon_that_runs_is_not_said_to_be_absent(device: Path, command: list[str]) -> None:
    said = assert_refused(device, f"state/{SOCKET_NAME}", *command)

    assert "(permission_denied)" in said
    assert "not running" not in said
    assert "no edge-agent daemon" not in said


@pytest.mark.parametrize("folder", ["state", "state/jobs", "state/models"])
def test_jobs_that_cannot_be_seen_are_not_said_to_be_none(device: Path, folder: str) -> None:
    lock(device / folder)

    assert_refused(device, "state/control.sock" if folder == "state" else folder, "status")


def test_releases_that_cannot_be_seen_are_not_said_to_be_none(device: Path) -> None:
    lock(device / "state/models")

    assert_refused(device, "state/models", "releases")


@pytest.mark.skipif(os.getuid() != 0, reason="the folder is this user's own, who may always make it writable again")
def test_a_rollback_without_a_daemon_needs_the_right_to_write(device: Path) -> None:
    (device / "state").chmod(0o555)
    if os.getuid() == 0:
        os.chown(device / "state", 0, grp.getgrall()[-1].gr_gid)

    said = assert_refused(device, "state", "rollback", "har")

    assert "state_unreadable" not in said
    assert "join the group" not in said, "its members may read there, and no more"


@pytest.mark.parametrize("command", [["status"], ["check-config"], ["run"], ["capture", "imu"], ["rollback", "har"]])
def test_a_configuration_that_may_not_be_read(device: Path, command: list[str]) -> None:
    lock(device / "config.toml")

    assert_refused(device, "config.toml", *command)


def test_keys_that_cannot_be_seen_are_not_said_to_be_none(device: Path) -> None:
    lock(device / "keys")

    assert "holds 0 keys" not in assert_refused(device, "keys", "run")


def test_a_sensor_that_may_not_be_opened_names_the_group(device: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = Path(os.ttyname(slave))
    (device / "imu").symlink_to(port)
    mode = port.stat().st_mode
    port.chmod(0o600 if os.getuid() == 0 else 0)

    ended = edge_agent("capture", "imu", "--config", device / "config.toml")

    port.chmod(mode)
    os.close(master)
    os.close(slave)
    assert ended.returncode == 5
    assert re.search(r"imu: permission denied, .* use sudo, or join the group dialout: sudo usermod -aG ", ended.stderr)


def test_what_is_kept_and_may_not_be_read(device: Path) -> None:
    (device / "state/sources/imu/kept/slots").write_bytes(b"")
    lock(device / "state/sources/imu/kept")

    ended = edge_agent("capture", "imu", "--kept", "--config", device / "config.toml")

    assert ended.returncode == 5
    assert "permission denied" in ended.stderr
    assert "(permission_denied)" in ended.stderr


def test_a_result_that_may_not_be_written(device: Path) -> None:
    (device / "c.npz").write_bytes(b"")
    (device / "here").mkdir(mode=0o555)

    ended = edge_agent("quantize", MODEL, "--calibration", device / "c.npz", "--out", device / "here" / "out")

    assert ended.returncode == 2
    assert "here" in ended.stderr
    assert "permission denied" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_doctor_goes_on_and_says_what_it_could_not_see(device: Path) -> None:
    (device / "password").write_text("secret", encoding="utf-8")
    config = device / "config.toml"
    text = config.read_text(encoding="utf-8").replace("[trust]", f'password_file = "{device}/password"\n[trust]')
    config.write_text(text, encoding="utf-8")
    for name in ("password", "keys"):
        lock(device / name)

    ended = edge_agent("doctor", "--config", config)

    assert ended.returncode == 1
    assert f"password_file {device}/password: permission denied" in ended.stdout
    assert f"{device}/keys: permission denied" in ended.stdout
    assert ended.stdout.count("→ sudo edge-agent doctor") >= 2
    assert "source imu" in ended.stdout
