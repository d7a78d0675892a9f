"""Which second interpreter the tests run with: ``.ci/other-python``."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "other-python"
NO_SUCH_COMMAND = "#!/bin/bash\necho 'pyenv: command not found' >&2; exit 127\n"


def interpreter(path: Path, version: str) -> Path:
    """What says that it is Python ``version``."""
    return program(path, f"#!/bin/bash\necho {version}\n")


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def other(folder: Path, first: str) -> str:
    """What the script finds where ``folder`` holds the only commands and the home, beside the first interpreter."""
    environment = {"PATH": f"{folder / 'bin'}{os.pathsep}{folder / 'system'}", "HOME": str(folder)}
    program(folder / "first", f"#!/bin/bash\necho {first}\n")
    command = ["/bin/bash", SCRIPT, folder / "first"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize(("first", "second"), [("3.11", "3.13"), ("3.12", "3.13"), ("3.13", "3.11")])
def test_it_is_the_other_end_of_the_range(tmp_path: Path, first: str, second: str) -> None:
    for version in ("3.11", "3.12", "3.13"):
        interpreter(tmp_path / "bin" / f"python{version}", version)

    assert other(tmp_path, first) == f"python{second}"


def test_a_shim_that_stands_for_nothing_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.13", NO_SUCH_COMMAND)
    real = interpreter(tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python", "3.13")

    assert other(tmp_path, "3.11") == str(real)


def test_where_there_is_none_nothing_is_said(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.13", NO_SUCH_COMMAND)

    assert other(tmp_path, "3.11") == ""
