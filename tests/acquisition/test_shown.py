"""What came, as messages show it: whatever a sender writes moves no cursor, and no message grows with it."""

import pytest

from edge_agent.acquisition.framing import Decoder
from edge_agent.acquisition.framing.decimals import CsvDecoder
from edge_agent.acquisition.framing.json_lines import JsonDecoder
from edge_agent.acquisition.shown import listed, shown

LONG = b"k" * 3000


def test_a_text_is_printable_and_cut() -> None:
    assert shown(b"a\x1b[2J\xff\r\n") == r"'a\x1b[2J\xff'"
    assert shown("b" * 61) == f"'{'b' * 60}...'"


def test_the_first_names_are_listed() -> None:
    assert listed(["ax", b"a\ny"]) == r"ax, a\ny"
    assert listed(map(str, range(8))) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert listed(map(str, range(9))) == "0, 1, 2, 3, 4, 5, 6, 7, ..."
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("decoder", "line"),
    [
        (JsonDecoder(["ax"]), b'{"a\\u001b[2J\\nb": 1, "%s": 2}' % LONG),
        (JsonDecoder(["ax"]), b'{"ax": {"\\u0007": 1, "%s": 2}}' % LONG),
        (CsvDecoder(2, ["ax", "ay"]), b"a\x07b:1,%s:2" % LONG),
        (CsvDecoder(2, ["ax", "ay"]), b",".join(b"\x07%d:1" % number for number in range(400))),
    ],
)
def test_names_in_a_malformed_line_are_printable_and_cut(decoder: Decoder, line: bytes) -> None:
    decoder.feed(b"\n" + line + b"\n")

    assert decoder.malformed == 1
    assert decoder.example.isprintable()
    assert len(decoder.example) < 300
