"""``edge-agent init``: its answers in a file that check-config accepts, its questions, a real broker, refusals."""

import io
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.brokers import Broker

from edge_agent.cli import doctor_checks, main
from edge_agent.cli.initial.config_text import filled_in, shipped_example, with_sensor
from edge_agent.cli.initial.sensors import Sensor, found_sensors
from edge_agent.cli.installation.host import device_name, example_for, make_config
from edge_agent.settings.device import Config, parse_config, read_config

NOBODY = "mqtt://127.0.0.1:9"
SERIAL = ["--sensor", "serial:/dev/ttyUSB3", "--channels", "ax, ay,az", "--rate-hz", "100"]


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody comes to the address where nobody is."""
    monkeypatch.setattr(doctor_checks, "_BROKER_TIMEOUT_S", 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def init(path: Path, *arguments: str) -> int:
    return main(["init", "--config", str(path), *arguments])


def checked(path: Path) -> Config:
    assert main(["check-config", "--config", str(path)]) == 0
    return read_config(path)


def test_options_answer_every_question(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = path.with_name("password")

    password.write_text("secret\n")
    code = init(
        path, "--yes", "--device-id", "pi-7", "--broker", NOBODY, "--username", "pi-7", "--password-file",
        str(password), "--sensor-name", "shaker", "--baud", "9600", *SERIAL,
    )  # fmt: skip

    config = checked(path)
    assert code == 0
    assert (config.device_id, config.mqtt.url, config.mqtt.username) == ("pi-7", NOBODY, "pi-7")
    assert config.mqtt.password_file == str(password)
    assert not config.trust.allow_unsigned
    assert Path(config.trust.keys_dir) == path.parent / "trusted-keys"
    assert Path(config.trust.keys_dir).is_dir()
    assert config.sources == {
        "shaker": {
            "kind": "serial",
            "port": "/dev/ttyUSB3",
            "channels": ["ax", "ay", "az"],
            "rate_hz": 100,
            "baud": 9600,
        }
    }
    said = capsys.readouterr().out
    assert f"broker     no broker at {NOBODY}" in said
    assert f"copy the public keys (*.pem) of those who may push to {path.parent}/trusted-keys" in said


def test_the_safe_answers_are_taken_where_nobody_gives_one(path: Path) -> None:
    assert init(path, "--yes", "--broker", NOBODY) == 0

    config = checked(path)
    assert (config.sources, config.trust.allow_unsigned) == ({}, False)
    assert config.state_dir == str(path.parent / "state")


def test_questions_are_asked_again_until_the_answer_is_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ["Kitchen Pi", "kitchen", "http://x", "127.0.0.1:9", "", "maybe", "yes"]
    answers += ["cam:/dev/video0", "replay:rec.csv", "bad name", ""]
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))

    assert init(path) == 0

    config = checked(path)
    assert (config.device_id, config.mqtt.url, config.trust.allow_unsigned) == ("kitchen", NOBODY, True)
    assert config.sources == {"recorded": {"kind": "replay", "path": str(path.parent / "rec.csv")}}
    said = capsys.readouterr().out
    assert "device_id 'Kitchen Pi' must match" in said
    assert "--broker 'http://x' must be mqtt://HOST[:PORT]" in said
    assert "'maybe' is neither yes nor no" in said
    assert "unknown kind 'cam'; did you mean 'camera'?" in said


def test_a_broker_that_is_there_is_told_of(path: Path, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(path, "--yes", "--broker", broker.url, "--allow-unsigned") == 0

    assert f"broker     ok: {broker.url}\n" in capsys.readouterr().out


def test_a_file_that_somebody_has_written_stays(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text('device_id = "mine"\n')

    assert init(path, "--yes", "--broker", NOBODY) == 2
    assert path.read_text() == 'device_id = "mine"\n'
    assert f"{path} exists already; edit it, or give --force to replace it" in capsys.readouterr().err
    assert init(path, "--yes", "--broker", NOBODY, "--force", "--device-id", "pi-2") == 0
    assert checked(path).device_id == "pi-2"


def test_the_file_that_install_has_put_there_is_replaced(path: Path) -> None:
    make_config(path, shipped_example())

    assert init(path, "--yes", "--broker", NOBODY, "--device-id", "pi-3") == 0
    assert checked(path).device_id == "pi-3"


def test_the_file_that_a_version_before_has_put_there_is_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    former = shipped_example().replace("# Groups whose", "# Formerly: groups whose")
    version = tmp_path / "opt" / "0.1.0"
    data = version / "lib/python3.11/site-packages/edge_agent/data"
    for file in (version / "pyvenv.cfg", version / "bin/edge-agent", data / "config.toml"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(former)
    make_config(path, former)
    assert init(path, "--yes", "--broker", NOBODY) == 2

    monkeypatch.setattr("edge_agent.cli.init.PREFIX", tmp_path / "opt")

    assert init(path, "--yes", "--broker", NOBODY, "--device-id", "pi-3") == 0
    assert checked(path).device_id == "pi-3"
    path.write_text(example_for(former) + "\n# mine\n")
    assert init(path, "--yes", "--broker", NOBODY) == 2


@pytest.mark.parametrize("content", [b"\xff\xfe device_id", b"[[[no toml", b""])
def test_a_file_that_is_no_configuration_stays_without_force(
    path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path.write_bytes(content)

    assert init(path, "--yes", "--broker", NOBODY) == 2
    assert f"{path} exists already; edit it, or give --force" in capsys.readouterr().err
    assert path.read_bytes() == content
    assert init(path, "--yes", "--broker", NOBODY, "--force", "--device-id", "pi-2") == 0
    assert checked(path).device_id == "pi-2"


def test_a_rate_of_each_kind_of_sensor(path: Path) -> None:
    for sensor in ("camera:/dev/video0", "replay:/rec.csv"):
        assert init(path, "--yes", "--broker", NOBODY, "--force", "--sensor", sensor, "--rate-hz", "12.5") == 0
        (source,) = checked(path).sources.values()
        assert source["rate_hz"] == 12.5


def test_every_comment_of_the_example_is_kept(path: Path) -> None:
    assert init(path, "--yes", "--broker", NOBODY, *SERIAL) == 0

    comments = [line for line in shipped_example().splitlines() if line.startswith("#")]
    written = path.read_text().splitlines()
    assert [line for line in comments if line not in written] == []


def test_install_and_init_write_the_same_but_for_the_answers() -> None:
    example = shipped_example()

    assert tomllib.loads(example_for(example))["device_id"] == device_name(platform.node())
    assert parse_config(tomllib.loads(with_sensor(example, "", {}))).sources == {}
    with pytest.raises(KeyError, match=r"\[mqtt\] adress"):
        filled_in(example, {("mqtt", "adress"): "x"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device-id", "Pi 1"], "device_id 'Pi 1' must match"),
        (["--broker", "ftp://x"], "--broker 'ftp://x' must be mqtt://HOST"),
        (["--ca-file", "ca.pem"], "--ca-file is for TLS; give --broker mqtts://HOST, too"),
        (["--password-file", "p"], "--password-file needs --username, too"),
        (["--sensor", "serial"], "say where it is, such as serial:/dev/ttyUSB0"),
        (["--sensor", "serial:/dev/x"], "--channels is missing; give it with this sensor"),
        (["--sensor", "7"], "there is no sensor 7 in the list"),
        ([*SERIAL, "--sensor-name", "a b"], "'a b' is no name of a source"),
        (["--sensor", "camera:/dev/video0", "--rate-hz", "nan"], "'nan' is no rate"),
        (["--sensor", "audio", "--rate-hz", "inf"], "'inf' is no rate"),
        (["--sensor", "replay:r.csv", "--rate-hz", "0"], "'0.0' is no rate"),
        (["--sensor", "iio:x", "--channels", "a", "--rate-hz", "-1"], "'-1.0' is no rate"),
        (["--allow-unsigned", "--keys-dir", "keys"], "give one of them"),
        (["--username", "a\udcffb"], "has characters that cannot be printed"),
    ],
)
def test_a_wrong_option_writes_nothing(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert init(path, "--yes", *arguments) == 2

    assert said in capsys.readouterr().err
    assert not list(path.parent.iterdir())


def test_nobody_at_the_terminal(path: Path) -> None:
    argv = [sys.executable, "-m", "edge_agent", "init", "--config", str(path)]

    done = subprocess.run(argv, input="", capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.strip() == "edge-agent init: nobody answers; give --device-id, or --yes for the defaults"
    assert not path.exists()


def test_sensors_are_found_by_the_names_that_stay(tmp_path: Path) -> None:
    for name in ("dev/ttyUSB0", "dev/serial/by-id/usb-imu", "dev/video0", "dev/video1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    iio = tmp_path / "sys/bus/iio/devices/iio:device0"
    iio.mkdir(parents=True)
    (iio / "name").write_text("bmi160\n")
    for channel in ("accel_x", "accel_y"):
        (iio / f"in_{channel}_raw").touch()

    assert found_sensors(tmp_path) == [
        Sensor("serial", str(tmp_path / "dev/serial/by-id/usb-imu")),
        Sensor("camera", str(tmp_path / "dev/video0")),
        Sensor("camera", str(tmp_path / "dev/video1")),
        Sensor("iio", "bmi160", ("accel_x", "accel_y")),
    ]


def test_a_kernels_sensor_is_configured_with_the_channels_that_it_names(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor("iio", "bmi160", ("accel_x", "accel_y"))
    monkeypatch.setattr("edge_agent.cli.initial.questions.found_sensors", lambda _root: [sensor])

    assert init(path, "--yes", "--broker", NOBODY, "--sensor", "1", "--rate-hz", "50") == 0

    assert checked(path).sources["imu"]["channels"] == ["accel_x", "accel_y"]


def test_a_folder_that_is_not_ours_to_write_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", "/proc/none/config.toml", "--yes", "--broker", NOBODY]) == 2
    assert "cannot make /proc/none" in capsys.readouterr().err
