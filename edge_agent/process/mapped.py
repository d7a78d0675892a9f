"""Counts the part of a mapped file that this process has not read yet, which its resident memory does not show."""

import os
from pathlib import Path


def unread_bytes(path: Path) -> int:
    """The mapped pages of a file that are not resident; 0: it is not mapped, or the kernel does not report it.

    A file that was mapped, copied and unmapped is resident as the copy, and does not count.
    """
    name, size, resident, ours = os.fsencode(path.resolve()), 0, 0, False
    try:
        with Path("/proc/self/smaps").open("rb") as lines:
            for line in lines:
                key, *values = line.split()
                if not key.endswith(b":"):  # "7fa9798d4000-7fa9798dc000 rw-p 0001b000 fe:00 2197789   /path"
                    ours = line.rstrip(b"\n").endswith(b" " + name)
                elif ours and key == b"Size:":
                    size += int(values[0])
                elif ours and key == b"Rss:":
                    resident += int(values[0])
    except OSError:
        return 0
    return 1024 * (size - resident)
