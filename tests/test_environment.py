"""The tests run as on the least helpful machine: children buffer their output, and nobody reaps orphans."""

import subprocess
import sys

from support.processes import alive, gone


def test_a_child_buffers_its_output_and_writes_bytecode() -> None:
    code = "import sys; print(sys.stdout.write_through, sys.dont_write_bytecode)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == ["False", "False"]


def test_an_orphan_is_gone_when_it_has_ended_although_nobody_reaps_it() -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=sys.stdin, stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.wait()

        assert alive(orphan)
        parent.stdin.close()
        assert gone(orphan)

    with open(f"/proc/{orphan}/stat", encoding="utf-8") as stat:  # noqa: PTH123
        assert stat.read().rpartition(")")[2].split()[0] == "Z"
