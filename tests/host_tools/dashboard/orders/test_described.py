import tomllib
from pathlib import Path

from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.wire.messages import DeviceInfo
from host_tools.dashboard.orders.described import Described, first_guess, needs_text, sources, toml
from host_tools.push.manifest_file import read_manifest_file

IMU = {"kind": "serial", "channels": ["ax", "ay", "az", "gx", "gy", "gz"], "rate_hz": 50}
SIGNATURE = ModelTensors(
    (Tensor("x", (1, 6, 100), "float32"),), (Tensor("y", (1, 7), "float32"),)
)  # fmt: skip


def info(name: str, **known: object) -> DeviceInfo:
    return DeviceInfo(device=name, sources={key: dict(value) for key, value in known.items()})  # type: ignore[call-overload]


def test_sources_are_those_of_the_devices_the_most_common_first() -> None:
    found = sources(
        {"pi-01": info("pi-01", cam={"kind": "camera"}, imu=IMU), "pi-02": info("pi-02", imu=IMU), "old": None}
    )

    assert [(one.name, one.devices) for one in found] == [("imu", ("pi-01", "pi-02")), ("cam", ("pi-01",))]
    assert found[0].shown == "imu: ax, ay, az, gx, gy, gz, 50 Hz (2 of the devices)"


def test_a_source_that_makes_no_sense_is_shown_all_the_same() -> None:
    (found,) = sources({"pi-01": info("pi-01", imu={"channels": 7, "rate_hz": "fast"})})

    assert (found.channels, found.rate_hz) == ((), None)


def test_the_form_begins_with_what_the_model_and_the_only_source_tell(tmp_path: Path) -> None:
    guess = first_guess("har", SIGNATURE, sources({"pi-01": info("pi-01", imu=IMU)}))

    path = tmp_path / "M.toml"
    path.write_text(toml(guess), encoding="utf-8")
    read = read_manifest_file(path)
    assert (read.name, read.inputs[0].source, read.output.kind) == ("har", "imu", "classes")
    assert read.inputs[0].channels == ["ax", "ay", "az", "gx", "gy", "gz"]
    assert read.inputs[0].steps == [{"op": "transpose", "axes": [1, 0]}]


def test_words_of_a_person_stay_words_of_the_manifest() -> None:
    said = Described(
        name='a"\n[eval]', source='x"]', channels='a", "b', size="1", hop="1", more="[gates]\r\nmin_agreement = 0.9"
    )

    read = tomllib.loads(toml(said))

    assert (read["name"], read["input"]["source"]) == ('a"\n[eval]', 'x"]')
    assert read["gates"] == {"min_agreement": 0.9}


def test_several_inputs_are_described_in_text() -> None:
    two = ModelTensors((Tensor("a", (1, 4), "float32"), Tensor("b", (1, 4), "float32")), ())

    assert needs_text(two)
    assert not needs_text(SIGNATURE)
    assert not needs_text(None)
