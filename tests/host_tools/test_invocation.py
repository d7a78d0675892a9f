"""How commands are printed: so that they can be pasted where the one that printed them was started."""

import shlex
from pathlib import Path

import pytest

from host_tools.invocation import typed


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment below the working directory, with both commands, and not on the shell's path."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("host-tools", "push-model"):
        (folder / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


@pytest.mark.parametrize("started", [".venv/bin/host-tools", "{here}/.venv/bin/host-tools"])
def test_what_make_starts_is_typed_by_its_path_from_here(
    scripts: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    monkeypatch.setattr("sys.argv", [started.format(here=scripts.parents[1])])

    assert typed("push-model") == ".venv/bin/push-model"


def test_elsewhere_it_is_the_whole_path(scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other place").mkdir()
    scripts.parent.rename(tmp_path / "other place" / ".venv")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "other place/.venv/bin/host-tools")])

    assert shlex.split(typed("push-model")) == [f"{tmp_path}/other place/.venv/bin/push-model"]


def test_what_the_shell_finds_needs_no_path(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(scripts / "host-tools")])
    monkeypatch.setenv("PATH", f"{scripts}:/usr/bin")

    assert typed("push-model") == "push-model"


def test_where_nothing_is_known_the_name_remains(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["-c"])
    monkeypatch.setattr("sys.executable", str(scripts / "python"))

    assert typed("push-model") == "push-model"
