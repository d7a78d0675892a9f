"""The text of another command of this package, so that it can be pasted into the same shell."""

import shlex
import shutil
import sys
from pathlib import Path


def typed(name: str) -> str:
    """The command ``name``, with its path if the shell does not find it.

    A path below the current folder is relative.
    """
    for beside in (Path(sys.argv[0]), Path(sys.executable)):
        script = beside.with_name(name)
        if not beside.exists() or not script.exists():
            continue
        found = shutil.which(name)
        if found and Path(found).samefile(script):
            return name
        script = script.absolute()
        here = Path.cwd()
        return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))
    return name
