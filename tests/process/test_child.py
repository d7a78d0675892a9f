"""Real children: how they end, what they leave behind, what they may use."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.processes import alive, gone

from edge_agent.process import cgroup
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.lines import Lines
from edge_agent.process.program import PARENT_VARIABLE, python_child, worker_env

FREE = ChildLimits(timeout_s=60)


def python(
    code: str, *, limits: ChildLimits = FREE, on_line: Callable[[str], None] | None = None, stdin: bytes = b""
) -> Child:
    return Child([sys.executable, "-c", code], limits=limits, on_line=on_line, stdin=stdin)


def run(code: str, *, limits: ChildLimits = FREE, lines: list[str] | None = None, stdin: bytes = b"") -> ChildExit:
    return python(code, limits=limits, on_line=None if lines is None else lines.append, stdin=stdin).wait()


def test_lines_come_in_order_and_complete() -> None:
    lines: list[str] = []

    ended = run("import sys; [print(i, 'ä', flush=True) for i in range(1000)]; sys.exit(3)", lines=lines)

    assert lines == [f"{i} ä" for i in range(1000)]
    assert (ended.returncode, ended.reason, ended.signal) == (3, "exited", 0)


def test_a_half_line_at_the_end_is_no_line() -> None:
    lines: list[str] = []

    run("import os; os.write(1, b'whole\\nhalf'); os.kill(os.getpid(), 9)", lines=lines)

    assert lines == ["whole"]


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(1, 7), min_size=1))
@settings(deadline=None)
def test_lines_do_not_depend_on_how_the_stream_was_cut(texts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(text.replace(b"\n", b"") + b"\n" for text in texts) + b"rest"
    whole: list[str] = []
    pieces: list[str] = []

    Lines(whole.append).add(stream)
    cutter, size, rest = Lines(pieces.append), cycle(sizes), stream
    while rest:
        piece, rest = rest[: (width := next(size))], rest[width:]
        cutter.add(piece)

    assert pieces == whole
    assert len(whole) == len(texts)


def test_a_line_without_end_does_not_grow_this_process() -> None:
    lines: list[str] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    run("import os\nfor _ in range(640): os.write(1, b'x' * 2**16)\nos.write(1, b'\\nnext\\n')", lines=lines)

    assert lines == ["next"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB; 40 MiB were written


def test_stderr_keeps_its_tail() -> None:
    ended = run("import sys; sys.stderr.write('x' * 100_000 + 'the last words')")

    assert ended.stderr_tail.endswith("the last words")
    assert len(ended.stderr_tail) == 8 * 1024


def test_stdin_larger_than_a_pipe_arrives() -> None:
    lines: list[str] = []

    run("import sys; print(len(sys.stdin.buffer.read()))", lines=lines, stdin=b"x" * 500_000)

    assert lines == ["500000"]


def test_a_child_has_the_descriptors_that_it_is_passed_and_no_others() -> None:
    ours, passed = os.pipe()
    code = (
        "import os, sys; os.write(int(sys.argv[1]), b'here')\n"
        "try: os.fstat(int(sys.argv[2]))\n"
        "except OSError: os.write(int(sys.argv[1]), b', alone')"
    )
    child = Child([sys.executable, "-c", code, str(passed), str(ours)], limits=FREE, pass_fds=[passed])
    os.close(passed)
    child.wait()

    with os.fdopen(ours, "rb") as stream:
        assert stream.read() == b"here, alone"


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("import os; os.abort()", signal.SIGABRT),
        ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV),
        ("import os; os.kill(os.getpid(), 9)", signal.SIGKILL),
    ],
)
def test_a_crash_names_its_signal(code: str, number: int) -> None:
    ended = run(code)

    assert (ended.reason, ended.signal, ended.returncode) == ("signaled", number, -number)


def test_stop_kills_a_child_that_ignores_sigterm() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(1000)"
    ready = threading.Event()
    child = python(code, limits=ChildLimits(timeout_s=None), on_line=lambda _line: ready.set())
    threading.Thread(target=lambda: (ready.wait(), child.stop(grace_s=0.05))).start()

    ended = child.wait()

    assert (ended.reason, ended.signal) == ("stopped", signal.SIGKILL)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (ChildExit(-11, "signaled", 11, "loading\n\n", 0.0), "was killed by SIGSEGV: loading"),
        (ChildExit(-11, "signaled", 11, "loading\nFatal Python error: x\n y\n", 0.0), "was killed by SIGSEGV: loading"),
        (
            ChildExit(-6, "signaled", 6, "Fatal Python error: x\n y", 0.0),
            "was killed by SIGABRT: Fatal Python error: x",
        ),
        (ChildExit(-40, "signaled", 40, "", 0.0), "was killed by signal 40"),
        (ChildExit(3, "exited", 0, "", 0.0), "exited with 3 without reporting a result"),
    ],
)
def test_how_a_child_died_is_said_in_its_own_words(ended: ChildExit, words: str) -> None:
    assert ended.describe() == words


def test_timeout_while_output_never_pauses() -> None:
    ended = run("while True: print('busy')", limits=ChildLimits(timeout_s=0.3))

    assert (ended.reason, ended.signal) == ("timeout", signal.SIGTERM)


def test_a_child_that_says_nothing_for_too_long_is_ended_and_one_that_speaks_is_not() -> None:
    limits = ChildLimits(timeout_s=60, quiet_s=3)
    speaking = "import time\nfor _ in range({}): print('here', flush=True); time.sleep(0.25)"

    assert run(speaking.format(14), limits=limits).reason == "exited"
    assert run(speaking.format(1) + "\ntime.sleep(1000)", limits=limits).reason == "timeout"


def test_stop_from_another_thread_lets_the_child_clean_up() -> None:
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0));"
        "print('ready', flush=True); time.sleep(1000)"
    )
    child = python(code, on_line=lambda _line: threading.Thread(target=child.stop).start())

    ended = child.wait()

    assert (ended.reason, ended.returncode) == ("stopped", 0)


def test_stop_before_wait_and_after_the_end() -> None:
    child = python("import time; time.sleep(1000)")

    child.stop()
    ended = child.wait()
    child.stop()

    assert ended.reason == "stopped"


def test_grandchildren_end_with_the_child_and_do_not_hold_it_up() -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']);"
        "print(p.pid, flush=True)"
    )
    lines: list[str] = []

    ended = run(code, lines=lines)  # the grandchild holds both pipes open

    assert ended.reason == "exited"
    assert gone(int(lines[0]))


def test_an_exception_in_on_line_ends_the_child() -> None:
    def refuse(line: str) -> None:
        raise ValueError(line)

    child = python("import time; print('x', flush=True); time.sleep(1000)", on_line=refuse)
    with pytest.raises(ValueError, match="x"):
        child.wait()

    assert not alive(child.pid)


def test_every_descriptor_is_closed() -> None:
    before = set(Path("/proc/self/fd").iterdir())

    run("pass")
    with pytest.raises(FileNotFoundError):
        Child(["/does/not/exist"], limits=FREE)

    assert set(Path("/proc/self/fd").iterdir()) == before


def test_memory_hog_under_the_address_limit_is_out_of_memory() -> None:
    ended = run("x = bytearray(2**30)", limits=ChildLimits(timeout_s=60, memory_bytes=64 * 2**20))

    assert ended.reason == "out_of_memory"


def test_the_limit_has_slack_for_address_space() -> None:
    ended = run("x = bytearray(200 * 2**20)", limits=ChildLimits(timeout_s=60, memory_bytes=64 * 2**20))

    assert ended.returncode == 0


def test_a_memory_error_without_a_limit_is_the_childs_own_business() -> None:
    ended = run("raise MemoryError")

    assert (ended.reason, ended.returncode) == ("exited", 1)


def test_nice_is_added() -> None:
    lines: list[str] = []
    mine = os.getpriority(os.PRIO_PROCESS, 0)

    # We set it once the child runs, so on a busy machine the child may look first.
    code = (
        "import os, time; end = time.monotonic() + 30\n"
        f"while os.nice(0) == {mine} and time.monotonic() < end: time.sleep(0.01)\n"
        "print(os.nice(0))"
    )
    run(code, limits=ChildLimits(timeout_s=60, nice=3), lines=lines)

    assert lines == [str(min(mine + 3, 19))]


def test_the_environment_carries_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2")
    lines: list[str] = []

    Child([sys.executable, "-c", "import os; print(dict(os.environ))"], limits=FREE, on_line=lines.append).wait()

    assert "hunter2" not in lines[0]
    assert worker_env()["ORT_DISABLE_TELEMETRY"] == "1"
    assert f"'{PARENT_VARIABLE}': '{os.getpid()}'" in lines[0]


def test_our_modules_are_found_but_not_those_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('a file of the working directory was imported')")
    lines: list[str] = []

    ended = Child(python_child("edge_agent.process.sandbox"), limits=FREE, on_line=lines.append, cwd=tmp_path).wait()

    assert ended.returncode == 0, ended.stderr_tail
    assert "no_new_privs" in lines[0]
    assert "no_core_dumps" in lines[0]
    assert "private_files" in lines[0]


def test_a_worker_dies_with_the_process_that_started_it() -> None:
    worker = (
        "import time; from edge_agent.process.sandbox import confine\n"
        "confine(); print('ready', flush=True); time.sleep(1000)"
    )
    daemon = (
        "import os, sys; from edge_agent.process.child import Child\n"
        "from edge_agent.process.child_limits import ChildLimits\n"
        f"child = Child([sys.executable, '-c', {worker!r}], limits=ChildLimits(timeout_s=None),"
        " on_line=lambda _: print(child.pid, flush=True))\nchild.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE, env=worker_env()) as process:
        assert process.stdout is not None
        worker_pid = int(process.stdout.readline())

        process.kill()

    assert gone(worker_pid)


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/memory", os.W_OK), reason="needs a writable cgroup v1 hierarchy")
def test_the_oom_killer_is_told_from_a_crash(tmp_path: Path) -> None:
    own = next(
        line.rpartition(":")[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if "memory" in line.split(":")[1]
    )
    group = Path(f"/sys/fs/cgroup/memory{own}/edge-agent-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(48 * 2**20))
    except OSError as error:
        pytest.skip(f"this environment does not let us make a control group: {error}")
    # The daemon is in a limited group, as in a unit with MemoryMax; its child is what the OOM killer takes.
    daemon = (
        "import sys; from edge_agent.process.child import Child; from pathlib import Path\n"
        "from edge_agent.process.child_limits import ChildLimits\n"
        f"Path({str(group / 'cgroup.procs')!r}).write_text('0')\n"
        'hog = \'open("/proc/self/oom_score_adj", "w").write("1000"); x = bytearray(256 * 2**20)\'\n'
        "print(Child([sys.executable, '-c', hog], limits=ChildLimits(timeout_s=60)).wait().reason)\n"
        "kill = 'import os; os.kill(os.getpid(), 9)'\n"
        "print(Child([sys.executable, '-c', kill], limits=ChildLimits(timeout_s=60)).wait().reason)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", daemon], capture_output=True, text=True, check=False, env=worker_env()
        )
    finally:
        while group.exists():
            try:
                group.rmdir()
            except OSError:  # its last process is still on the way out
                time.sleep(0.01)

    assert done.stdout.split() == ["out_of_memory", "signaled"], done.stderr


def test_cgroup_v2_counts_are_read(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/edge-agent.service\n")
    unit = tmp_path / "sys/fs/cgroup/system.slice/edge-agent.service"
    unit.mkdir(parents=True)
    (unit / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n")

    assert cgroup.oom_kills(tmp_path) == 2
    assert cgroup.delegated(tmp_path) is None  # nobody delegated it


def unit_tree(root: Path, controllers: str) -> Path:
    """A service's cgroup as the kernel shows it, with the daemon in its root."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/edge-agent.service\n")
    unit = root / "sys/fs/cgroup/edge-agent.service"
    unit.mkdir(parents=True)
    (unit / "cgroup.controllers").write_text(controllers)
    if os.geteuid() == 0:
        try:
            os.setxattr(unit, "user.delegate", b"1")
        except OSError:
            pytest.skip("this file system has no extended attributes")
    return unit


def test_the_daemon_makes_room_in_a_delegated_directory(tmp_path: Path) -> None:
    unit = unit_tree(tmp_path, "cpu memory pids\n")

    first = cgroup.delegated(tmp_path)
    (tmp_path / "proc/self/cgroup").write_text("0::/edge-agent.service/daemon\n")
    again = cgroup.delegated(tmp_path)

    assert first == again == unit
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (unit / "daemon/cgroup.procs").read_text() == str(os.getpid())


def test_without_the_memory_controller_there_are_groups_without_that_limit(tmp_path: Path) -> None:
    unit = unit_tree(tmp_path, "cpu pids\n")
    code = (  # limits are set once it runs
        "import resource, time\n"
        "def limits(): return [resource.getrlimit(one)[0] for one in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]\n"
        "while -1 in limits(): time.sleep(0.01)\n"
        "print(*limits())"
    )
    lines: list[str] = []

    assert cgroup.delegated(tmp_path) == unit
    assert (unit / "cgroup.subtree_control").read_text() == "+pids"
    limits = ChildLimits(timeout_s=60, memory_bytes=2**30)
    Child([sys.executable, "-c", code], limits=limits, on_line=lines.append, group_parent=unit).wait()

    assert lines == [f"{2**30 + 2**28} {2**30 + 2**28}"]


UNIFIED = Path("/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").is_dir() else "/sys/fs/cgroup")


def test_a_child_that_left_its_group_of_processes_ends_with_its_cgroup() -> None:
    """On the kernel's own files; no controller is needed for it."""
    parent = UNIFIED / f"edge-agent-test-{os.getpid()}"
    try:
        parent.mkdir()
    except OSError as error:
        pytest.skip(f"this environment does not let us make a control group: {error}")
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '1000'], start_new_session=True,"
        " stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); print(p.pid, flush=True)"
    )
    lines: list[str] = []
    try:
        if not (parent / "cgroup.kill").exists():
            pytest.skip("this kernel is older than 5.14")
        Child([sys.executable, "-c", f"input(); {code}"], limits=FREE, on_line=lines.append, stdin=b"\n",
              group_parent=parent).wait()  # fmt: skip

        assert gone(int(lines[0]))
    finally:
        deadline = time.monotonic() + 60
        while parent.exists() and time.monotonic() < deadline:
            for left in (*parent.glob("child-*"), parent):
                with contextlib.suppress(OSError):  # its last process is still on the way out
                    left.rmdir()
            time.sleep(0.01)


def test_a_child_gets_a_group_of_its_own_and_its_oom_kill_is_seen(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    limits = ChildLimits(timeout_s=60, memory_bytes=2**30)
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0], flush=True); input(); raise SystemExit(1)"
    seen: list[str] = []

    def kernel(line: str) -> None:
        """What the kernel does when the OOM killer has been there."""
        (group,) = tmp_path.glob("child-*")
        seen.extend([line, (group / "memory.max").read_text(), (group / "cgroup.procs").read_text()])
        (group / "memory.events").write_text("oom 1\noom_kill 1\n")

    child = Child([sys.executable, "-c", code], limits=limits, on_line=kernel, stdin=b"\n", group_parent=tmp_path)
    ended = child.wait()

    assert ended.reason == "out_of_memory"
    assert seen == [str(resource.getrlimit(resource.RLIMIT_AS)[0]), str(2**30), str(child.pid)]


def test_where_no_group_can_be_made_the_address_space_is_limited(tmp_path: Path) -> None:
    child = Child(
        [sys.executable, "-c", "x = bytearray(2**30)"],
        limits=ChildLimits(timeout_s=60, memory_bytes=2**26),
        group_parent=tmp_path / "nowhere",
    )

    assert child.wait().reason == "out_of_memory"
