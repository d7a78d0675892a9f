"""``docs/inputs.md`` is made of other tests here.

After a change of these: PYTHONPATH=.:tests python tests/sources/test_inputs_page.py
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sources import test_replay, test_serial_dialects, test_table_recordings, test_wav_forms

from edge_agent.acquisition.shown import shown
from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.serial import Options, decoder

_SHOWN = 4
PAGE = Path(__file__).parents[2] / "docs" / "inputs.md"
SERIAL = {"port": "/dev/ttyUSB0", "rate_hz": 50, "channels": ["ax", "ay", "az"]}
HEAD = """\
# What is read of recordings and serial lines

```sh
edge-agent capture imu --windows 5      # shows what was read of [sources.imu], and what was dropped
```

[sensors.md](sensors.md) explains the kinds of sensors. Nothing on this page is configured: the form of a file or a line
is found by counting. Each row is a test, and the tests generate this page. A file that cannot be read is refused with
the line and what to do. A sensor's line that cannot be read is dropped and shown.
"""


def page() -> str:
    """The page."""
    parts = [HEAD]
    parts += ["## Tables that are read", "", "| form | begins with | samples a second |", "|---|---|--:|"]
    parts += [
        f"| {name} | {_lines(case.text)} | {case.rate_hz:g}{_dropped(case.malformed)} |"
        for name, case in test_table_recordings.READ.items()
    ]
    parts += ["", "## Files that are refused", "", "| form | begins with | what is said |", "|---|---|---|"]
    parts += [f"| {name} | {_lines(data)} | {said} |" for name, data, said in _refused_files()]
    parts += ["", "## Serial lines that are read", "", "| form | lines | samples |", "|---|---|---|"]
    for name, line in test_serial_dialects.READ.items():
        samples = "<br>".join(", ".join(f"{value:g}" for value in sample) for sample in line.samples)
        parts.append(f"| {name} | {_lines(line.sent)} | {samples}{_dropped(line.malformed)} |")
    parts += ["", "## Serial lines that are dropped", "", "| form | line | what is said of it |", "|---|---|---|"]
    for name, (sent, options, _) in test_serial_dialects.SHOWN.items():
        parts.append(f"| {name} | {_lines(sent)} | {_cell(_said_of(sent, options))} |")
    return "\n".join([*parts, ""])


def _refused_files() -> Iterator[tuple[str, bytes | str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, options, _) in test_table_recordings.REFUSED.items():
            table = {key: value for key, value in {"rate_hz": 50, **options}.items() if value is not None}
            yield name, text, _said(Path(folder) / "r.csv", text, table)
        for name, (sound, _) in test_wav_forms.REFUSED.items():
            yield f"sound: {name}", sound, _said(Path(folder) / "s.wav", sound, {})
        for name, (data, _) in test_replay.OTHERS.items():
            yield f"`{name}`", data, _said(Path(folder) / name, data, {"rate_hz": 50})


def _said(path: Path, data: bytes | str, options: dict[str, Any]) -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    try:
        open_source("it", {"kind": "replay", "path": str(path), **options})
    except SourceError as error:
        return _cell(re.sub(r"^\S+ (?:cannot be replayed: )?", "", error.message))
    raise AssertionError(f"{path} is read")


def _said_of(sent: bytes, options: dict[str, Any]) -> str:
    reader, _ = decoder(Options(**{**SERIAL, **options}))
    assert not len(reader.feed(b"\n" + sent))
    return reader.example.rpartition("': ")[2]


def _lines(data: bytes | str) -> str:
    """The first lines as code; of what is no text a dash."""
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        return "-"
    if not text.translate(dict.fromkeys(map(ord, "\t\r\n\ufeff\x1b"))).isprintable():
        return "-"
    lines = [line for line in text.splitlines() if line.strip()][:_SHOWN]
    return "<br>".join(f"`{_cell(shown(line)[1:-1])}`" for line in lines) or "nothing"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def _dropped(lines: int) -> str:
    return f"; {lines} dropped" if lines else ""


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
