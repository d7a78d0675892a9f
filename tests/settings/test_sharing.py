"""The keys that every source has, wherever they are read: strict, checked early, and none of a kind's business."""

from pathlib import Path
from typing import Any

import pytest
from support.captures import serial_table

from edge_agent.cli import main
from edge_agent.daemon.sensor_processes import describe, make_process_config
from edge_agent.errors import ConfigError
from edge_agent.execution.launcher import make_task
from edge_agent.settings.device import Config, parse_config
from edge_agent.settings.sharing import COMMON_KEYS, Keeping, SourceState, split_common_keys
from edge_agent.sources import check_table
from edge_agent.wire.manifest import Blob, InputContract, Manifest

TABLE = serial_table(Path("/dev/ttyUSB0"))


def config(**sources: dict[str, Any]) -> Config:
    return parse_config({"device_id": "pi-01", "state_dir": "/state", "sources": sources}, "c.toml")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"keep_window": 3}, "unknown key 'keep_window'; did you mean 'keep_windows'"),
        ({"keep_windows": -1}, "keep_windows"),
        ({"keep_windows": 20_001}, "keep_windows"),
        ({"keep_windows": 1}, "set 0, or a few hundred"),
        ({"keep_windows": 2.5}, "keep_windows"),
        ({"keep_windows": 9, "keep_seconds": 0}, "keep_seconds"),
        ({"keep_seconds": 5}, "add keep_windows, or leave it out"),
        ({"keep_windows": 9, "keep_mb_per_day": 0}, "keep_mb_per_day"),
        ({"share": "yes"}, "share"),
    ],
)
def test_a_wrong_key_or_value_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check_table("imu", {**TABLE, **keys})
    path = tmp_path / "config.toml"
    lines = [f"{key} = {value!r}".replace("True", "true") for key, value in {**TABLE, **keys}.items()]
    path.write_text('device_id = "pi-01"\n[sources.imu]\n' + "\n".join(lines) + "\n")

    assert main(["check-config", "--config", str(path)]) == 2

    said = capsys.readouterr().err
    assert str(path) in said
    assert "[sources.imu]" in said
    assert says in said


def test_good_keys_pass_and_reach_no_kind() -> None:
    table = {**TABLE, "keep_windows": 100, "keep_seconds": 2.5, "keep_mb_per_day": 10, "share": True}
    check_table("imu", table)

    keeping, own = split_common_keys("imu", table)

    assert keeping == Keeping(keep_windows=100, keep_seconds=2.5, keep_mb_per_day=10, share=True)
    assert own == TABLE
    assert not COMMON_KEYS & set(make_process_config(config(imu=table), "imu").table)


def test_a_recording_and_a_name_that_is_no_folder_are_not_shared() -> None:
    with pytest.raises(ConfigError, match="a recording has no process of its own"):
        config(r={"kind": "replay", "path": "r.npz", "share": True})
    with pytest.raises(ConfigError, match=r"source '../imu' must match"):
        config(**{"../imu": {**TABLE, "share": True}})
    config(**{"My IMU": TABLE})  # as before


@pytest.mark.parametrize(
    ("keeping", "rate_hz", "pictures", "samples"),
    [
        (Keeping(keep_windows=9), 50, False, 250),
        (Keeping(keep_windows=9), 30, True, 1),
        (Keeping(keep_windows=9, keep_seconds=2), 30, True, 60),
        (Keeping(keep_windows=9, keep_seconds=0.001), 50, False, 1),
    ],
)
def test_how_long_a_stretch_is(keeping: Keeping, rate_hz: float, pictures: bool, samples: int) -> None:  # noqa: FBT001  # pytest gives it so
    assert keeping.stretch_samples(rate_hz, pictures=pictures) == samples


def test_a_worker_is_told_which_of_its_sources_are_shared() -> None:
    from edge_agent.jobs.job import Job  # noqa: PLC0415  # only here

    shared = config(imu={**TABLE, "share": True}, mic=TABLE)
    manifest = Manifest("ea/v1", "m", 1, "onnx", Blob("0" * 64, 1, ["0" * 64]), targets=["d/pi-01"])
    tasks = [
        make_task(
            Job(id="0" * 16, model="m", version=1, digest="", scope="d/pi-01", created=0.0, expires=0.0),
            Manifest("ea/v1", "m", 1, "onnx", manifest.blob, inputs=[InputContract(source=name)], targets=[]),
            shared,
            0,
        )
        for name in ("imu", "mic")
    ]

    assert [task.shared for task in tasks] == [{"imu": "/state/sources/imu"}, {}]


def test_a_line_for_a_person() -> None:
    state = SourceState(
        state="open", rate_hz=49.98, wanted=400, kept=17, hours=1.25, written_mb_last_day=0.5, dropped=3, over_budget=2
    )

    assert describe("imu", state) == (
        "imu: open, 49.98 samples a second, 17 of 400 segments stored over 1.2 h, 0.5 MB written in the last day, "
        "3 dropped by readers, 2 segments not stored because of the write budget"
    )
    held = SourceState(state="open", confined=("landlock_writes", "landlock_no_tcp"))
    assert describe("imu", held) == "imu: open, confined by landlock_writes landlock_no_tcp"
    assert "confined by nothing" in describe("imu", SourceState(confined=()))
    assert describe("imu", SourceState(code="source_unavailable", message="gone")) == "imu: waiting: gone"
