"""A probe that hangs ends by itself: the confined worker that started it may not end it."""

import signal
import subprocess
import sys
import time

from edge_agent.process import seccomp

PROBE = """
import sys, time
from edge_agent.worker.measure import probe
probe.TIMEOUT_S, probe._GRACE_S = 0.0, 0.5
probe.measure = lambda _request: time.sleep(1000)
sys.exit(probe.main([]))
"""
WORKER = """
import sys, time
from edge_agent.process.child import Child
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.confinement import confine_opener
confine_opener()
child = Child([sys.executable, "-c", sys.argv[1]], limits=ChildLimits(timeout_s=float(sys.argv[2])),
              stdin=b'{"feeds": ""}', own_group=False)
ended = child.wait()
print(ended.reason, ended.signal)
"""


def run(timeout_s: float) -> list[str]:
    paths = [path for path in sys.path if path]
    argv = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{WORKER}", PROBE, str(timeout_s)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout.split()


def test_its_own_timer_ends_it() -> None:
    began = time.monotonic()

    assert run(60) == ["signaled", str(int(signal.SIGALRM))]
    assert time.monotonic() - began < 60


def test_a_worker_that_may_not_end_it_waits_for_that() -> None:
    reason, number = run(0.1)

    assert reason == "timeout"
    assert int(number) in ({signal.SIGALRM} if seccomp.available() else {signal.SIGALRM, signal.SIGTERM})
