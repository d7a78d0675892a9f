"""What is the same in every command of edge-agent."""

from pathlib import Path

import pytest

from edge_agent.cli import COMMANDS, main


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_an_unknown_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quantise"])

    assert ended.value.code == 2
    assert "quantize" in capsys.readouterr().err


def test_a_missing_config_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(tmp_path / "none.toml")]) == 2
    assert f"cannot read {tmp_path / 'none.toml'}: No such file" in capsys.readouterr().err


def test_a_device_without_keys_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n[trust]\nkeys_dir = "{tmp_path}"\n')

    assert main(["run", "--config", str(path)]) == 2
    assert "host-tools keygen" in capsys.readouterr().err
