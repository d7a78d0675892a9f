"""``edge-agent`` as a user who may do nothing: in a child that gives up root once everything is imported.

Where the tests do not run as root, they are that user already; :func:`lock` then shuts their own files to them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
_PROGRAM = f"""
import difflib, encodings.ascii, encodings.idna, getpass, grp, os, pwd, shlex, sys, sysconfig
from importlib import import_module
from edge_agent import cli
for command in cli.COMMANDS:
    import_module(cli.module_of(command))
import edge_agent.cli.open_source, edge_agent.sources.serial, edge_agent.worker.capture.preview
import edge_agent.reservoir.snapshot, edge_agent.sensing.subscribe, edge_agent.worker.capture.preview_reservoir
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
sys.exit(cli.main(sys.argv[1:]))
"""
"""Imports all first: the interpreter may lie where nobody else may look."""


def edge_agent(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command without rights."""
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, argv)],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def lock(path: Path) -> Path:
    """Shut a file or folder to everybody but root, or, without root, to everybody."""
    path.chmod(0o700 if os.getuid() == 0 else 0)
    return path


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter and list; pytest's own are for their user only."""
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)
