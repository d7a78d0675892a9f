"""The clock of a device without a battery, and of one that somebody lies to."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.state.clock import AHEAD_S, Clock
from edge_agent.state.kernel_clock import synchronised
from edge_agent.wire.timestamps import MAX_TIME, rfc3339

YEAR_2099 = 4_070_908_800.0


def never() -> bool:
    return False


def always() -> bool:
    return True


def test_the_clock_never_goes_back(tmp_path: Path) -> None:
    """A Pi without a battery boots in 1970; what was saved is later."""
    (tmp_path / "clock").write_text("4000000000")

    clock = Clock(tmp_path / "clock", never)

    assert clock.now() >= 4_000_000_000
    assert not clock.plausible
    assert "at least 2096-10-02T07:06:40Z" in clock.told()


def test_a_manifest_moves_the_clock_by_a_day_at_most(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock", always)

    clock.seen(YEAR_2099)

    assert time.time() + AHEAD_S - 60 < clock.now() < time.time() + AHEAD_S + 60


def test_a_manifest_does_not_move_a_clock_that_was_never_synchronised(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock", never)

    clock.seen(YEAR_2099)

    assert clock.now() < time.time() + 60


def test_a_manifest_of_a_bit_later_is_believed(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock", always)

    clock.seen(time.time() + 3600)

    assert clock.now() > time.time() + 3500


@pytest.mark.parametrize(("is_synchronised", "saved"), [(always, True), (never, False)])
def test_only_synchronised_time_is_saved(tmp_path: Path, is_synchronised: Callable[[], bool], *, saved: bool) -> None:
    clock = Clock(tmp_path / "clock", is_synchronised)

    clock.seen(YEAR_2099)
    clock.save(force=True)

    assert (tmp_path / "clock").exists() == saved
    if saved:
        assert float((tmp_path / "clock").read_text()) == pytest.approx(time.time(), abs=60)


def test_a_glitch_is_over_when_the_clock_is_right_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(tmp_path / "clock", never)
    right = time.time()

    monkeypatch.setattr(time, "time", lambda: YEAR_2099)
    clock.save(force=True)
    assert clock.now() == YEAR_2099
    monkeypatch.setattr(time, "time", lambda: right)

    assert clock.now() == pytest.approx(right, abs=60)
    assert not (tmp_path / "clock").exists()


@pytest.mark.parametrize("kept", ["inf", "nan", "1e300", "-5", "tomorrow", ""])
def test_a_saved_time_that_is_none_is_passed_over(tmp_path: Path, kept: str) -> None:
    (tmp_path / "clock").write_text(kept)

    clock = Clock(tmp_path / "clock", never)

    assert clock.now() < time.time() + 60
    assert rfc3339(clock.now())


def test_a_wrong_floor_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text(f"{YEAR_2099:.0f}")
    clock = Clock(tmp_path / "clock", never)

    clock.reset()

    assert clock.now() < time.time() + 60
    assert Clock(tmp_path / "clock", never).now() < time.time() + 60


def test_no_time_is_beyond_what_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e12)

    assert rfc3339(Clock(tmp_path / "clock", always).now()) == rfc3339(MAX_TIME)


def test_the_kernel_says_whether_its_clock_is_synchronised() -> None:
    assert synchronised() in (True, False)
