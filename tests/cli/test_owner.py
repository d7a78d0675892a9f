"""Root acts on a state directory as its owner: what that user has put there is not followed with root's rights."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agents import LocalAgent
from support.unprivileged import NOBODY, open_folder

from edge_agent.cli.owner import as_owner, owner_of
from edge_agent.state.releases import Releases

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become others"),
    pytest.mark.children(covered=False),
]


@pytest.fixture
def device() -> Iterator[Path]:
    """A device with two releases whose state is another user's, and a hook that notes as whom it runs."""
    with open_folder() as folder:
        state = folder / "state"
        agent = LocalAgent(state).boot()
        for version in (1, 2):
            agent.want(version)
            agent.settle()
        agent.off()
        (folder / "secret").write_text("root's own")
        (folder / "secret").chmod(0o600)
        hook = folder / "hook.sh"
        hook.write_text(f"#!/bin/sh\nid -u > {state}/told\n")
        hook.chmod(0o755)
        (folder / "config.toml").write_text(
            f'device_id = "pi-01"\nstate_dir = "{state}"\n[activation]\nhook = ["{hook}"]\n'
            '[mqtt]\nurl = "mqtt://127.0.0.1:9"\n[trust]\nallow_unsigned = true\n'
            '[sources.imu]\nkind = "serial"\nport = "/dev/none"\nchannels = ["a"]\nrate_hz = 50\nkeep_windows = 9\n',
        )
        give(state)
        yield folder


def give(*paths: Path) -> None:
    """Make the paths, and all that is in them, the other user's."""
    for path in paths:
        for place in (path, *path.rglob("*")):
            os.lchown(place, NOBODY, NOBODY)


def as_root(device: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_agent", *argv, "--config", str(device / "config.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def link(device: Path, place: str) -> Path:
    """What the other user puts there: a link to what is root's."""
    path = device / "state" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(device / "secret")
    give(device / "state")
    return path


@pytest.mark.parametrize("place", ["models/.har.json.tmp", "models/har.json", "models/har/.active.tmp", ""])
def test_a_rollback_writes_nothing_of_roots_and_runs_the_hook_as_the_owner(device: Path, place: str) -> None:
    if place:
        (device / "state" / place).unlink(missing_ok=True)
        link(device, place)

    ended = as_root(device, "rollback", "har")

    active = Releases(device / "state/models", "har").active()
    assert (device / "secret").read_text() == "root's own"
    assert ended.returncode == 0, ended.stderr
    assert active is not None
    assert active.version == 1
    assert (device / "state/told").read_text() == f"{NOBODY}\n"
    assert {path.lstat().st_uid for path in (device / "state").rglob("*")} == {NOBODY}


def test_a_state_directory_that_is_a_link_to_roots_own_is_not_written_as_root(device: Path) -> None:
    """Its own user has moved it away, and a link to a folder of root's is in its place."""
    (device / "theirs").mkdir()
    (device / "state").rename(device / "theirs/state")
    (device / "etc/models").mkdir(parents=True)
    (device / "theirs/moved").symlink_to(device / "etc")
    give(device / "theirs")
    config = device / "config.toml"
    config.write_text(config.read_text().replace(f"{device}/state", f"{device}/theirs/moved"))

    ended = as_root(device, "rollback", "har")

    assert ended.returncode == 2, ended
    assert "permission denied" in ended.stderr
    assert [path.name for path in (device / "etc").rglob("*")] == ["models"]


def test_what_is_kept_of_a_sensor_is_read_as_the_owner(device: Path) -> None:
    (device / "hidden").mkdir(mode=0o700)
    (device / "hidden/stretches.bin").write_bytes(b"root's own")
    (device / "state/sources/imu").mkdir(parents=True)
    (device / "state/sources/imu/kept").symlink_to(device / "hidden")
    give(device / "state")

    ended = as_root(device, "capture", "imu", "--kept")

    assert ended.returncode == 5
    assert "permission denied" in ended.stderr


@pytest.mark.parametrize("command", ["status", "releases"])
def test_what_only_looks_does_so_as_the_owner(device: Path, command: str) -> None:
    (device / "state/models").chmod(0o000)
    (device / "hidden").mkdir(mode=0o700)
    (device / "state/models").rename(device / "hidden/models")
    (device / "state/models").symlink_to(device / "hidden/models")
    give(device / "state")

    ended = as_root(device, command)

    assert ended.returncode == 2, ended
    assert "permission denied" in ended.stderr
    assert "Traceback" not in ended.stderr


def may_run_this_python() -> bool:
    """Whether the other user may: the interpreter of a developer often lies in a home."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user=NOBODY, check=False).returncode == 0
    except PermissionError:
        return False


def test_a_daemon_that_root_starts_is_the_owners(device: Path) -> None:
    """Or says at once that it cannot be: it starts its own interpreter again and again."""
    argv = [sys.executable, "-m", "edge_agent", "run", "--config", str(device / "config.toml")]
    runs, said, ids = may_run_this_python(), "", ""
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 60
            while runs and not (device / "state/control.sock").exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            if runs:
                ids = Path(f"/proc/{process.pid}/status").read_text()
                process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()

    assert {path.lstat().st_uid for path in (device / "state").rglob("*")} == {NOBODY}
    if runs:
        assert process.returncode == 0
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in ids
    else:
        assert process.returncode == 2
        assert f"{sys.executable} cannot be run by the owner of" in said


@pytest.mark.parametrize("place", ["state", "state/lock"])
def test_a_daemon_that_was_roots_until_now_says_whose_its_files_have_to_be(device: Path, place: str) -> None:
    """In a container whose state is mounted from a person's folder, and where root's is in one."""
    give(device)
    os.chown(device / place, 0, 0)

    done = as_root(device, "run")

    assert done.returncode == 2
    assert f"sudo chown -R {NOBODY} {device / 'state'}" in done.stderr
    assert "use sudo" not in done.stderr


def test_root_is_the_owner_only_while_it_looks(device: Path) -> None:
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with as_owner(device / "state"):
        inside = (os.geteuid(), os.getegid())
        with pytest.raises(PermissionError):
            (device / "secret").read_text()

    assert inside == (NOBODY, NOBODY)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (device / "secret").read_text() == "root's own"


def test_the_owner_of_what_is_roots_alone_is_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder/../loop")
    (tmp_path / "loop").symlink_to("loop")

    assert owner_of(tmp_path) is None
    assert owner_of(tmp_path / "not" / "there") is None
    assert owner_of(tmp_path / "loop") is None
