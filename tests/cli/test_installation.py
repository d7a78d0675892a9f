"""The parts of ``edge-agent install``: folders and link, what an operator added, what a version ships, the service."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import service_manager
from support.installed import copy_of_checkout, set_version
from support.service_manager import Manager, put_first_in_path

from edge_agent.cli.installation import versions
from edge_agent.cli.installation.additions import additions
from edge_agent.cli.installation.host import device_name, link_command
from edge_agent.cli.installation.requirement import requirement_of
from edge_agent.cli.installation.service import NotReadyError, Service
from edge_agent.cli.installation.shipped import look_into
from edge_agent.cli.installation.switch import Switch
from edge_agent.cli.installation.unit import unit_text
from edge_agent.cli.installation.versions import Versions
from edge_agent.errors import ConfigError, LimitError

DAEMON = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.connect(chr(0) + os.environ["NOTIFY_SOCKET"][1:])
    manager.send(b"READY=1")
time.sleep({lives_s})
raise SystemExit(1)
"""


def complete(folder: Path) -> Path:
    """Make ``folder`` look like a version's venv."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/edge-agent").touch()
    (folder / "pyvenv.cfg").touch()
    return folder


def leave(site: Path, name: str, *more: str, requested: bool = False, url: str = "") -> None:
    """Make what pip leaves of an installed package; ``more`` are lines of its metadata."""
    info = site / f"{name.replace('-', '_')}-1.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *more, ""]
    (info / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    if requested:
        (info / "REQUESTED").touch()
    if url:
        (info / "direct_url.json").write_text(f'{{"url": "{url}", "archive_info": {{}}}}', encoding="utf-8")


def test_a_new_folder_never_takes_the_place_of_one_that_is_complete(tmp_path: Path) -> None:
    there = Versions(tmp_path)
    there.activate(complete(tmp_path / "1.0"))
    half_made = there.begin("1.0")
    assert half_made.name == "1.0-2"

    again = there.begin("1.0")  # the first attempt was interrupted
    assert again == half_made
    there.finish(complete(again))

    assert there.begin("1.0").name == "1.0-3"
    assert there.active == tmp_path / "1.0"


def test_a_folder_that_a_process_runs_from_stays(tmp_path: Path) -> None:
    there = Versions(tmp_path)
    old, older, new = (complete(tmp_path / name) for name in ("venv", "1.0", "2.0"))
    program = older / "bin/sleep"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        while program.name not in Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8"):
            time.sleep(0.01)  # it is still this interpreter

        assert dict(there.remove_all_but(new)) == {old: [], older: [process.pid]}
        process.kill()

    assert old.readlink() == Path("current")  # applications start its Python by this path
    assert dict(there.remove_all_but(new)) == {older: []}


def test_what_is_no_version_of_ours_stays(tmp_path: Path) -> None:
    there = Versions(tmp_path)
    notes = tmp_path / "2024"
    notes.mkdir()
    own_venv = tmp_path / "my-venv"
    (own_venv / "bin").mkdir(parents=True)
    (own_venv / "pyvenv.cfg").touch()

    assert list(there.remove_all_but()) == []
    assert there.begin("2024").name == "2024-2"
    assert notes.exists()
    assert own_venv.exists()


def test_one_installation_at_a_time(tmp_path: Path) -> None:
    with Versions(tmp_path).locked(), pytest.raises(ConfigError, match="another edge-agent install"):
        Versions(tmp_path).locked().__enter__()


def test_a_full_disk_is_noticed_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "NEEDED_BYTES", 1 << 62)

    with pytest.raises(LimitError, match=r"MB are free for .*, a version needs .* nothing was changed"):
        Versions(tmp_path).begin("1.0")
    assert list(tmp_path.iterdir()) == []


def test_a_current_that_is_no_link_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()

    with pytest.raises(ConfigError, match="is no link"):
        _ = Versions(tmp_path).active


def test_extras_and_packages_that_an_operator_added_are_found(tmp_path: Path) -> None:
    site, new = tmp_path / "old", tmp_path / "new"
    leave(
        site, "edge-agent",
        "Requires-Dist: msgspec",
        "Requires-Dist: OpenCV.Headless<4.12; extra == 'camera'",
        'Requires-Dist: pillow; extra == "camera"',
        "Requires-Dist: pillow; extra == 'plot'",
        "Requires-Dist: sounddevice; extra == 'audio'",
        requested=True,
    )  # fmt: skip
    leave(site, "msgspec")
    leave(site, "opencv-headless")
    leave(site, "Pillow")
    leave(site, "pip", requested=True)
    leave(site, "lidar", requested=True, url="https://example.org/lidar-1.tar.gz")
    leave(site, "numpy", requested=True)
    leave(site, "radar", requested=True)
    leave(new, "msgspec")
    leave(new, "radar")

    found = additions(site)

    assert found.extras == {"camera", "plot"}
    assert found.missing(new, "# tested\nnumpy==2\n") == ["lidar @ https://example.org/lidar-1.tar.gz", "numpy"]
    assert found.missing(new, "")[1] == "numpy==1"
    assert additions(None).missing(new, "") == []


def test_a_folder_of_the_packages_name_is_looked_into_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip's way to say: with the hatchling that is here
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    source = copy_of_checkout(tmp_path / "edge-agent", "1.0")
    for number in ("1.0", "1.1"):
        set_version(source, number)
        scratch = tmp_path / number
        scratch.mkdir()

        shipped = look_into(requirement_of(str(source)), scratch)

        assert shipped.version == number
        assert "msgspec==" in shipped.constraints
        assert "[Service]" in shipped.unit
        assert "device_id" in shipped.config


def test_installs_from_where_it_came_itself(tmp_path: Path) -> None:
    assert requirement_of(None).startswith("edge-agent-int8[device] @ ")
    assert requirement_of(str(tmp_path)) == f"edge-agent-int8[device] @ {tmp_path.as_uri()}"
    assert requirement_of("git+https://example.org/x@1") == "edge-agent-int8[device] @ git+https://example.org/x@1"
    assert requirement_of(str(tmp_path), {"camera"}) == f"edge-agent-int8[camera,device] @ {tmp_path.as_uri()}"


def test_a_former_unit_is_started_through_the_link_and_below_another_prefix() -> None:
    former = "ExecStart=/opt/edge-agent/venv/bin/edge-agent run\n"

    assert unit_text(former, Path("/srv/ea")) == "ExecStart=/srv/ea/current/bin/edge-agent run\n"


def test_the_command_of_somebody_else_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, former = tmp_path / "current/bin/edge-agent", tmp_path / "venv/bin/edge-agent"
    link, file = tmp_path / "bin/edge-agent", tmp_path / "file"
    file.write_text("mine", encoding="utf-8")

    for expected in ("linked", ""):
        link_command(link, target, former=former)
        assert capsys.readouterr().out.partition(" ")[0].replace("made", "linked") == expected
    link.unlink()
    link.symlink_to(former)
    link_command(link, target, former=former)
    assert link.readlink() == target

    link.unlink()
    link.symlink_to(file)
    link_command(link, target, former=former)
    link_command(file, target, former=former)
    assert (link.readlink(), file.read_text(encoding="utf-8")) == (file, "mine")
    assert capsys.readouterr().out.count("belongs to something else") == 2


@pytest.mark.parametrize(
    ("hostname", "device"),
    [("raspberrypi", "raspberrypi"), ("Pi-03.lab.example", "pi-03"), ("Jörg's Pi", "j-rg-s-pi"), ("...", "pi-01")],
)
def test_the_device_is_called_as_its_host(hostname: str, device: str) -> None:
    assert device_name(hostname) == device


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A service manager whose service is ``tmp_path/daemon``."""
    manager = Manager(tmp_path)
    monkeypatch.setenv("PATH", put_first_in_path(tmp_path, tmp_path / "bin"))
    manager.unit.parent.mkdir(parents=True)
    manager.unit.write_text("[Service]\nExecStart=/daemon\n", encoding="utf-8")
    yield manager
    subprocess.run([sys.executable, service_manager.__file__, tmp_path, "stop"], check=True, timeout=60)


def serve(manager: Manager, text: str) -> None:
    """Let the service be this Python program."""
    program = manager.root / "daemon"
    program.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    program.chmod(0o755)


def test_a_daemon_that_stays_is_known_by_its_process(manager: Manager) -> None:
    service = Service(settled_s=0.5)
    serve(manager, DAEMON.format(lives_s=60))
    assert not service.runs

    pid = service.restart()

    assert service.runs
    assert service.state() == ("active", pid)
    os.kill(pid, 0)


def test_a_daemon_that_dies_after_it_was_ready_does_not_stay(manager: Manager) -> None:
    serve(manager, DAEMON.format(lives_s=0.3))

    with pytest.raises(NotReadyError, match=r"it was ready and ended within 5 s \(failed\)"):
        Service(settled_s=5).restart()


def test_a_daemon_that_says_nothing_is_not_waited_for_without_end(manager: Manager) -> None:
    serve(manager, "import time\ntime.sleep(60)\n")

    with pytest.raises(NotReadyError, match="not ready within 1 s"):
        Service(ready_s=1).restart()


@pytest.mark.parametrize("there", [True, False])
def test_a_switch_goes_back_to_the_link_and_the_unit_that_were(tmp_path: Path, *, there: bool) -> None:
    installed, unit = Versions(tmp_path / "opt"), tmp_path / "edge-agent.service"
    new = complete(tmp_path / "opt/2.0")
    if there:
        installed.activate(complete(tmp_path / "opt/1.0"))
        unit.write_text("[Unit]\n", encoding="utf-8")
    switch = Switch(installed, unit, None)

    switch.forward(new, "[Service]\n")
    assert installed.active == new
    assert unit.read_text(encoding="utf-8") == "[Service]\n"

    switch.back()
    assert installed.active == (tmp_path / "opt/1.0" if there else None)
    assert unit.exists() == there


INTERRUPTED = """
import os, signal, sys
from argparse import Namespace
from pathlib import Path

from edge_agent.cli.install import _put_to_use
from edge_agent.cli.installation.interruption import end_by_exception
from edge_agent.cli.installation.switch import Switch
from edge_agent.cli.installation.versions import Versions

folder, first, second = Path(sys.argv[1]), *map(int, sys.argv[2:])

class Service:
    runs, calls = True, []

    def reload(self):
        self.calls.append("reload")
        if self.calls == ["reload", "restart", "reload"]:
            os.kill(os.getpid(), second)

    def restart(self):
        self.calls.append("restart")
        if self.calls == ["reload", "restart"]:
            os.kill(os.getpid(), first)

end_by_exception()
versions, service = Versions(folder / "opt"), Service()
switch = Switch(versions, folder / "unit", service)
args = Namespace(root=folder, prefix=folder / "opt", no_restart=False)
try:
    _put_to_use(args, versions, switch, folder / "opt/2.0", "[Service]")
finally:
    print(versions.active.name, *service.calls)
"""


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGHUP, signal.SIGTERM, 128 + signal.SIGHUP),
        (signal.SIGTERM, signal.SIGHUP, 128 + signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT, 128 + signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT, -signal.SIGINT),
    ],
)
def test_a_second_signal_does_not_break_the_way_back(
    tmp_path: Path, first: signal.Signals, second: signal.Signals, code: int
) -> None:
    installed = Versions(tmp_path / "opt")
    complete(tmp_path / "opt/2.0")
    installed.activate(complete(tmp_path / "opt/1.0"))

    argv = [sys.executable, "-c", INTERRUPTED, str(tmp_path), str(int(first)), str(int(second))]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.splitlines()[-1] == "1.0 reload restart reload restart", ended.stderr
    assert "2.0 was interrupted" in ended.stderr
    assert "1.0 was restored and runs again" in ended.stderr
    assert ended.returncode == code
