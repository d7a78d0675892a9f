"""What a kernel lacks is said, and where it was asked for nothing starts without it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli.installation import host
from edge_agent.process import landlock, layers, seccomp

HIDDEN = """
import ctypes, os, sys
from edge_agent.process import seccomp
from support.hostile import HIDDEN_LANDLOCK
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.install(seccomp.program((HIDDEN_LANDLOCK,), os.uname().machine, os.getpid()))
"""
"""From here on the kernel has no Landlock."""
CONFIG = """
device_id = "pi-01"
state_dir = "{folder}/state"
[mqtt]
url = "mqtt://127.0.0.1:9"
[trust]
allow_unsigned = true
[limits]
require_confinement = {required}
"""

without_landlock = pytest.mark.skipif(not seccomp.available(), reason="needs seccomp filters, to hide Landlock")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [path for path in sys.path if path]
    argv = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@without_landlock
def test_the_daemon_does_not_start_where_a_layer_is_missing_that_is_required(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(folder=tmp_path, required="true"))

    done = python(
        f"{HIDDEN}from edge_agent.cli import main\nsys.exit(main(['run', '--config', sys.argv[1]]))", str(config)
    )

    assert done.returncode == 1
    assert "this kernel has no Landlock" in done.stderr
    assert "confinement_missing" in done.stderr
    assert "require_confinement = false" in done.stderr
    assert not (tmp_path / "state").exists()


@without_landlock
def test_the_doctor_fails_for_a_missing_layer(tmp_path: Path) -> None:
    code = "from edge_agent.cli.doctor_checks import examine\nfrom pathlib import Path\nimport json\n"
    code += "print(json.dumps([[one.name, one.level, one.detail] for one in examine(Path(sys.argv[1]))]))"

    done = python(HIDDEN + code, str(tmp_path / "none.toml"))

    found = {name: (level, detail) for name, level, detail in json.loads(done.stdout.splitlines()[-1])}
    level, detail = found["confinement"]
    assert level == "fail"
    assert "this kernel has no Landlock: a model that takes over its worker could read and write all files" in detail
    assert "seccomp" in detail


def test_nothing_is_missed_where_it_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)

    assert layers.check_confinement(required=False) == ["Landlock"]


def test_each_kind_of_process_says_what_confines_it(tmp_path: Path) -> None:
    code = "from edge_agent.process.kinds import layers_by_kind\nfrom pathlib import Path\nimport json\n"

    done = python(f"{code}print(json.dumps(layers_by_kind(Path(sys.argv[1]))))", str(tmp_path))

    found = json.loads(done.stdout)
    assert found.keys() == {"worker", "trust", "capture", "sensor"}
    for held in found.values():
        assert {"no_new_privs", "closed_memory"} <= set(held)
        assert ("seccomp" in held) is seccomp.available()
    assert ("landlock_reads" in found["worker"]) is bool(landlock.abi())
    assert "landlock_reads" not in found["sensor"]


@pytest.mark.parametrize(("all_seen", "least", "most"), [(True, 512, 16_384), (False, 32_768, 65_536)])
def test_what_cannot_be_seen_from_a_container_keeps_no_worker_from_its_threads(
    tmp_path: Path, *, all_seen: bool, least: int, most: int
) -> None:
    """The kernel counts the threads of a user outside, too, and a desktop has more than a worker may start."""
    first = str(Path("/proc/self/ns/pid").readlink()) if all_seen else "pid:[7]"
    code = f"from edge_agent.process import sandbox\nfrom pathlib import Path\nsandbox._ALL_PROCESSES = {first!r}\n"

    done = python(f"{code}print(sandbox.bound(Path(sys.argv[1]))[-1])", str(tmp_path))

    assert least < int(done.stdout.strip().removeprefix("threads=")) < most


@pytest.mark.parametrize("lacking", [[], ["Landlock"]])
def test_a_new_configuration_asks_for_what_this_kernel_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: list[str]
) -> None:
    """A service that never starts protects nobody."""
    monkeypatch.setattr(host, "missing", lambda: lacking)
    example = (Path(__file__).parents[2] / "systemd/config.toml").read_text(encoding="utf-8")

    host.make_config(tmp_path / "config.toml", example)

    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    assert ("\nrequire_confinement = true\n" in text) is not bool(lacking)
    assert ("this kernel has no Landlock" in capsys.readouterr().out) is bool(lacking)
