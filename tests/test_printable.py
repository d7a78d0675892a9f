"""Strings of others, as a terminal or a log may have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.printable import MOST, printable, printable_lines, printable_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 3 µm, 中文", "Größe 3 µm, 中文"),
        ("\x1b]0;owned\x07", "�]0;owned�"),
        ("a\r\nb\tc", "a  b c"),
        ("\u202egnp.exe", "�gnp.exe"),
        ("a\x85b\u2028c", "a b c"),
        ("\ud800", "�"),
    ],
)
def test_control_characters_are_gone(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(), st.integers(1, 50))
def test_whatever_it_is_one_line_that_is_short_enough(text: str, most: int) -> None:
    shown = printable(text, most)

    assert shown.isprintable()
    assert len(shown) <= most


def test_lines_that_we_broke_stay_lines() -> None:
    assert printable_lines("a\nb\x1b") == "a\nb�"


def test_values_are_cleaned_at_every_depth() -> None:
    value = {"a\n": ["\x1b", {"b": "x" * (2 * MOST)}, 1, None, True, 0.5]}

    assert printable_values(value) == {"a ": ["�", {"b": "x" * (MOST - 1) + "…"}, 1, None, True, 0.5]}
