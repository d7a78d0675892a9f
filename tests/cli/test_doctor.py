"""``edge-agent doctor`` about runtimes that are there, but slow."""

from pathlib import Path

import pytest

from edge_agent.cli.doctor_checks import examine


def test_runtimes_that_do_not_answer_in_time_are_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edge_agent.cli.doctor_checks.INVENTORY_TIMEOUT_S", 0.01)

    (check,) = (check for check in examine(tmp_path / "none.toml") if check.name == "runtimes")

    assert check.level == "fail"
    assert "within 0.01 s" in check.detail
    assert "install" not in check.remedy
