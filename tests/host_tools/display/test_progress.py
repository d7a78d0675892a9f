"""How progress is shown: drawn on a terminal, lines elsewhere, JSON for scripts."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from edge_agent.wire.messages import JobReport, Refused
from host_tools.broker.job_tracker import Progress
from host_tools.display.progress import JsonDisplay, LineDisplay, open_display


def progress(fraction: float = 0.0, **more: object) -> Progress:
    fields = {"stage": "capture", "status": "in_progress", **more}
    report = JobReport(device="pi-01", job="a" * 16, model="har", version=1, progress=fraction, **fields)
    return Progress("pi-01", online=True, report=report)


def test_a_line_for_each_stage_quarter_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay()

    for fraction in (0.0, 0.1, 0.24, 0.26, 0.3, 0.99):
        display.progress(progress(fraction, detail="capturing", eta_s=250.0))
    display.progress(progress(1.0, status="rejected", code="stuck_channel", message="channel az repeats 0.98"))
    display.progress(progress(1.0, status="rejected", code="stuck_channel", message="channel az repeats 0.98"))

    assert capsys.readouterr().err.splitlines() == [
        "pi-01: capture 0% capturing (4 min 10 s left)",
        "pi-01: capture 26% capturing (4 min 10 s left)",
        "pi-01: capture 99% capturing (4 min 10 s left)",
        "pi-01: rejected stuck_channel: channel az repeats 0.98",
    ]


def test_a_small_upload_repeats_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    display, total = LineDisplay(), 545_293
    large = LineDisplay()

    for done in range(0, total, 65_536):
        display.upload(done, total)
    display.upload(total, total)
    display.upload(total, total)
    for done in (1_490_000, 1_500_000, 1_500_000):
        large.upload(done, 1_500_000)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines))
    assert lines[-1] == "upload: 1.5 of 1.5 MB"
    assert lines[-2] == "upload: 545.3 of 545.3 kB"


def test_lines_speak_to_a_person_and_not_in_words_of_the_wire(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay()

    display.progress(progress(stage="receive", status="queued"))
    display.progress(progress(0.4, stage="receive", status="queued"))
    display.progress(progress(0.0, stage="calibrate"))
    display.progress(progress(1.0, stage="activate", status="succeeded", code="accepted", message="int8 is active"))

    assert capsys.readouterr().err.splitlines() == [
        "pi-01: queued", "pi-01: receive 40%", "pi-01: calibrate 0%", "pi-01: succeeded: int8 is active",
    ]  # fmt: skip


def test_a_device_that_went_away_is_said_to_be_offline(capsys: pytest.CaptureFixture[str]) -> None:
    display, away = LineDisplay(), progress(0.5)
    display.progress(away)
    away.online = False

    display.progress(away)

    assert capsys.readouterr().err.splitlines()[-1].endswith("(offline)")


def test_json_lines_are_one_object_each_and_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonDisplay()
    refused = Progress("pi-02", online=True, refused=Refused("har", "a" * 16, "untrusted", "no signature"))

    for done in range(0, 1001, 10):
        display.upload(done, 1000)
    display.progress(progress(0.5))
    display.progress(refused)
    display.note("for a person")
    display.summary({"exit": 6})

    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [event["event"] for event in events] == ["upload"] * 11 + ["report", "report", "summary"]
    assert events[10] == {"event": "upload", "done_bytes": 1000, "total_bytes": 1000}
    assert events[11]["progress"] == 0.5
    assert events[12]["refused"]["code"] == "untrusted"
    assert said.err == "for a person\n"


def test_stderr_that_is_no_terminal_gets_lines() -> None:
    assert isinstance(open_display(as_json=False), LineDisplay)
    assert isinstance(open_display(as_json=True), JsonDisplay)


_DRAW = """
from edge_agent.wire.messages import JobReport
from host_tools.display.progress import open_display
from host_tools.broker.job_tracker import Progress
report = JobReport(device="pi-01", job="a", model="har", version=1, stage="capture", status="in_progress",
                   progress=0.5, detail="150 of 300 [windows]", eta_s=30.0)
with open_display(as_json=False) as display:
    display.upload(500_000, 1_000_000)
    display.progress(Progress("pi-01", True, report))
    display.progress(Progress("pi-02", False))
    display.note("a [note]")
"""


def test_a_terminal_gets_a_drawing() -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", _DRAW], stderr=theirs, stdout=subprocess.PIPE, env=env)
    os.close(theirs)
    drawn = b""
    try:
        while part := os.read(ours, 65536):
            drawn += part
    except OSError:  # Linux says EIO when the other end is closed
        pass
    os.close(ours)
    out, _ = process.communicate()

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    assert process.returncode == 0
    assert out == b""
    assert "0.5 of 1.0 MB" in text
    assert "a [note]" in text
    assert re.search(r"pi-01 +capture .*150 of 300 \[windows\] \(30 s left\)", text)
    assert re.search(r"pi-02 +pending .*offline", text)
