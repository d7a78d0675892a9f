"""The fleet as a table and as lines."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from edge_agent.wire.telemetry import Event
from host_tools.display.fleet_lines import FleetLines
from host_tools.display.fleet_table import age, fitting, fleet_table
from host_tools.display.live import LiveTable
from host_tools.fleet.row import Row

IDLE = Row(
    device="pi-01", online=True, board="Raspberry Pi 4", model="har", version=3, status="succeeded", code="accepted",
    latency_ms=1.234, float_ms=2.468, agreement=0.9933, temperature_c=52.4, seen=100.0,
)  # fmt: skip
AT_WORK = Row(device="pi-02", online=True, model="har", stage="capture", status="in_progress", progress=0.5)
AWAY = Row(device="pi-03", online=False, model="har", version=2, status="succeeded", seen=40.0)
BROKEN = Row(device="pi-04", online=True, model="har", status="failed", code="no_space", message="2 GB are missing")


def drawn(*rows: Row, height: int = 40, now: float = 100.0, width: int = 160) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(fleet_table(rows, height=height, now=now))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_row_for_each_model_of_each_device() -> None:
    head, headings, *rows = [" ".join(line.split()) for line in drawn(IDLE, AT_WORK, AWAY, BROKEN)]

    assert head == "4 devices, 3 online, 1 working, 1 failed"
    assert headings == "device board model version state latency of float agreement °C seen"
    assert rows == [
        "pi-01 Raspberry Pi 4 har 3 succeeded 1.23 ms 0.50 99.3 % 52 0 s",
        "pi-02 har - ━━━━──── 50% capture - - - - -",
        "pi-03 har 2 offline succeeded - - - - 60 s",
        "pi-04 har - failed no_space - - - - -",
    ]


def test_on_a_small_screen_the_rows_of_concern_are_shown_in_their_order() -> None:
    rows = [IDLE, AWAY, AT_WORK, BROKEN]
    lines = drawn(*rows, height=5)

    assert fitting(rows, 2) == [AT_WORK, BROKEN]
    assert fitting(rows, 4) == rows
    assert len(lines) == 5
    assert lines[-1].startswith("… and 2 ")


def test_what_a_device_says_is_no_markup_and_no_number_breaks_a_row() -> None:
    wild = Row(
        device="pi-1", online=True, model="har", board="[red]x[/nope]", progress=7e300, latency_ms=1e300,
        float_ms=1e-300, version=10**18, seen=-1e18, stage="[bold]",
    )  # fmt: skip

    (line,) = drawn(wild)[2:]
    assert "[red]x[/nope]" in line
    assert "━━━━━━━━ 100% [bold]" in line


def test_what_one_device_says_takes_nothing_from_the_rows_of_others() -> None:
    wild = Row(
        device="evil", online=True, model="x" * 63, board="a" + "\u0301" * 3000, version=10**300, temperature_c=1e308,
        agreement=1e300, latency_ms=1e300, float_ms=1e-3, seen=-1e300, status="s" * 900,
    )  # fmt: skip
    negative = Row(
        device="cold", online=True, version=-(10**300), temperature_c=-1e308, agreement=-1e9, latency_ms=-1e9
    )
    tiny = Row(device="tiny", online=True, latency_ms=1.2345e-300, float_ms=1.0)
    lines = drawn(IDLE, wild, negative, tiny, width=140)

    assert " ".join(lines[2].split()) == "pi-01 Raspberry Pi 4 har 3 succeeded 1.23 ms 0.50 99.3 % 52 0 s"
    assert " ".join(lines[3].split()).endswith("… >9999999 " + "s" * 33 + "… >9999 >999 >999 >999 >999 d")
    assert max(map(len, drawn(wild, width=140))) < 400, "accents are cut"
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("width", "without"),
    [(80, {"board", "agreement", "of float"}), (100, {"board"}), (140, set())],
)
def test_a_narrow_screen_goes_without_columns_before_anything_is_unreadable(width: int, without: set[str]) -> None:
    long = replace(
        IDLE, device="greenhouse-north-0001", online=False, board="Raspberry Pi 4 Model B Rev 1.4 (simulated)",
        model="gesture-recognition",
    )  # fmt: skip
    _, headings, *rows = drawn(long, AT_WORK, width=width)

    assert {
        name for name in ("board", "agreement", "of float", "°C", "seen", "latency") if name not in headings
    } == without
    assert max(map(len, (headings, *rows))) <= width
    assert rows[0].startswith("greenhouse")
    assert "offline succeeded" in rows[0]
    assert "━━━━────  50% capture" in rows[1]


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (864_000, "10 d")]
)
def test_an_age_has_the_unit_that_fits(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_a_line_for_what_is_news(capsys: pytest.CaptureFixture[str]) -> None:
    lines = FleetLines()
    for progress in (0.1, 0.2, 0.3):
        lines.show([Row(device="pi-02", online=True, model="har", stage="capture", progress=progress)])
    lines.show([IDLE])
    lines.show([IDLE])
    lines.show(
        [BROKEN], Event(device="pi-04", event_seq=1, kind="failed", severity="error", model="har", message="\x1b")
    )
    lines.show([], Event(device="pi-05", event_seq=1, kind="failed", message="its rows are filtered out"))

    assert capsys.readouterr().err.splitlines() == [
        "pi-02 har: online, capture 10%",
        "pi-02 har: online, capture 30%",
        "pi-01 har 3: online, succeeded, 1.23 ms (0.50 of float), agreement 99.3 %, 52 °C",
        "pi-04 har: online, failed no_space: 2 GB are missing",
        "pi-04 har: error failed: \N{REPLACEMENT CHARACTER}",
    ]


def test_a_table_is_drawn_four_times_a_second_at_most_and_only_if_it_changed() -> None:
    drawings: list[int] = []
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    with LiveTable(lambda height: drawings.append(height) or "table", console) as table:  # type: ignore[func-returns-value]  # it is None
        table.tick()
        for _ in range(100):
            table.changed()
            table.tick()
        wait_s = table.wait_s

    assert drawings == [19, 19], "the first, and the last when it ends"
    assert wait_s > 0.1
