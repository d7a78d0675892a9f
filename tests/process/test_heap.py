"""Memory that is free goes back to the system, in a process of its own: the heap of this one has a history."""

import ctypes
import subprocess
import sys

import pytest

from edge_agent.process.heap import counted_resident_bytes, resident_bytes

_FRAGMENTED = """
import os
from pathlib import Path
from edge_agent.process.heap import trimmed_heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

with trimmed_heap(1 << 20) as trim:
    pieces = [bytearray(60_000) for _ in range(1000)]
    del pieces[::2]
    full = resident()
    trim()
    print(full - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's")
def test_what_is_free_between_pieces_that_live_on_is_given_back() -> None:
    ended = subprocess.run([sys.executable, "-c", _FRAGMENTED], capture_output=True, text=True, check=True)

    assert int(ended.stdout) > 20_000_000


_MEASURING = """
from edge_agent.process.heap import resident_bytes
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.question import Request

pieces = [bytearray(60_000) for _ in range(1000)]
del pieces[::2]
full = resident_bytes()
ask(Request(feeds="", runtime="onnxruntime"))
print(full - resident_bytes())
"""


@pytest.mark.children(covered=False)
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's")
def test_what_is_free_is_given_back_before_another_process_measures() -> None:
    """Both share one limit."""
    ended = subprocess.run([sys.executable, "-c", _MEASURING], capture_output=True, text=True, check=True)

    assert int(ended.stdout) > 20_000_000


def test_what_the_page_tables_say_is_what_this_process_has() -> None:
    assert abs(counted_resident_bytes() - resident_bytes()) < 20_000_000
