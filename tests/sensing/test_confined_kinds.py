"""Each kind of source in a process of its own, as the daemon runs it: what Landlock takes away, no kind may need."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.rigs import IioPollRig, IioRig, MqttRig, Rig, write_video
from support.sensing import SourceProcess, read_for

from edge_agent.settings.sensor_needs import devices_elsewhere, may_connect, socket_families
from edge_agent.settings.sharing import SourceState


@pytest.fixture(params=[IioRig, IioPollRig, MqttRig], ids=lambda kind: kind.__name__)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "rig").mkdir()
    made: Rig = request.param(tmp_path / "rig")
    yield made
    made.close()


def test_samples_come_one_after_the_other(rig: Rig, tmp_path: Path) -> None:
    with SourceProcess(tmp_path / "state" / "it", rig.table) as process:
        opened = process.expect(lambda state: state.state == "open" or bool(state.code))
        assert opened.state == "open", opened.message
        rig.every(0.01, rig._send)  # type: ignore[attr-defined]  # as the rig does for whoever opens it himself
        reader = process.subscribe()
        numbers = read_for(reader, 1.5)
        reader.close()

    assert len(numbers) > 40
    assert np.all(np.diff(numbers) >= 0)
    assert len(np.unique(numbers)) > 20


def said_of(folder: Path, table: dict[str, Any]) -> SourceState:
    """The first thing that a process says of ``table``."""
    with SourceProcess(folder, table) as process:
        return process.expect(lambda _: True)


def test_a_device_that_is_no_camera(tmp_path: Path) -> None:
    said = said_of(tmp_path / "eye", {"kind": "camera", "device": "/dev/is-not-there"})

    assert said.code == "source_unavailable"
    assert "/dev/is-not-there does not exist" in said.message


def test_a_video_is_decoded_and_then_refused_as_a_recording(tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", 30, (48, 64), 30)

    said = said_of(tmp_path / "eye", {"kind": "camera", "device": str(tmp_path / "v.avi")})

    assert "is a recording" in said.message


def test_a_microphone_through_portaudio_or_word_of_its_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ALSA records from a file here; where there is no PortAudio, looking for it must not fail for another reason."""
    (tmp_path / "in.raw").write_bytes(np.arange(16_000, dtype=np.float32).tobytes())
    shared = Path(os.environ.get("ALSA_CONFIG_DIR", "/usr/share/alsa"), "alsa.conf")
    (tmp_path / "asound.conf").write_text(
        f'<{shared}>\npcm.!default {{ type file slave.pcm "null" file "/dev/null" '
        f'infile "{tmp_path}/in.raw" format "raw" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    there = not subprocess.run(
        [sys.executable, "-c", "import sounddevice"], capture_output=True, check=False
    ).returncode

    with SourceProcess(tmp_path / "mic", {"kind": "audio"}) as process:
        said = process.expect(lambda _: True)
        if there:
            assert said.state == "open", said.message
            reader = process.subscribe()
            assert len(read_for(reader, 0.5)) > 1000
            reader.close()

    if not there:
        assert said.code == "source_unavailable"
        assert "PortAudio library not found" in said.message


@pytest.mark.parametrize(
    ("table", "tcp"),
    [
        ({"kind": "serial", "port": "/dev/ttyUSB0"}, False),
        ({"kind": "serial", "port": "rfc2217://it:7"}, True),
        ({"kind": "mqtt", "url": "mqtt://it"}, True),
        ({"kind": "camera", "device": "/dev/video0"}, False),
        ({"kind": "audio"}, False),
        ({"kind": "iio"}, False),
        ({"kind": "replay", "path": "imu.npz"}, False),
        ({"kind": "somebody-elses"}, True),
    ],
)
def test_whomay_connect(table: dict[str, Any], *, tcp: bool) -> None:
    assert may_connect(table) is tcp
    assert (socket.AF_INET in socket_families(table)) is tcp


_OPENS_NETLINK = """
import errno, json, socket, sys
from pathlib import Path
from edge_agent.process.confinement import confine_sensor
from edge_agent.settings.sensor_needs import socket_families
confine_sensor(write=[Path(sys.argv[1])], families=socket_families(json.loads(sys.argv[2])))
for family in (socket.AF_NETLINK, socket.AF_CAN, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_RAW, 0).close()
        print("open")
    except OSError as error:  # this kernel may lack the bus
        print("refused" if error.errno == errno.EPERM else "open")
"""


@pytest.mark.parametrize(("kind", "answers"), [("acme-can", ["open", "open", "refused"]), ("mqtt", ["refused"] * 3)])
def test_a_sensor_of_another_package_has_its_bus(tmp_path: Path, kind: str, answers: list[str]) -> None:
    """Without netlink libusb does not begin; a CAN bus and Bluetooth are sockets."""
    argv = [sys.executable, "-c", _OPENS_NETLINK, str(tmp_path), json.dumps({"kind": kind})]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == answers


def test_where_devices_are(tmp_path: Path) -> None:
    (tmp_path / "sys" / "bus" / "iio" / "devices").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    table = {"kind": "iio", "sysfs": str(tmp_path / "sys" / "bus" / "iio" / "devices"), "dev": str(tmp_path / "dev")}

    assert devices_elsewhere(table) == [tmp_path / "sys", tmp_path / "dev"]
    assert devices_elsewhere({**table, "sysfs": "sys", "dev": "/is/not/there"}) == []
    assert devices_elsewhere({"kind": "iio"}) == []
    assert Path("/") not in devices_elsewhere({"kind": "iio", "sysfs": "/bus/iio/devices"})
    assert devices_elsewhere({**table, "kind": "serial"}) == []
