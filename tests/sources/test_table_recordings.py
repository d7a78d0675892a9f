"""Tables of text as loggers, phones, spreadsheets and programs write them: each read rightly, or refused with its line.

What comes out of every one of ``READ`` are the same samples.
"""

import codecs
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.captures import csv_lines, motion

from edge_agent.acquisition.monitored import GAP, MonitoredSource
from edge_agent.errors import SourceError
from edge_agent.sources import EndOfSource, Source, open_source

VALUES = [[0.5, -1234.5], [1.25, 2.0], [-0.75, 9.81]]
EARLIER = {"rate_hz": 50}


class Case(NamedTuple):
    """A file, what the operator says of it, and what it is; its samples are ``VALUES``, or the rows named."""

    text: str | bytes
    options: dict[str, Any] = EARLIER
    channels: tuple[str, ...] = ("ax", "ay")
    rate_hz: float = 50
    malformed: int = 0
    rows: tuple[int, ...] = (0, 1, 2)


def lines(*rows: str, end: str = "\n") -> str:
    return "".join(row + end for row in rows)


PLAIN = lines("ax,ay", "0.5,-1234.5", "1.25,2", "-.75,9.81")
TABS = lines("ax\tay", "0.5\t-1234.5", "1.25\t2", "-.75\t9.81")
SEMICOLONS = lines("ax;ay", "0,5;-1234,5", "1,25;2", "-0,75;9,81")

READ = {
    "as ever": Case(PLAIN),
    "blanks around numbers": Case(PLAIN.replace(",", " ,\t ")),
    "no end of the last line": Case(PLAIN.rstrip()),
    "semicolons and decimal points": Case(PLAIN.replace(",", ";")),
    "semicolons and decimal commas": Case(SEMICOLONS),
    "tabs": Case(TABS),
    "tabs and decimal commas": Case(TABS.replace(".75", "0.75").replace(".", ",")),
    "bars": Case(PLAIN.replace(",", "|")),
    "runs of blanks": Case(PLAIN.replace(",", "    ")),
    "CR LF": Case(PLAIN.replace("\n", "\r\n")),
    "CR alone": Case(PLAIN.replace("\n", "\r")),
    "byte order mark": Case(codecs.BOM_UTF8 + PLAIN.encode()),
    "UTF-16": Case(PLAIN.encode("utf-16")),
    "UTF-16 without its mark": Case(PLAIN.encode("utf-16-le")),
    "blank lines": Case(PLAIN.replace("\n", "\n\n \n")),
    "separators behind the last field": Case(PLAIN.replace("\n", ",\n")),
    "separators behind the last field of rows only": Case(lines("ax,ay", "0.5,-1234.5,", "1.25,2,", "-.75,9.81,")),
    "quoted header": Case(PLAIN.replace("ax,ay", '"ax","ay"')),
    "everything quoted": Case(lines('"ax","ay"', '"0.5","-1234.5"', '"1.25","2"', '"-.75","9.81"')),
    "quoted decimal commas": Case(lines('"ax","ay"', '"0,5","-1234,5"', '"1,25","2"', '"-0,75","9,81"')),
    "thousands, quoted": Case(PLAIN.replace("-1234.5", '"-1,234.5"')),
    "thousands with points": Case(SEMICOLONS.replace("-1234,5", "-1.234,5")),
    "thousands with blanks": Case(SEMICOLONS.replace("-1234,5", "-1 234,5")),
    "thousands with apostrophes": Case(PLAIN.replace("-1234.5", "-1'234.5")),
    "comments": Case("# made by hand\n// and again\n" + PLAIN + "% the end\n"),
    "numpy.savetxt's header": Case("# ax ay\n" + PLAIN.split("\n", 1)[1].replace(",", " ")),
    "a logger's words": Case("Logger 3.1\nSerial: 0815, Site: roof\n\n" + PLAIN),
    "a spreadsheet's separator": Case("sep=;\n" + SEMICOLONS),
    "units in a row of their own": Case(PLAIN.replace("ax,ay\n", "ax,ay\nm/s²,[g]\n"), malformed=0),
    "units in a header of semicolons": Case(SEMICOLONS.replace("ax;ay", "ax [m/s²];ay (g)")),
    "units in a header, in Latin-1": Case(TABS.replace("ax\tay", "ax [m/s²]\tay [°/s]").encode("latin-1")),
    "no header, named by the operator": Case(
        PLAIN.split("\n", 1)[1], options={"rate_hz": 50, "channels": ["ax", "ay"]}
    ),
    "named anew by the operator": Case(PLAIN, {"rate_hz": 50, "channels": ["u", "v"]}, ("u", "v")),
    "an empty field": Case(PLAIN.replace("1.25,2", "1.25,"), malformed=1, rows=(0, 2)),
    "words for what is missing": Case(SEMICOLONS.replace("1,25;2", "NA;2"), malformed=1, rows=(0, 2)),
    "a power cut's zeros": Case(PLAIN.replace("1.25,2", "\0\0\0\0"), malformed=1, rows=(0, 2)),
    "ISO 8601": Case(
        lines(
            "time,ax,ay",
            "2026-05-01T12:00:00.000Z,0.5,-1234.5",
            "2026-05-01T12:00:00.020Z,1.25,2",
            "2026-05-01T12:00:00.040Z,-.75,9.81",
        ),
        options={},
    ),
    "ISO 8601 in words of Europe": Case(
        lines(
            "Zeit;ax;ay",
            "01.05.2026 12:00:00,000;0,5;-1234,5",
            "01.05.2026 12:00:00,100;1,25;2",
            "01.05.2026 12:00:00,200;-0,75;9,81",
        ),
        options={},
        rate_hz=10,
    ),
    "date and time apart": Case(
        lines(
            "date time ax ay",
            "2026-05-01 12:00:00.0 0.5 -1234.5",
            "2026-05-01 12:00:00.5 1.25 2",
            "2026-05-01 12:00:01.0 -.75 9.81",
        ),
        options={},
        rate_hz=2,
    ),
    "seconds": Case(lines("t,ax,ay", "0,0.5,-1234.5", "0.01,1.25,2", "0.02,-.75,9.81"), {}, rate_hz=100),
    "milliseconds by their steps": Case(lines("t,ax,ay", "7,0.5,-1234.5", "27,1.25,2", "47,-.75,9.81"), {}),
    "milliseconds by the header": Case(
        lines("time [ms],ax [g],ay [g]", "0,0.5,-1234.5", "1,1.25,2", "2,-.75,9.81"), {}, rate_hz=1000
    ),
    "seconds by a row of units": Case(
        lines("time;ax;ay", "s;g;g", "0;0,5;-1234,5", "1;1,25;2", "2;-0,75;9,81"), {}, rate_hz=1
    ),
    "seconds since 1970": Case(
        lines("timestamp,ax,ay", "1777636800.00,0.5,-1234.5", "1777636800.02,1.25,2", "1777636800.04,-.75,9.81"), {}
    ),
    "milliseconds since 1970": Case(
        lines("timestamp,ax,ay", "1777636800000,0.5,-1234.5", "1777636800020,1.25,2", "1777636800040,-.75,9.81"), {}
    ),
    "microseconds since 1970": Case(
        lines("ts,ax,ay", "1777636800000000,0.5,-1234.5", "1777636800020000,1.25,2", "1777636800040000,-.75,9.81"), {}
    ),
    "a phone's two columns of time": Case(
        lines(
            "time,seconds_elapsed,ax,ay",
            "1777636800000000000,0.00,0.5,-1234.5",
            "1777636800020000000,0.02,1.25,2",
            "1777636800040000000,0.04,-.75,9.81",
        ),
        {},
    ),
    "phyphox": Case(
        lines(
            '"Time (s)","Acceleration x (m/s^2)","Acceleration y (m/s^2)"',
            "0.000000000E0,5.000000000E-1,-1.234500000E3",
            "1.000000000E-2,1.250000000E0,2.000000000E0",
            "2.000000000E-2,-7.500000000E-1,9.810000000E0",
        ),
        {},
        ("Acceleration x", "Acceleration y"),
        100,
    ),
    "pandas' index and times": Case(
        lines(
            ",time,ax,ay",
            "0,2026-05-01 12:00:00.000,0.5,-1234.5",
            "1,2026-05-01 12:00:00.020,1.25,2.0",
            "2,2026-05-01 12:00:00.040,-0.75,9.81",
        ),
        options={},
    ),
    "twice twelve hours": Case(
        lines(
            "time,ax,ay",
            "5/1/2026 11:59:59 AM,0.5,-1234.5",
            "5/1/2026 12:00:00 PM,1.25,2",
            "5/1/2026 12:00:01 PM,-.75,9.81",
        ),
        {},
        rate_hz=1,
    ),
    "twice twelve hours over midnight, in small letters": Case(
        lines("time;ax;ay", "11:59:59.5 p.m.;0,5;-1234,5", "12:00:00.0 a.m.;1,25;2", "12:00:00.5 a.m.;-0,75;9,81"),
        {},
        rate_hz=2,
    ),
    "times of day over midnight": Case(
        lines("time,ax,ay", "23:59:59.98,0.5,-1234.5", "00:00:00.00,1.25,2", "00:00:00.02,-.75,9.81"), {}
    ),
    "dates that may be of May or of January, over midnight": Case(
        lines(
            "time,ax,ay",
            "01/05/2026 23:59:59,0.5,-1234.5",
            "02/05/2026 00:00:00,1.25,2",
            "02/05/2026 00:00:01,-.75,9.81",
        ),
        {},
        rate_hz=1,
    ),
    "dates in words": Case(
        lines(
            "time,ax,ay",
            "01-May-2026 12:00:00,0.5,-1234.5",
            "01-May-2026 12:00:01,1.25,2",
            "01-May-2026 12:00:02,-.75,9.81",
        ),
        {},
        rate_hz=1,
    ),
    "date and time of twice twelve hours apart": Case(
        lines(
            "Date,Time,ax,ay",
            "5/1/2026,1:00:00 PM,0.5,-1234.5",
            "5/1/2026,1:00:01 PM,1.25,2",
            "5/1/2026,1:00:02 PM,-.75,9.81",
        ),
        {},
        rate_hz=1,
    ),
    "a colon before milliseconds": Case(
        lines("time,ax,ay", "12:00:00:000,0.5,-1234.5", "12:00:00:020,1.25,2", "12:00:00:040,-.75,9.81"), {}
    ),
    "a spreadsheet's minutes and seconds over the hour": Case(
        lines("time,ax,ay", "59:59.5,0.5,-1234.5", "00:00.0,1.25,2", "00:00.5,-.75,9.81"), {}, rate_hz=2
    ),
    "a clock that is set after the first row, over midnight": Case(
        lines(
            "date,time,ax,ay",
            "2026-05-01,,7,7",
            "2026-05-01,23:59:59.98,0.5,-1234.5",
            "2026-05-02,00:00:00.00,1.25,2",
            "2026-05-02,00:00:00.02,-.75,9.81",
        ),
        {},
        malformed=1,
    ),
    "comments behind rows": Case(PLAIN.replace("0.5,-1234.5", "0.5,-1234.5 # begin").replace("9.81", "9.81  // end")),
    "comments behind rows of semicolons": Case(SEMICOLONS.replace("-1234,5", "-1234,5 % one; two")),
    "comments in a field of their own": Case(
        lines("ax,ay,", "0.5,-1234.5,# begin", "1.25,2,", "-.75,9.81,"), channels=("ax", "ay")
    ),
    "what a spreadsheet writes for no number": Case(PLAIN.replace("1.25,2", "#N/A,2"), malformed=1, rows=(0, 2)),
    "packed by gzip": Case(gzip.compress(PLAIN.encode())),
    "UTF-16, packed by gzip": Case(gzip.compress(SEMICOLONS.encode("utf-16"))),
    "columns in another order": Case(
        lines("ay,ax", "-1234.5,0.5", "2,1.25", "9.81,-.75"), {"rate_hz": 50, "channels": ["ax", "ay"]}
    ),
    "some of the columns": Case(
        lines("ay,az,ax", "-1234.5,1,0.5", "2,1,1.25", "9.81,1,-.75"), {"rate_hz": 50, "channels": ["ax", "ay"]}
    ),
    "some of the columns, without their units": Case(
        lines("ay [g],az [g],ax [g]", "-1234.5,1,0.5", "2,1,1.25", "9.81,1,-.75"),
        {"rate_hz": 50, "channels": ["ax", "ay"]},
    ),
    "all of the columns by name, the time among them": Case(
        lines("t;ay;ax", "0,00;-1234,5;0,5", "0,02;2;1,25", "0,04;9,81;-0,75"), {"channels": ["t", "ax", "ay"]}
    ),
    "the operator's rate beside the times of a table that is no plain one": Case(
        lines("t;ax;ay", "0;0,5;-1234,5", "20;1,25;2", "40;-0,75;9,81")
    ),
}


def write(folder: Path, text: str | bytes, name: str = "r.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def opened(path: Path, **options: Any) -> Source:
    return open_source("it", {"kind": "replay", "path": str(path), "rate": "max", **options})


def drain(source: Source) -> np.ndarray:
    parts = [np.empty((0, len(source.channels)), np.float32)]
    while True:
        try:
            arrived = source.read(1.0)
        except EndOfSource:
            return np.concatenate(parts)
        assert arrived is not None
        parts.append(arrived)


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_what_is_read_rightly(tmp_path: Path, case: Case) -> None:
    source = opened(write(tmp_path, case.text), **case.options)

    assert source.channels == case.channels
    assert source.rate_hz == case.rate_hz
    assert drain(source).tolist() == np.array([VALUES[row] for row in case.rows], np.float32).tolist()
    assert (source.malformed, source.length, source.gaps) == (case.malformed, len(case.rows), 0)


@pytest.mark.parametrize("name", ["r.tsv", "r.TXT"])
def test_other_names_of_such_files(tmp_path: Path, name: str) -> None:
    assert opened(write(tmp_path, TABS, name), rate_hz=50).length == 3


REFUSED = {
    "nothing in it": ("", {}, r"r.csv cannot be replayed: it is empty; record it again"),
    "a header only": ("ax,ay\n", {}, r"line 1 \('ax,ay'\) has no row of numbers below it"),
    "no header": (
        "0.1,0.2\n0.3,0.4\n",
        {},
        r"line 1 \('0.1,0.2'\) is a row of numbers without a header; name the 2 columns in channels of \[sources\]",
    ),
    "no header, named by too few": ("0.1,0.2\n0.3,0.4\n", {"channels": ["a"]}, r"line 1 \('0.1,0.2'\) is a row of nu"),
    "a header of another width": (
        "ax,ay\n1,2,3\n4,5,6\n",
        {},
        r"line 2 \('1,2,3'\) has 3 fields, line 1 \('ax,ay'\) above it 2; name each column there, or in channels",
    ),
    "a column of words": (
        "ax,what\n1,walking\n2,walking\n",
        {},
        r"line 2 \('1,walking'\): field 2 \('what'\) is 'walking', not a number; leave that column out of the file",
    ),
    "a number with its unit": (
        "t,hum,ax\n0.1,40 %,1\n0.2,41 %,2\n",
        {},
        r"line 2 \('0.1,40 %,1'\): field 2 \('hum'\) is '40 %', a number with its unit; write the unit into the h",
    ),
    "a comment's mark within quotes": (
        '"n","ax"\n"1 # first",1\n"2 # second",2\n',
        {},
        r"line 2 .*: field 1 \('n'\) is '1 # first', not a number; leave that column out of the file",
    ),
    "a time in words": (
        "time,ax\nhalf past three,1\n",
        {},
        r"line 2 .*: field 1 \('time'\) is 'half past three', not a known time; write 2026-05-01T12:00:00.250",
    ),
    "a name that is another column's": (
        "ay,ax\n1,2\n",
        {"channels": ["ax", "az"]},
        "channels names column 1 'ax', but the file names it 'ay' and another one 'ax'; correct channels in the config",
    ),
    "a header of another separator": (
        "ax,ay\n1;2\n3;4\n",
        {},
        r"line 1 \('ax,ay'\) and line 2 \('1;2'\) have different separators; write both with the same",
    ),
    "JSON": (
        '{"ax": 1}\n{"ax": 2}\n',
        {},
        r"""line 1 \('{"ax": 1}'\) is JSON, not a table; write one sample per line""",
    ),
    "hexadecimal": ("ax\n0x1F\n", {}, r"line 2 \('0x1F'\): field 1 \('ax'\) is '0x1F', not a number"),
    "prose": ("Dear diary\ntoday it rained\n", {}, r"line 2 \('today it rained'\): field 1 is 'today'"),
    "a long line": ("ax,ay\n" + "walking " * 99, {}, r"line 2 \('walking walking .{44}\.\.\.'\)"),
    "bytes of another kind": (b"\x7fELF\x02\x01\x01\0\0\n\x03\0>\0\n", {}, r"line 2 \('\\x03\\x00>\\x00'\)"),
    "a comma that may be either": (
        "load\tspeed\n1,234\t5,678\n",
        {},
        r"line 2 \('1,234\\t5,678'\): its comma may be a decimal mark or a thousands separator; write",
    ),
    "a unit of time that is not clear": (
        "t,ax\n0,1\n1,2\n2,3\n",
        {"rate_hz": None},
        r"the unit of column 't' \(0, 1, 2\) is unclear; write it into the header, as t \[ms\], or set rate_hz",
    ),
    "nothing but the time": ("t;\n0,02;\n0,04;\n", {}, "contains only the time"),
    "another number of channels": (
        PLAIN,
        {"channels": ["a", "b", "c"]},
        r"has 2 channels \(ax, ay\), not 3; correct channels",
    ),
    "no rate": (PLAIN, {"rate_hz": None}, "does not state its rate; add rate_hz"),
    "no row is whole": ("a,b,c\n1,,3\n4,,6\n", {}, r"line 2 \('1,,3'\): field 2 \('b'\) is empty, and no other line"),
    "no end of a line": ("a,b\n" + "1,2," * 300_000, {}, "line 2 has no end within 1048576 characters"),
}


@pytest.mark.parametrize(("text", "options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_with_its_line(tmp_path: Path, text: str | bytes, options: dict[str, Any], says: str) -> None:
    table = {key: value for key, value in {"rate_hz": 50, **options}.items() if value is not None}

    with pytest.raises(SourceError, match=says) as error:
        opened(write(tmp_path, text), **table)

    assert error.value.code == "source_unavailable"
    assert error.value.message.isprintable()


EVER = {
    "decimals": ("ax, ay,az\r\n1,2,3\r\n 4 ,5e0,+6.\r\n", ("ax", "ay", "az"), [[1, 2, 3], [4, 5, 6]]),
    "a column of time": ("t,ax\n0,1\n20,2\n40,3\n", ("t", "ax"), [[0, 1], [20, 2], [40, 3]]),
    "units": ("time [s],ax [g]\n0,1\n0.02,2\n", ("time [s]", "ax [g]"), [[0, 1], [0.02, 2]]),
    "what is malformed": ("a,b\noops\n1,2\n3\n4,5,6\n7,8\n9,", ("a", "b"), [[1, 2], [7, 8]]),
    "most of it malformed": ("a,b\n1,2,3\n1,2,3\n1,2,3\n4,5\n", ("a", "b"), [[4, 5]]),
    "a single column": ("load\n1\n2\n1\n", ("load",), [[1], [2], [1]]),
    "pandas' names": ("0,1\n0.5,0.25\n1,2\n", ("0", "1"), [[0.5, 0.25], [1, 2]]),
    "pandas' index": (",ax\n0,5\n1,6\n", ("", "ax"), [[0, 5], [1, 6]]),
    "one name for two columns": ("a,a\n1,2\n", ("a", "a"), [[1, 2]]),
    "an empty last name": ("a,b,\n1,2,3\n4,5,6\n", ("a", "b", ""), [[1, 2, 3], [4, 5, 6]]),
    "numbers with three decimals": ("a,b\n1,234\n5,678\n", ("a", "b"), [[1, 234], [5, 678]]),
}
"""Read by every version: comma, decimal point, a header in the first line, and the operator says the rate."""


@pytest.mark.parametrize(("text", "channels", "values"), EVER.values(), ids=EVER)
def test_what_was_read_before_is_read_as_before(
    tmp_path: Path, text: str, channels: tuple[str, ...], values: list[list[float]]
) -> None:
    source = opened(write(tmp_path, text), rate_hz=50)

    assert source.channels == channels
    assert source.rate_hz == 50
    assert drain(source).tolist() == np.array(values, np.float32).tolist()


def test_a_large_plain_table_is_the_same_to_the_bit(tmp_path: Path) -> None:
    samples = motion(5000)

    assert np.array_equal(drain(opened(write(tmp_path, b"a,b,c\n" + csv_lines(samples)), rate_hz=50)), samples)


def stamped(samples: int, without: range | tuple[int, ...] = (), rate_hz: float = 50, jitter_s: float = 0.0) -> str:
    """A table of numbered samples with a column of time."""
    random = np.random.default_rng(0)
    times = np.arange(samples) / rate_hz + random.uniform(-jitter_s / 2, jitter_s / 2, samples) + 1
    rows = (f"{time:.4f};{number}" for number, time in enumerate(times) if number not in without)
    return lines("t;n", *rows)


@pytest.mark.parametrize(
    ("without", "gaps"), [((), 0), ((700,), 1), (range(700, 760), 1), ((100, 1500, 1501), 2), (range(40, 3000, 50), 60)]
)
@pytest.mark.parametrize("jitter_s", [0.0, 0.006])
def test_where_time_stamps_jump_the_stream_was_interrupted(
    tmp_path: Path, without: tuple[int, ...], gaps: int, jitter_s: float
) -> None:
    source = opened(write(tmp_path, stamped(3000, without, jitter_s=jitter_s)))
    assert source.rate_hz == pytest.approx(50, rel=0.01)
    monitored, stretches = MonitoredSource(source, "it"), [[]]
    while True:
        try:
            arrived = monitored.read()
        except EndOfSource:
            break
        if arrived is GAP:
            stretches.append([])
        elif arrived is not None:
            stretches[-1] += arrived[:, 0].tolist()

    assert len(stretches) == gaps + 1
    assert all(np.all(np.diff(stretch) == 1) for stretch in stretches)
    assert sum(map(len, stretches)) == 3000 - len(without)
    assert [finding.code for finding in monitored.findings()] == ["stream_gaps"] * (gaps > 0)


def test_stamps_that_come_in_batches_are_no_gaps(tmp_path: Path) -> None:
    batches = lines("t;n", *(f"{number // 10 / 10:.1f};{number}" for number in range(1000)))
    source = opened(write(tmp_path, batches))

    assert source.rate_hz == pytest.approx(100, rel=0.02)
    assert len(drain(source)) == 1000
    assert source.gaps == 0


def test_a_loop_has_the_gaps_again(tmp_path: Path) -> None:
    source = opened(write(tmp_path, stamped(100, (50,))), loop=True)
    parts = [source.read(1.0) for _ in range(6)]

    assert source.gaps == 3
    assert np.array_equal(np.concatenate(parts[:2]), np.concatenate(parts[2:4]))  # type: ignore[arg-type]


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_rate_that_the_time_stamps_contradict_is_told_with_both_numbers(tmp_path: Path, separator: str) -> None:
    text = stamped(200).replace(";", separator)
    wrong = MonitoredSource(opened(write(tmp_path, text), rate_hz=100), "it")
    right = MonitoredSource(opened(write(tmp_path, text), rate_hz=52), "it")

    (finding,) = wrong.findings()
    assert (finding.code, finding.refuse) == ("wrong_rate", False)
    assert "column 't' give 50 samples per second, rate_hz says 100; set rate_hz = 50" in finding.message
    assert right.findings() == []


def test_a_dropped_line_is_shown(tmp_path: Path) -> None:
    text = PLAIN.replace("1.25,2", "1.25,") + "oops\n"
    (finding,) = MonitoredSource(opened(write(tmp_path, text), rate_hz=50), "it").findings()

    assert finding.code == "malformed_samples"
    assert "2 malformed samples were dropped, such as line 3 ('1.25,'): field 2 ('ay') is empty; " in finding.message


def test_a_large_table_is_not_held_in_memory(tmp_path: Path) -> None:
    program = (
        "import sys, resource; from edge_agent.acquisition.recordings.table import recording\n"
        "from edge_agent.sources import open_source, EndOfSource\n"
        "recording._KEPT_BYTES = 1 << 16\n"
        "def peak(path):\n"
        "    source = open_source('it', {'kind': 'replay', 'path': path, 'rate': 'max', 'rate_hz': 5})\n"
        "    total = count = 0\n"
        "    try:\n"
        "        while True: block = source.read(1); count += len(block); total += float(block[:, 0].sum())\n"
        "    except EndOfSource: return count, total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(*peak(sys.argv[1]), *peak(sys.argv[2]))"
    )
    paths = []
    for rows in (5_000, 250_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("a,b,c\n" + "".join(f"{row % 7},0.125,-3.5\n" for row in range(rows)))
        paths.append(str(path))

    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, check=True, timeout=120)

    few, _, before_kib, many, total, after_kib = (float(word) for word in done.stdout.split())
    assert (few, many, total) == (5_000, 250_000, sum(row % 7 for row in range(250_000)))
    assert after_kib - before_kib < 1024
