"""What people's firmware prints on a serial port: each dialect read rightly, or its line shown with what to do."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from support.captures import Terminal, serial_table

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.sources import Source, open_source

BANNER = b"ets Jun  8 2016 00:22:57\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\nWiFi: connected, 192.168.1.7\r\n"


class Case(NamedTuple):
    """What comes, of which channels, and what it is: the samples, and how many lines were dropped."""

    sent: bytes
    options: Mapping[str, Any] = MappingProxyType({})
    samples: tuple[tuple[float, ...], ...] = ((1.5, -2, 30), (0.25, 9.81, -7))
    malformed: int = 0


LABELS = {"channels": ["x", "y", "z"]}
JSON = {"framing": "json", "channels": ["x", "y", "z"]}

READ = {
    "commas": Case(b"1.5,-2,30\n0.25,9.81,-7\n"),
    "commas and blanks, CR LF": Case(b"1.5, -2, 30\r\n0.25, 9.81, -7\r\n"),
    "a comma behind the last": Case(b"1.5,-2,30,\r\n0.25,9.81,-7, \r\n"),
    "semicolons": Case(b"1.5;-2;30\n0.25;9.81;-7\n"),
    "semicolons and decimal commas": Case(b"1,5;-2;30;\n0,25;9,81;-7;\n"),
    "tabs": Case(b"1.5\t-2\t30\n0.25\t9.81\t-7\n"),
    "a tab behind the last": Case(b"1.5\t-2\t30\t\r\n0.25\t9.81\t-7\t\r\n"),
    "tabs and decimal commas": Case(b"1,5\t-2\t30\n0,25\t9,81\t-7\n"),
    "a blank": Case(b"1.5 -2 30\n0.25 9.81 -7\n"),
    "columns of blanks": Case(b"   1.5     -2     30 \r\n  0.25   9.81     -7 \r\n"),
    "plotter, commas": Case(b"x:1.5,y:-2,z:30\nx:0.25,y:9.81,z:-7\n", LABELS),
    "plotter, tabs": Case(b"x:1.5\ty:-2\tz:30\nx:0.25\ty:9.81\tz:-7\n", LABELS),
    "plotter, blanks": Case(b"x:1.5 y:-2 z:30\r\nx:0.25 y:9.81 z:-7\r\n", LABELS),
    "plotter, a blank behind the colon": Case(b"x: 1.5, y: -2, z: 30,\nx: 0.25, y: 9.81, z: -7,\n", LABELS),
    "labels of more than one word, in another order, and more of them": Case(
        b"Acc Y:-2,Min:-16,Acc X:1.5,Max:16,Acc Z:30\nAcc Y:9.81,Min:-16,Acc X:0.25,Max:16,Acc Z:-7\n",
        {"channels": ["Acc X", "Acc Y", "Acc Z"]},
    ),
    "equals signs": Case(b"x=1.5 y=-2 z=30\nx = 0.25 y = 9.81 z = -7\n", LABELS),
    "labels and a counter": Case(b"n:7,x:1.5,y:-2,z:30\nn:8,x:0.25,y:9.81,z:-7\n", {**LABELS, "counter": "n"}),
    "a banner first": Case(BANNER + b"1.5,-2,30\r\n0.25,9.81,-7\r\n", malformed=3),
    "a banner before labels": Case(BANNER + b"x:1.5,y:-2,z:30\r\nx:0.25,y:9.81,z:-7\r\n", LABELS, malformed=3),
    "a header first": Case(b"x y z\n1.5 -2 30\n0.25 9.81 -7\n", malformed=1),
    "JSON": Case(b'{"x": 1.5, "y": -2, "z": 30}\n{"z": -7, "y": 9.81, "x": 0.25, "t": "now"}\n', JSON),
    "JSON, numbers as strings": Case(b'{"x":"1.50","y":"-2","z":30}\n{"x":" 0.25","y":"9.81","z":"-7.0"}\r\n', JSON),
    "JSON, nested": Case(
        b'{"AM2301":{"x":"1.5","y":-2},"z":30}\n{"AM2301":{"x":0.25,"y":9.81},"z":-7}\n',
        {"framing": "json", "channels": ["AM2301.x", "AM2301.y", "z"]},
    ),
    "JSON, a point in a field's name": Case(
        b'{"acc.x":1.5,"acc.y":-2,"z":30}\n{"acc.x":0.25,"acc.y":9.81,"z":-7}\n',
        {"framing": "json", "channels": ["acc.x", "acc.y", "z"]},
    ),
    "JSON, places in an array": Case(
        b'{"acc":[1.5,-2,30]}\n{"acc":[0.25,9.81,-7]}\n',
        {"framing": "json", "channels": ["acc.0", "acc.1", "acc.2"]},
    ),
    "JSON behind a banner": Case(BANNER + b'{"x":1.5,"y":-2,"z":30}\n{"x":0.25,"y":9.81,"z":-7}\n', JSON, malformed=3),
    "colours": Case(b"\x1b[32m1.5,-2,30\x1b[0m\r\n\x1b[0;31m0.25,9.81,-7\x1b[0m\r\n"),
    "colours around JSON": Case(b'\x1b[32m{"x":1.5,"y":-2,"z":30}\x1b[0m\n{"x":0.25,"y":9.81,"z":-7}\n', JSON),
    "zeros of a board that boots": Case(b"\0\0\0001.5,-2,30\r\n0.25,9.81,-7\r\n"),
    "CR alone": Case(b"\r1.5,-2,30\r0.25,9.81,-7\r"),
    "CR CR LF": Case(b"1.5,-2,30\r\r\n0.25,9.81,-7\r\r\n"),
    "empty lines between": Case(b"1.5,-2,30\r\n\r\n \r\n0.25,9.81,-7\r\n"),
    "round brackets": Case(b"(1.5, -2, 30)\r\n(0.25, 9.81, -7)\r\n"),
    "square brackets": Case(b"[1.5, -2, 30]\n[0.25, 9.81, -7]\n"),
    "Teleplot": Case(b">z:3\n" + b">x:1.5\n>y:-2\n>z:30\n>x:0.25\n>y:9.81\n>z:-7\n", LABELS),
    "Teleplot with times, units and flags": Case(
        b">x:1627551892437:1.5\n>y:1627551892437:-2\n>z:1627551892437:30\n"
        b">x:0.25\xc2\xa7g|np\r\n>y:9.81\xc2\xa7g\r\n>more:5\r\n>z:-7|np\r\n",
        LABELS,
    ),
    "Teleplot of which a line was lost": Case(
        b">x:1.5\n>y:-2\n>z:30\n>x:7\n>z:7\n>x:0.25\n>y:9.81\n>z:-7\n", LABELS, malformed=1
    ),
    "a label a line": Case(
        b"X: 1.5\r\nY: -2\r\nZ: 30\r\nX: 0.25\r\nY: 9.81\r\nZ: -7\r\n", {"channels": ["X", "Y", "Z"]}
    ),
    "another firmware after some lines": Case(b"1.5,-2,30\n" + b"1;2;3\n" * 20 + b"0.25;9.81;-7\n", malformed=20),
}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "imu")


def read(source: Source, count: int, timeout_s: float = 60.0) -> list[tuple[float, ...]]:
    """``count`` samples, or what comes in half a second if that is none."""
    samples: list[tuple[float, ...]] = []
    deadline = time.monotonic() + (timeout_s if count else 0.5)
    while (len(samples) < count or not count) and time.monotonic() < deadline:
        if (arrived := source.read(0.1)) is not None:
            samples += map(tuple, arrived.astype(float).round(6).tolist())
    return samples


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_what_is_read_rightly(terminal: Terminal, case: Case) -> None:
    source = open_source("imu", serial_table(terminal.link, **case.options))
    terminal.write(b"f a line\n" + case.sent)

    assert tuple(read(source, len(case.samples))) == case.samples
    assert (source.malformed, source.gaps) == (case.malformed, 0)
    source.close()


def test_the_dialect_stays_when_pieces_come_and_a_line_is_noise(terminal: Terminal) -> None:
    source = open_source("imu", serial_table(terminal.link))
    for piece in (b"x\n1\t2\t", b"3\n4\t5\t6", b"\n7,8,9\n", b"1 2 3\n10\t11\t12\n"):
        terminal.write(piece)
        time.sleep(0.05)

    assert read(source, 3) == [(1, 2, 3), (4, 5, 6), (10, 11, 12)]
    assert source.malformed == 2
    source.close()


SHOWN = {
    "labels that are no channels": (
        b"Temp:21.5,Hum:40,P:9\n",
        {},
        r"'Temp:21.5,Hum:40,P:9': it has no label ax; name the channels like its labels: Temp, Hum, P",
    ),
    "more numbers than channels": (b"1;2;3;4\n", {}, "'1;2;3;4': it has 4 numbers, not 3; name 4 channels"),
    "fewer": (b"1.5 2\r\n", {}, "'1.5 2': it has 2 numbers, not 3"),
    "JSON that nobody expected": (b'{"x": 1}\n', {}, """'{"x": 1}': it is JSON; set framing = "json\""""),
    "bytes of another baud": (b"\xfe\x80\x00\xf8\x1c\n", {}, r"'\xfe\x80\x00\xf8\x1c': it is not text; check baud"),
    "a long line": (b"hello " * 40 + b"\n", {}, "'" + "hello " * 10 + "...': it is not a row of 3 decimals"),
    "a word in place of a number": (
        b"1,ERR,3\n",
        {},
        "'1,ERR,3': its number 2 is 'ERR', not a decimal; send only decimals",
    ),
    "hexadecimal": (b"0x1 0xA2 0x0F\n", {}, "'0x1 0xA2 0x0F': its number 1 is '0x1', not a decimal; send only"),
    "units behind numbers": (b"1.5 g, 2 g, 3 g\n", {}, "'1.5 g, 2 g, 3 g': its number 1 is '1.5 g', not a decimal"),
    "a log's words before the numbers": (b"[INFO] 1,2,3\n", {}, "its number 1 is '[INFO] 1', not a decimal; send"),
    "a label a line that is no channel": (
        b"Temp: 21.5\n",
        {},
        "it has no label ax; name the channels like its labels: Temp",
    ),
    "a log's words with a colon": (
        b"I (312) boot: hello\n",
        {},
        "'I (312) boot: hello': it is not a row of 3 decimals; send",
    ),
    "a nested field": (
        b'{"Time": "12:00", "AM2301": {"x": 1, "y": 2}}\n',
        {"framing": "json", "channels": ["x", "y"]},
        "there is no field 'x'; it has Time, AM2301.x, AM2301.y; name channels like these",
    ),
    "an object in place of a number": (
        b'{"acc": {"x": 1, "y": 2}}\n',
        {"framing": "json", "channels": ["acc"]},
        "field 'acc' is an object of x, y, not a number; name the path to one of these",
    ),
    "null": (b'{"x": null}\n', {"framing": "json", "channels": ["x"]}, "field 'x' is null, not a number"),
    "a number with its unit in a string": (
        b'{"x": "21.5 C"}\n',
        {"framing": "json", "channels": ["x"]},
        "field 'x' is '21.5 C', not a number; send the number alone, without its unit",
    ),
    "a string that is no number": (
        b'{"x": "0x1F"}\n',
        {"framing": "json", "channels": ["x"]},
        "field 'x' is '0x1F', not a number; send a number, with a decimal point",
    ),
    "no JSON": (b"x: 1\n", {"framing": "json", "channels": ["x"]}, "'x: 1': it is not JSON (invalid character"),
}


@pytest.mark.parametrize(("sent", "options", "says"), SHOWN.values(), ids=SHOWN)
def test_a_line_that_is_no_sample_is_shown(terminal: Terminal, sent: bytes, options: dict[str, Any], says: str) -> None:
    source = open_source("imu", serial_table(terminal.link, **options))
    terminal.write(b"half\n" + sent)

    assert read(source, 0) == []
    (finding,) = MonitoredSource(source, "imu").findings()
    assert says in source.trouble
    assert source.trouble.startswith("1 line was not ")
    assert says in finding.message
    assert finding.message.isprintable()
    assert len(finding.message) < 400
    source.close()


def test_of_a_frame_that_is_none_the_bytes_are_shown(terminal: Terminal) -> None:
    source = open_source("imu", serial_table(terminal.link, framing="cobs", layout="<3h", check="sum8"))
    terminal.write(b"\0\x03\x11\x22\0")

    assert read(source, 0) == []
    assert source.trouble.endswith("a frame of 3 bytes, 03 11 22: it has 2 bytes, not 7; correct layout and check")
    source.close()


def test_of_a_frame_with_a_wrong_checksum_both_are_shown(terminal: Terminal) -> None:
    table = serial_table(terminal.link, framing="sync", sync="aa55", layout="<3h", check="sum8")
    source = open_source("imu", table)
    terminal.write(b"\xaa\x55\x01\x00\x02\x00\x03\x00\x07" * 3)

    assert read(source, 0) == []
    (finding,) = MonitoredSource(source, "imu").findings()
    shown = "a frame of 9 bytes, aa 55 01 00 02 00 03 00 07: its checksum is 07, but its numbers give 06; correct check"
    assert shown in finding.message
    assert shown in source.trouble
    source.close()


def test_where_no_frame_begins_the_bytes_are_shown(terminal: Terminal) -> None:
    table = serial_table(terminal.link, framing="sync", sync="aa55", layout="<3h", check="sum8")
    source = open_source("imu", table)
    terminal.write(bytes(range(30)))

    assert read(source, 0) == []
    shown = "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f ...: it does not contain aa 55; check baud and sync"
    assert source.trouble.endswith(shown)
    source.close()


def test_labels_of_which_one_never_comes_are_told(terminal: Terminal) -> None:
    source = open_source("imu", serial_table(terminal.link, channels=["x", "y"]))
    terminal.write(b"half\n" + b">x:1.5\n" * 4)

    assert read(source, 0) == []
    assert source.trouble.endswith("'>x:1.5': it came before y; name channels like the labels, in the same order")
    source.close()


def test_bytes_without_the_end_of_a_line_are_told(terminal: Terminal) -> None:
    source = open_source("imu", serial_table(terminal.link))
    for _ in range(5):
        terminal.write(b"\xf8\x80\x78" * 300)
        read(source, 0)

    assert "no end of line within 4096 bytes; check baud and framing" in source.trouble
    source.close()
