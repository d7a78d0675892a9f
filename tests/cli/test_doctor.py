"""``edge-agent doctor``: what it says of sources, of files that are missing, and of runtimes that are slow."""

import fcntl
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.brokers import Broker, MosquittoBroker
from support.certificates import write_certificate

from edge_agent.cli import open_source
from edge_agent.cli.check import Check
from edge_agent.cli.doctor_checks import examine
from edge_agent.cli.doctor_sources import check_sources
from edge_agent.settings.device import read_config
from host_tools.demo.simulator import SerialImu

pytestmark = pytest.mark.children(covered=False)

Write = Callable[..., Path]
IMU = 'channels = ["ax", "ay", "az", "gx", "gy", "gz"]\nrate_hz = 50\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A device's configuration; ``mqtt`` are lines of that table."""

    def config(sources: str = "", mqtt: str = 'url = "mqtt://127.0.0.1:9"') -> Path:
        path = tmp_path / "config.toml"
        text = f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n[trust]\nallow_unsigned = true\n[mqtt]\n{mqtt}\n'
        path.write_text(text + textwrap.dedent(sources), encoding="utf-8")
        return path

    return config


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes long to start a process."""
    monkeypatch.setattr(open_source, "OPEN_TIMEOUT_S", 120.0)


@pytest.fixture
def without_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of runtimes, whose process takes seconds."""
    monkeypatch.setattr("edge_agent.cli.doctor_checks._runtimes", lambda: ())


@pytest.fixture
def imu(tmp_path: Path) -> Iterator[SerialImu]:
    with SerialImu(tmp_path / "imu") as sensor:
        yield sensor


def sources(config: Path) -> list[Check]:
    return list(check_sources(read_config(config)))


def test_runtimes_that_do_not_answer_in_time_are_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edge_agent.cli.doctor_checks.INVENTORY_TIMEOUT_S", 0.01)

    (check,) = (check for check in examine(tmp_path / "none.toml") if check.name == "runtimes")

    assert check.level == "fail"
    assert "within 0.01 s" in check.detail
    assert "install" not in check.remedy


def test_a_source_is_ok_once_it_was_opened(write: Write, imu: SerialImu, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.zeros((100, 2), np.float32))

    port, recording = sources(
        write(
            f'[sources.imu]\nkind = "serial"\nport = "{imu.port}"\n{IMU}'
            f'[sources.rec]\nkind = "replay"\npath = "{tmp_path}/x.npz"\nrate_hz = 10\n'
        )
    )

    assert (port.level, port.detail) == ("ok", f"serial {imu.port}, opened")
    assert (recording.level, recording.detail) == ("ok", f"replay {tmp_path}/x.npz, opened")


def test_a_source_that_is_there_but_cannot_be_opened_fails(write: Write, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    (tmp_path / "text").write_text("no port")

    port, recording, gone = sources(
        write(
            f'[sources.imu]\nkind = "serial"\nport = "{tmp_path}/text"\n{IMU}'
            f'[sources.rec]\nkind = "replay"\npath = "{tmp_path}/broken.npz"\nrate_hz = 10\n'
            f'[sources.gone]\nkind = "serial"\nport = "{tmp_path}/none"\n{IMU}'
        )
    )

    assert (port.level, recording.level, gone.level) == ("fail", "fail", "fail")
    assert "cannot be opened as a serial port" in port.detail
    assert "broken.npz" in recording.detail
    assert f"{tmp_path}/none does not exist" in gone.detail
    assert all(check.remedy for check in (port, recording, gone))


def test_of_a_source_that_somebody_has_it_says_who(write: Write, imu: SerialImu) -> None:
    holder = os.open(imu.port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)

    (check,) = sources(write(f'[sources.imu]\nkind = "serial"\nport = "{imu.port}"\n{IMU}'))

    os.close(holder)
    assert check.level == "warn"
    assert f"is in use by process {os.getpid()} (" in check.detail


def test_a_driver_that_crashes_or_hangs_does_not_take_the_doctor_with_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    package.joinpath("acme-1.dist-info").mkdir(parents=True)
    package.joinpath("acme-1.dist-info", "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    package.joinpath("acme-1.dist-info", "entry_points.txt").write_text("[edge_agent.sources]\nacme = acme\n")
    package.joinpath("acme.py").write_text(
        "import msgspec, os, time\n"
        "class Options(msgspec.Struct):\n    crash: bool\n"
        "def open(options):\n    os.abort() if options.crash else time.sleep(60)\n"
    )
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", str(package))
    found = []
    for crash, patience_s in (("true", 120.0), ("false", 3.0)):
        monkeypatch.setattr(open_source, "OPEN_TIMEOUT_S", patience_s)
        found += sources(write(f'[sources.a]\nkind = "acme"\ncrash = {crash}\n'))

    crashing, hanging = found

    assert (crashing.level, hanging.level) == ("fail", "fail")
    assert crashing.detail.startswith("its driver crashed: ")
    assert hanging.detail == "its driver does not answer within 3 s"


def test_it_names_what_a_configured_source_lacks(write: Write) -> None:
    config = write('[sources.cam]\nkind = "camera"\ndevice = "/dev/null"\n')
    program = (
        "import sys; sys.modules['cv2'] = None\n"
        "from pathlib import Path; from edge_agent.settings.device import read_config\n"
        "from edge_agent.cli.doctor_sources import check_sources\n"
        "for check in check_sources(read_config(Path(sys.argv[1]))):\n"
        "    print(check.name, check.level, check.detail, check.remedy, sep='\\n')"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(config)], capture_output=True, text=True, check=True, timeout=60
    )

    name, level, detail, remedy = done.stdout.splitlines()
    assert (name, level) == ("source cam", "fail")
    assert detail.startswith("a camera needs OpenCV")
    assert remedy.startswith("install the extra camera: ")


@pytest.mark.parametrize("key", ["password_file", "ca_file", "cert_file"])
def test_a_file_that_is_missing_is_one_check_that_fails(write: Write, tmp_path: Path, key: str) -> None:
    mqtt = f'url = "mqtts://127.0.0.1:9"\n{key} = "{tmp_path}/none"'

    checks = examine(write(mqtt=mqtt))

    (broker,) = (check for check in checks if check.name == "broker")
    assert (broker.level, broker.detail) == ("fail", f"{key} {tmp_path}/none: No such file or directory")
    assert {"runtimes", "state", "trust", "sources", "daemon"} <= {check.name for check in checks}


@pytest.mark.mosquitto
@pytest.mark.usefixtures("without_runtimes")
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho's, after a failed handshake
def test_a_broker_whose_certificate_nobody_vouches_for_names_the_key_to_set(write: Write, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    broker = MosquittoBroker(tmp_path, f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
    broker.start()

    checks = examine(write(mqtt=f'url = "{broker.url.replace("mqtt:", "mqtts:")}"'))

    broker.kill()
    (check,) = (check for check in checks if check.name == "broker")
    assert check.level == "fail"
    assert "certificate" in check.detail
    assert "ca_file" in check.remedy


@pytest.mark.mosquitto
@pytest.mark.usefixtures("without_runtimes")
def test_a_wrong_password_is_told_from_a_broker_that_is_not_there(write: Write, tmp_path: Path) -> None:
    (tmp_path / "passwords").touch(0o600)
    (tmp_path / "wrong").write_text("wrong\n", encoding="utf-8")
    broker = MosquittoBroker(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/passwords")
    broker.start()

    checks = examine(write(mqtt=f'url = "{broker.url}"\nusername = "pi"\npassword_file = "{tmp_path}/wrong"'))

    broker.kill()
    (check,) = (check for check in checks if check.name == "broker")
    assert check.level == "fail"
    assert "username and password_file" in check.remedy


@pytest.mark.usefixtures("without_runtimes")
def test_a_user_name_that_is_not_the_device_is_warned_of(write: Write, one_broker: Broker) -> None:
    """The documented ACL lets nobody else write a device's topics, and a broker refuses such messages silently."""
    (check,) = (
        check
        for check in examine(write(mqtt=f'url = "{one_broker.url}"\nusername = "pi-o1"'))
        if check.name == "broker"
    )

    assert check.level == "warn"
    assert "user 'pi-o1'; device_id is 'pi'" in check.detail


@pytest.mark.usefixtures("without_runtimes")
def test_a_broker_that_is_there_is_ok(write: Write, one_broker: Broker) -> None:
    checks = examine(write(mqtt=f'url = "{one_broker.url}"'))

    assert [check.level for check in checks if check.name in ("broker", "topics")] == ["ok", "ok"]
