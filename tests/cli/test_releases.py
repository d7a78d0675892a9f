"""``edge-agent releases``, and what a misspelt model is told there and by a rollback."""

from pathlib import Path

import pytest
from support.served import activate

from edge_agent.cli import main
from edge_agent.state.store import ModelRecord, Store


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Of a device on which har has a release, and gait was accepted and has none."""
    store = Store(tmp_path / "state")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"x")
    activate(store, 1, model, [])
    store.save_record("gait", ModelRecord(version=1, digest="d", job="j", scope="d/pi", status="rejected"))
    path = tmp_path / "config.toml"
    path.write_text(f'device_id = "pi"\nstate_dir = "{store.root}"\n', encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_model_that_the_device_does_not_know_is_no_success(
    config: str, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["releases", "hat", "--config", config, *options]) == 1

    said = capsys.readouterr()
    assert said.err == "edge-agent releases: this device knows no model 'hat'; did you mean 'har'? (not_active)\n"
    assert said.out == ""


def test_a_model_without_a_release_is_named(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["releases", "gait", "--config", config]) == 0
    assert capsys.readouterr().out == "no release of gait on this device yet\n"


def test_a_rollback_of_a_misspelt_model_says_which_was_meant(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "hat", "--config", config]) == 1
    assert "no release of 'hat' is active here; did you mean 'har'? (not_active)" in capsys.readouterr().err
