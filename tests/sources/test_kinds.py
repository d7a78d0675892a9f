"""What single kinds of source promise beyond the conformance suite."""

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobs import cobs
from PIL import Image
from support.brokers import IotcoreBroker, MosquittoBroker
from support.captures import Terminal, serial_table
from support.links import QueuedLink
from support.rigs import AudioRig, IioRig, iio_scan, ramp, write_iio_tree, write_video, write_wav

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.errors import SourceError
from edge_agent.execution.launcher import source_table
from edge_agent.mqtt import Connected
from edge_agent.settings.device import parse_config
from edge_agent.sources import EndOfSource, Source, check_table, open_source


def collect(source: Source, count: int, timeout_s: float = 60.0) -> np.ndarray:
    parts: list[np.ndarray] = []
    deadline = time.monotonic() + timeout_s
    while sum(map(len, parts)) < count:
        assert time.monotonic() < deadline, f"{sum(map(len, parts))} of {count} samples came; {source.trouble}"
        if (arrived := source.read(0.2)) is not None:
            parts.append(arrived)
    return np.concatenate(parts)


def drain(source: Source) -> np.ndarray:
    parts: list[np.ndarray] = []
    while True:
        try:
            arrived = source.read(1.0)
        except EndOfSource:
            return np.concatenate(parts)
        if arrived is not None:
            parts.append(arrived)


class TestSerial:
    def test_binary_records_with_scale_and_a_counter_that_finds_what_was_lost(self, tmp_path: Path) -> None:
        terminal = Terminal(tmp_path / "imu")
        table = serial_table(tmp_path / "imu", framing="cobs", layout="<B3h", scale=[0.5, 1, 2], counter="n")
        source = open_source("imu", table)
        frames = [cobs.encode(struct.pack("<B3h", n % 256, n, -n, 3)) + b"\0" for n in range(600)]
        del frames[300:310]
        terminal.write_later(b"\0" + b"".join(frames))

        before = collect(source, 300)
        gaps_before = source.gaps
        after = collect(source, 290)
        source.close()

        assert np.array_equal(before[:, 0], np.arange(300) * 0.5)
        assert np.array_equal(before[:, 1:], np.stack([-np.arange(300.0), np.full(300, 6.0)], axis=1))
        assert (gaps_before, source.gaps, source.malformed) == (0, 1, 0)
        assert after[0, 0] == 155

    @pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own
    @pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
    def test_a_sensor_behind_a_url_and_its_connection_made_again(self, scheme: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            stop = threading.Event()
            serve = _serve_raw if scheme == "socket" else _serve_rfc2217
            thread = threading.Thread(target=serve, args=(server, stop), daemon=True)
            thread.start()
            table = {"kind": "serial", "port": f"{scheme}://127.0.0.1:{port}", "channels": ["n"], "rate_hz": 100}
            source = open_source("it", table)
            first = collect(source, 150)
            source.close()
            stop.set()
            thread.join()

        assert np.all(np.diff(first[:, 0])[:90] == 1)
        if scheme == "socket":
            assert source.gaps == 1  # the server hangs up after a hundred lines

    def test_a_loop_is_a_port(self) -> None:
        source = open_source("it", {"kind": "serial", "port": "loop://", "channels": ["a"], "rate_hz": 1})
        source._port.write(b"\n1.5\n2.5\n")  # type: ignore[attr-defined]

        assert collect(source, 2).tolist() == [[1.5], [2.5]]
        source.close()

    @pytest.mark.parametrize("url", ["nonsense://x", "socket://127.0.0.1:9"])
    def test_a_url_that_leads_nowhere(self, url: str) -> None:
        with pytest.raises(SourceError, match="no sensor at") as error:
            open_source("it", {"kind": "serial", "port": url, "channels": ["a"], "rate_hz": 1})

        assert error.value.code == "source_unavailable"


def _serve_raw(server: socket.socket, stop: threading.Event) -> None:
    """A terminal server that hangs up after a hundred lines."""
    server.settimeout(0.2)
    while not stop.is_set():
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        with connection, contextlib.suppress(OSError):  # the reader has left
            for number in range(101):
                connection.sendall(f"{number}\n".encode())
                time.sleep(0.001)


def _serve_rfc2217(server: socket.socket, stop: threading.Event) -> None:
    """A port server as pyserial has it, before a loop in place of a port."""
    import serial  # noqa: PLC0415  # one test's
    from serial import rfc2217  # noqa: PLC0415

    connection, _ = server.accept()
    port = serial.serial_for_url("loop://", timeout=0)
    with connection:
        writer = type("Writer", (), {"write": staticmethod(connection.sendall)})()
        manager = rfc2217.PortManager(port, writer)
        connection.settimeout(0.01)
        number = 0
        while not stop.is_set():
            try:
                if not (data := connection.recv(1024)):
                    return
                list(manager.filter(data))
            except TimeoutError:
                pass
            with contextlib.suppress(OSError):  # the reader has left
                connection.sendall(b"".join(manager.escape(f"{number}\n".encode())))
            number += 1


class TestMqtt:
    def table(self, broker: str, **options: Any) -> dict[str, Any]:
        plain = {"kind": "mqtt", "url": broker, "topic": "s/imu", "channels": ["x", "y"], "rate_hz": 100}
        return {**plain, **options}

    def send(self, url: str, source: Source, *payloads: bytes, topic: str = "s/imu", retain: bool = False) -> None:
        source.read(0.5)
        with QueuedLink(url) as publisher:
            publisher.expect(Connected)
            for payload in payloads:
                assert publisher.link.publish(topic, payload, retain=retain).wait(60)

    def test_json_of_one_or_several_samples_and_malformed_messages(self, broker: IotcoreBroker) -> None:
        source = open_source("it", self.table(broker.url, channels=["acc.x", "y"], scale=[2]))
        self.send(
            broker.url, source, b'{"acc": {"x": 1}, "y": 2}', b"no json", b'{"acc": {"x": [3, 5]}, "y": [4, 6]}', b""
        )
        arrived = collect(source, 3)
        source.read(0.3)
        source.close()

        assert arrived.tolist() == [[2, 4], [6, 8], [10, 12]]
        assert source.malformed == 2
        assert source.gaps == 0

    def test_strings_and_paths_as_home_automation_sends_them(self, broker: IotcoreBroker) -> None:
        source = open_source("it", self.table(broker.url, channels=["AM2301.Temperature", "acc.1"]))
        self.send(
            broker.url,
            source,
            b'{"Time": "2026-05-01T12:00:00", "AM2301": {"Temperature": "21.5", "Humidity": 40}, "acc": [1, "2.5"]}',
            b'{"AM2301.Temperature": -3, "acc": ["0", 1e1]}',
        )
        arrived = collect(source, 2)
        source.close()

        assert arrived.tolist() == [[21.5, 2.5], [-3, 10]]
        assert source.malformed == 0

    @pytest.mark.parametrize(
        ("options", "payload", "says"),
        [
            (
                {},
                b'{"acc": {"x": 1}}',
                """'{"acc": {"x": 1}}': there is no field 'x'; it has acc.x; name channels like these""",
            ),
            ({}, b"21.5", "'21.5': there is no field 'x'; it is no object; send one with fields"),
            ({}, b'{"x": true, "y": 1}', "field 'x' is true, not a number"),
            ({}, b"\xff\x00" + b"z" * 999, r"'\xff\x00zzz"),
            (
                {"format": "raw"},
                b"\0" * 9,
                "its 9 bytes are not a whole number of samples of 2 x float32; correct dtype or channels",
            ),
        ],
    )
    def test_a_malformed_message_is_shown(
        self, broker: IotcoreBroker, options: dict[str, Any], payload: bytes, says: str
    ) -> None:
        source = open_source("it", self.table(broker.url, **options))
        self.send(broker.url, source, payload)
        deadline = time.monotonic() + 60
        while not source.malformed and time.monotonic() < deadline:
            source.read(0.2)
        trouble = source.trouble
        (finding,) = MonitoredSource(source, "it").findings()
        source.close()

        assert says in trouble
        assert says in finding.message
        assert finding.message.isprintable()
        assert len(trouble) < 500

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "int32"])
    def test_raw_little_endian_numbers(self, broker: IotcoreBroker, dtype: str) -> None:
        sent = np.arange(20).reshape(10, 2).astype(np.dtype(dtype).newbyteorder("<"))
        source = open_source("it", self.table(broker.url, format="raw", dtype=dtype))
        self.send(broker.url, source, sent.tobytes(), sent.tobytes()[:-1])
        arrived = collect(source, 10)
        source.read(0.3)
        source.close()

        assert arrived.tolist() == sent.tolist()
        assert source.malformed == 1

    def test_what_is_retained_or_of_another_topic_is_no_sample(self, broker: IotcoreBroker) -> None:
        with QueuedLink(broker.url) as publisher:
            publisher.expect(Connected)
            assert publisher.link.publish("s/imu", b'{"x": 9, "y": 9}', retain=True).wait(60)
        source = open_source("it", self.table(broker.url))
        self.send(broker.url, source, b'{"x": 8, "y": 8}', topic="s/other")
        self.send(broker.url, source, b'{"x": 1, "y": 2}')

        assert collect(source, 1).tolist() == [[1, 2]]
        source.close()

    def test_a_counter_finds_what_the_broker_lost(self, broker: IotcoreBroker) -> None:
        source = open_source("it", self.table(broker.url, counter="n"))
        self.send(broker.url, source, *(json.dumps({"n": n, "x": n, "y": 0}).encode() for n in (1, 2, 2, 5, 6)))
        arrived = collect(source, 4)
        source.close()

        assert arrived[:, 0].tolist() == [1, 2, 5, 6]
        assert source.gaps == 1

    def test_a_reader_that_is_late_loses_whole_messages_and_knows_it(self, broker: IotcoreBroker) -> None:
        source = open_source("it", self.table(broker.url, format="raw"))
        self.send(broker.url, source, *[np.zeros(20_000, "<f4").tobytes()] * 60)
        time.sleep(1.5)  # the broker has all of them; until they are here
        arrived = collect(source, 52 * 10_000)
        gaps_before = source.gaps
        self.send(broker.url, source, np.ones(2, "<f4").tobytes())
        after = collect(source, 1)
        source.close()

        assert len(arrived) == 52 * 10_000  # 4 MiB
        assert (gaps_before, source.gaps) == (0, 1)
        assert after.tolist() == [[1, 1]]

    @pytest.mark.mosquitto
    def test_a_login_from_a_file(self, tmp_path: Path) -> None:
        passwords = tmp_path / "passwords"
        program = shutil.which("mosquitto_passwd")
        assert program is not None
        subprocess.run([program, "-b", "-c", str(passwords), "sensor", "secret"], check=True, timeout=60)
        passwords.chmod(0o600)
        broker = MosquittoBroker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
        broker._config.write_text(broker._config.read_text().replace("allow_anonymous true\n", ""))
        broker.start()
        (tmp_path / "right").write_text("secret\n")
        (tmp_path / "wrong").write_text("guess\n")
        try:
            login = {"username": "sensor", "password_file": str(tmp_path / "right")}
            open_source("it", self.table(broker.url, **login)).close()
            with pytest.raises(SourceError, match=r"does not know this user name and password|does not admit") as error:
                open_source("it", self.table(broker.url, **login | {"password_file": str(tmp_path / "wrong")}))
        finally:
            broker.kill()

        assert error.value.code == "source_unavailable"

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"topic": "s/+"}, "without the wildcards"),
            ({"url": "http://x"}, "must be mqtt://"),
            ({"url": "mqtt://user:pw@x"}, "holds no credentials"),
            ({"format": "raw", "counter": "n"}, "a counter needs"),
            ({"scale": [1, 2, 3]}, "3 factors for 2 channels"),
        ],
    )
    def test_a_wrong_table(self, options: dict[str, Any], says: str) -> None:
        with pytest.raises(Exception, match=says):
            check_table("it", self.table("mqtt://x", **options))

    def test_without_a_url_it_is_the_devices_own_broker(self) -> None:
        config = parse_config(
            {
                "device_id": "pi",
                "mqtt": {"url": "mqtts://home:8883", "username": "pi", "password_file": "/etc/p"},
                "sources": {
                    "own": {"kind": "mqtt", "topic": "t", "channels": ["a"], "rate_hz": 1},
                    "other": {"kind": "mqtt", "url": "mqtt://x", "topic": "t", "channels": ["a"], "rate_hz": 1},
                    "imu": {"kind": "serial"},
                },
            }
        )

        own = source_table(config, "own")

        assert (own["url"], own["username"], own["password_file"]) == ("mqtts://home:8883", "pi", "/etc/p")
        check_table("own", own)
        assert source_table(config, "other") == config.sources["other"]
        assert source_table(config, "imu") == {"kind": "serial"}
        with pytest.raises(SourceError, match="needs a broker: set url"):
            open_source("own", config.sources["own"])


class TestReplay:
    @pytest.mark.parametrize("width", [1, 2, 3, 4])
    def test_wav_of_every_width_is_minus_one_to_one(self, tmp_path: Path, width: int) -> None:
        values = np.array([[-1.0, 1.0], [0.5, -0.5], [0.0, 0.25]])
        full = 1 << (8 * width - 1)
        integers = np.clip(np.round(values * full), -full, full - 1).astype(np.int64)
        data = b"".join(
            int(value + (full if width == 1 else 0)).to_bytes(width, "little", signed=width > 1)
            for value in integers.reshape(-1)
        )
        with wave.open(str(tmp_path / "s.wav"), "wb") as file:
            file.setparams((2, width, 8000, 0, "NONE", ""))
            file.writeframes(data)

        source = open_source("it", {"kind": "replay", "path": str(tmp_path / "s.wav"), "rate": "max"})

        assert (source.rate_hz, source.length, source.channels) == (8000, 3, ("left", "right"))
        assert np.allclose(drain(source), values, atol=1 / full + 1e-9)
        source.close()

    def test_a_long_wav_is_not_held_in_memory(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "s.wav", np.zeros((2_000_000, 2), np.int16), 48_000)
        program = (
            "import sys, resource; from edge_agent.sources import open_source, EndOfSource\n"
            "source = open_source('it', {'kind': 'replay', 'path': sys.argv[1], 'rate': 'max'})\n"
            "source.read(1); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; count = 0\n"
            "try:\n    while True: count += len(source.read(1))\n"
            "except EndOfSource: print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        )

        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "s.wav")], capture_output=True, check=True, timeout=60
        )

        count, grown_kib = map(int, done.stdout.split())
        assert count == 2_000_000 - 16_384
        assert grown_kib < 4096

    def test_a_wav_that_was_cut_short_ends_early(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "s.wav", ramp(1000, 2), 8000)
        data = (tmp_path / "s.wav").read_bytes()
        (tmp_path / "s.wav").write_bytes(data[:-1001])

        arrived = drain(open_source("it", {"kind": "replay", "path": str(tmp_path / "s.wav"), "rate": "max"}))

        assert 700 < len(arrived) < 1000

    @pytest.mark.parametrize("data", [b"RIFF\x10\0\0\0WAVEnonsense", b"", b"RIFF" * 20])
    def test_a_file_that_is_no_wav(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "s.wav").write_bytes(data)

        with pytest.raises(SourceError, match="cannot be replayed"):
            open_source("it", {"kind": "replay", "path": str(tmp_path / "s.wav")})

    @pytest.mark.parametrize(("colour", "pixel"), [("rgb", [200, 100, 50]), ("bgr", [50, 100, 200]), ("gray", [124])])
    def test_pictures_have_their_channels_in_the_order_asked_for(
        self, tmp_path: Path, colour: str, pixel: list[int]
    ) -> None:
        for number in range(3):
            Image.new("RGB", (8, 6), (200, 100, 50)).save(tmp_path / f"{number}.png")
        (tmp_path / "1.png").write_bytes(b"no picture")
        (tmp_path / "notes.txt").write_text("x")
        table = {"kind": "replay", "path": str(tmp_path), "rate": "max", "rate_hz": 5, "colour": colour}

        source = open_source("it", table)
        pictures = drain(source)

        assert pictures.shape == (2, 6, 8, len(pixel))
        assert np.abs(pictures[0, 0, 0].astype(int) - pixel).max() <= 1
        assert source.malformed == 1

    def test_pictures_of_different_sizes_need_a_size(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
        Image.new("RGB", (10, 6)).save(tmp_path / "b.png")
        table = {"kind": "replay", "path": str(tmp_path), "rate": "max", "rate_hz": 5}

        with pytest.raises(SourceError, match=r"a.png is 8x6, b.png 10x6; add size"):
            open_source("it", table)
        assert drain(open_source("it", {**table, "size": [4, 2]})).shape == (2, 2, 4, 3)

    def test_a_picture_that_was_taken_on_the_side_is_turned(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)

        source = open_source("it", {"kind": "replay", "path": str(tmp_path), "rate_hz": 5, "rate": "max"})

        assert source.frame_shape == (8, 6)
        assert drain(source).shape == (1, 8, 6, 3)


class TestCamera:
    @pytest.mark.parametrize(("colour", "left"), [("rgb", [200, 0, 0]), ("bgr", [0, 0, 200]), ("gray", [60])])
    def test_colours_are_in_the_order_asked_for(self, tmp_path: Path, colour: str, left: list[int]) -> None:
        write_video(tmp_path / "v.avi", 10, (48, 64), 30)
        source = open_source(
            "it", {"kind": "camera", "device": str(tmp_path / "v.avi"), "colour": colour, "rate": "max"}
        )

        pictures = drain(source)
        source.close()

        assert pictures.shape == (10, 48, 64, len(left))
        assert source.length == 10
        assert source.rate_hz == 30
        assert np.abs(pictures[:, 8:40, 8:24].astype(int) - left).max() < 12

    def test_another_size_than_it_gives_is_an_error(self, tmp_path: Path) -> None:
        write_video(tmp_path / "v.avi", 3, (48, 64), 30)

        with pytest.raises(SourceError, match="delivers pictures of 64x48, not 320x240; set width and height"):
            open_source("it", {"kind": "camera", "device": str(tmp_path / "v.avi"), "width": 320, "height": 240})

    def test_a_file_that_is_no_video(self, tmp_path: Path) -> None:
        (tmp_path / "v.avi").write_bytes(b"no video")

        with pytest.raises(SourceError, match="cannot be opened as a video") as error:
            open_source("it", {"kind": "camera", "device": str(tmp_path / "v.avi")})

        assert error.value.code == "source_unavailable"

    def test_a_device_that_is_no_camera(self) -> None:
        with pytest.raises(SourceError, match="cannot be opened as a camera") as error:
            open_source("it", {"kind": "camera", "device": "/dev/null"})

        assert error.value.code in ("source_unavailable", "source_busy")


class TestAudio:
    def test_a_reader_that_is_late_is_told_of_what_was_lost(self, tmp_path: Path) -> None:
        rig = AudioRig(tmp_path)
        source = rig.open()
        collect(source, 10)
        time.sleep(1.5)
        collect(source, 10)

        assert source.gaps == 1
        source.close()

    def test_through_portaudio_and_alsa_with_a_file_in_place_of_a_card(self, tmp_path: Path) -> None:
        probe = "import sounddevice"
        if subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False, timeout=60).returncode:
            pytest.skip("needs PortAudio: sudo apt install libportaudio2")
        sent = np.arange(40_000, dtype=np.float32) / 40_000
        (tmp_path / "in.raw").write_bytes(sent.tobytes())
        (tmp_path / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.!default {{ type file slave.pcm "null" file "/dev/null" infile "{tmp_path}/in.raw" format "raw" }}\n'
        )
        program = (
            "import sys; from edge_agent.sources import open_source\n"
            "source = open_source('mic', {'kind': 'audio'})\n"
            "first = source.read(5)\n"
            "print(first.dtype, first.shape[1], float(abs(first[1:, 0] - first[:-1, 0]).max()) < 1.1)\n"
            "source.close(); source.close()"
        )

        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.stdout.strip() == "float32 1 True", done.stderr


class TestIio:
    def test_numbers_are_in_units_and_a_lost_sample_shows_in_the_kernels_time_stamps(self, tmp_path: Path) -> None:
        rig = IioRig(tmp_path)
        source = open_source("it", rig.table)
        stamps = [10**9 + 10_000_000 * n for n in (0, 1, 2, 50, 51)]
        data = b"".join(iio_scan(value, stamp) for value, stamp in zip((-5, 7, 8, 9, 10), stamps, strict=True))
        os.write(rig._writer, data[:20])
        os.write(rig._writer, data[20:])

        arrived = collect(source, 5)
        source.close()
        rig.close()

        assert arrived.tolist() == [[n * 0.5, (n + 10) * 0.5] for n in (-5, 7, 8, 9, 10)]
        assert source.gaps == 1
        device = tmp_path / "sys" / "iio:device0"
        assert {name: (device / name).read_text().strip() for name in ("sampling_frequency", "buffer/enable")} == {
            "sampling_frequency": "100", "buffer/enable": "1"
        }  # fmt: skip
        assert (device / "scan_elements/in_accel_z_en").read_text().strip() == "0"
        assert (device / "buffer/length").read_text().strip() == "200"

    def test_a_buffer_that_is_set_up_is_not_written_to(self, tmp_path: Path) -> None:
        rig = IioRig(tmp_path)
        open_source("it", rig.table).close()
        files = [path for path in rig.sysfs.rglob("*") if path.is_file()]
        before = {path: path.stat().st_mtime_ns for path in files}

        open_source("it", rig.table).close()
        rig.close()

        assert {path: path.stat().st_mtime_ns for path in files} == before

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write to files that forbid it")
    def test_a_setting_that_may_not_be_written(self, tmp_path: Path) -> None:
        rig = IioRig(tmp_path)
        (rig.sysfs / "iio:device0" / "sampling_frequency").chmod(0o444)
        with pytest.raises(SourceError, match=r"cannot be set to 100: .*; set it as root beforehand"):
            open_source("it", rig.table)
        rig.close()

    def test_a_setting_that_cannot_be_written(self, tmp_path: Path) -> None:
        rig = IioRig(tmp_path)
        length = rig.sysfs / "iio:device0" / "buffer" / "length"
        length.unlink()
        length.mkdir()
        with pytest.raises(SourceError, match=r"buffer/length cannot be set to 200: Is a directory; set it as root"):
            open_source("it", rig.table)
        rig.close()

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"device": "imo"}, "did you mean 'imu'"),
            ({"channels": ["accel_q"]}, "did you mean 'accel_"),
        ],
    )
    def test_what_is_not_there_is_named(self, tmp_path: Path, change: dict[str, Any], says: str) -> None:
        write_iio_tree(tmp_path / "iio:device0")
        table = {"kind": "iio", "device": "imu", "channels": ["accel_x"], "rate_hz": 1, "sysfs": str(tmp_path)}

        with pytest.raises(SourceError, match=says) as error:
            open_source("it", {**table, **change})

        assert error.value.code == "source_unavailable"
