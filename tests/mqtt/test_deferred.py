import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from edge_agent.mqtt.deferred import deferred


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module ``late_module`` whose code leaves the file that is returned."""
    ran = tmp_path / "ran"
    (tmp_path / "late_module.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nanswer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield ran
    sys.modules.pop("late_module", None)


def test_a_deferred_module_runs_when_it_is_used_first(late: Path) -> None:
    with deferred("late_module"):
        module = import_module("late_module")

    assert not late.exists()
    assert module.answer == 42
    assert late.exists()


def test_after_the_block_modules_load_as_ever(late: Path) -> None:
    before = list(sys.meta_path)
    with deferred("late_module"):
        pass

    import_module("late_module")

    assert late.exists()
    assert sys.meta_path == before


def test_other_modules_are_not_touched(late: Path) -> None:
    with deferred("something.else"):
        import_module("late_module")

    assert late.exists()
