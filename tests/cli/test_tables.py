"""Tables of edge-agent: for scripts as they always were, for a person as wide as the terminal."""

import os
import re
import subprocess
import sys
import termios

import pytest

from edge_agent.cli.check import Check
from edge_agent.cli.doctor import _found
from edge_agent.cli.tables import plain_lines, print_rows

HEADER = ("JOB", "STATUS", "WHAT")
ROWS = [("3f2a9c0d1e5b7a86", "failed", "no_space: " + "the disk has too little space " * 3), ("1", "queued", "[bold]")]


def on_a_terminal(columns: int) -> str:
    """What a person sees of the table, with its colours."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    program = f"from edge_agent.cli.tables import print_rows; print_rows({HEADER!r}, {ROWS!r})"
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "CI")}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=slave, stdout=slave, stderr=slave, env=environment | {"TERM": "xterm"}
    ) as process:
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 4096):
                seen += chunk
        except OSError:  # how Linux says that the other side has closed
            pass
        os.close(master)
    assert process.returncode == 0
    return seen.decode().replace("\r\n", "\n")


def test_a_script_gets_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(HEADER, ROWS)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "JOB               STATUS  WHAT"
    assert lines[1].startswith("3f2a9c0d1e5b7a86  failed  no_space: the disk has")
    assert lines[2] == "1                 queued  [bold]"


def test_a_remedy_stands_below_what_was_found() -> None:
    checks = [Check("board", "ok", "a Pi"), Check("governor", "warn", "powersave", "echo performance")]
    rows = [(check.level.ljust(4), check.name, _found(check)) for check in checks]

    assert list(plain_lines(rows)) == [
        "ok    board     a Pi",
        "warn  governor  powersave",
        "                → echo performance",
    ]


def test_a_person_gets_colours_and_lines_that_fit() -> None:
    seen = on_a_terminal(60)

    assert "\x1b[31mfailed" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen).splitlines()
    assert max(map(len, plain)) <= 60
    assert [line.split()[0] for line in plain if line[0] != " "] == ["JOB", "3f2a9c0d1e5b7a86", "1"]
    assert plain[-1].rstrip().endswith("[bold]")
