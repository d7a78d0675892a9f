"""What lies in ``docs/examples`` works as it stands."""

from pathlib import Path

import pytest

from edge_agent.cli import main
from host_tools.push.manifest_file import read_manifest_file

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
RECORDING = Path(__file__).parent.parent / "host_tools" / "demo" / "data" / "imu_recording.npz"


def test_a_trial_without_a_sensor_feeds_the_demos_model_what_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = (EXAMPLES / "trial_source.toml").read_text(encoding="utf-8")
    source = tmp_path / "source.toml"
    source.write_text(table.replace("/var/lib/edge-agent/imu_recording.npz", str(RECORDING)), encoding="utf-8")

    code = main(["capture", "imu", "--source-config", str(source), "--manifest", str(EXAMPLES / "trial_har.toml")])

    assert code == 0, capsys.readouterr()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*_har.toml")), ids=lambda path: path.name)
def test_a_manifest_can_be_read(path: Path) -> None:
    assert read_manifest_file(path)
