"""What a child leaves behind in a session of its own is ended with it, unless it is an operator's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import alive, gone

from edge_agent.process import seccomp
from edge_agent.process.program import worker_env

DAEMON = """
import os, sys
from edge_agent.process import strays
from edge_agent.process.child import Child
from edge_agent.process.child_limits import ChildLimits
if sys.argv[2] == "adopts":
    strays.adopt()
lines = []
print(Child([sys.executable, "-c", sys.argv[1]], limits=ChildLimits(timeout_s=60), on_line=lines.append).wait().reason)
print(*lines, flush=True)
input()
"""
LEAVES = """
import os, subprocess, sys
{confine}
quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
inner = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '1000'], start_new_session=True);" \\
    "print(p.pid, flush=True); time.sleep(1000)"
outer = subprocess.Popen([sys.executable, "-c", inner], **quiet | dict(stdout=subprocess.PIPE))
print(outer.pid, int(outer.stdout.readline()), flush=True)
"""
SENSOR = (
    "from edge_agent.process import sandbox, seccomp\nsandbox.confine()\nseccomp.forbid(model=False, families=(1,))"
)
APPLICATION = (
    "import ctypes\nfrom edge_agent.process import seccomp\nctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
    "seccomp.forbid(model=False, families=(1,))"
)
"""What a hook starts may have a sandbox of its own: a browser, a container."""

pytestmark = [
    pytest.mark.skipif(not seccomp.available(), reason="this kernel has no seccomp filters"),
    pytest.mark.skipif(not list(Path("/proc/self/task").glob("*/children")), reason="needs CONFIG_PROC_CHILDREN"),
]


@pytest.mark.parametrize(
    ("confine", "adopts", "left"),
    [(SENSOR, True, False), ("", True, True), (APPLICATION, True, True), (SENSOR, False, True)],
)
def test_what_a_confined_child_left_is_ended(confine: str, adopts: bool, left: bool) -> None:  # noqa: FBT001  # pytest gives it so
    argv = [sys.executable, "-c", DAEMON, LEAVES.format(confine=confine), "adopts" if adopts else "no"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=worker_env()) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline().strip() == "exited"
        pids = [int(pid) for pid in daemon.stdout.readline().split()]

        assert len(pids) == 2
        assert all(alive(pid) is left for pid in pids)

        for pid in pids if left else ():
            os.kill(pid, signal.SIGKILL)
        daemon.communicate("\n", timeout=60)
    assert all(gone(pid) for pid in pids)
