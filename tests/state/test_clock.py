"""The clock of a device without a battery."""

from pathlib import Path

from edge_agent.state.clock import Clock


def test_the_clock_never_goes_back(tmp_path: Path) -> None:
    """A Pi without a battery boots in 1970; what was saved or signed is later."""
    (tmp_path / "clock").write_text("4000000000")

    clock = Clock(tmp_path / "clock")

    assert clock.now() >= 4_000_000_000
    assert not clock.plausible
    clock.seen(4_100_000_000.0)
    assert clock.now() >= 4_100_000_000
    clock.save(force=True)
    assert Clock(tmp_path / "clock").now() >= 4_100_000_000
