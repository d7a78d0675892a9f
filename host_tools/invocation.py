"""How to type another command of ours, so that it can be pasted where this one was started."""

import shlex
import shutil
import sys
from pathlib import Path


def typed(name: str) -> str:
    """The command ``name``: by itself where the shell finds it, else by its path, from here if it lies below."""
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
