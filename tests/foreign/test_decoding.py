"""How much of a document of somebody else becomes objects."""

import msgspec
import pytest

from edge_agent.foreign.allowance import Allowance
from edge_agent.foreign.decoding import MOST_VALUES, cut, decode


@pytest.mark.parametrize("one", ["{}", "[]", '""', "0", '{"a":0}'])
def test_a_document_of_too_many_values_is_not_made(one: str) -> None:
    text = f"[{','.join([one] * MOST_VALUES)},{one}]"

    with pytest.raises(msgspec.DecodeError, match="more than 50000 values"):
        decode(text.encode(), list)


def test_a_document_is_of_its_type() -> None:
    assert decode(b'{"a": [1, 2]}', dict[str, list[int]]) == {"a": [1, 2]}
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"a": 1}', dict[str, list[int]])
    with pytest.raises(RecursionError):
        decode(b"[" * 40_000, list)


def test_texts_and_lists_are_cut_all_the_way_down() -> None:
    said = {"name": "abcdef", "list": [1, 2, 3, 4], "inner": [{"keykeykey": "abcdef", "n": 1.5, "none": None}]}

    assert cut(said, most_text=5, most_items=3) == {
        "name": "abcd…", "list": [1, 2, 3], "inner": [{"keyk…": "abcd…", "n": 1.5, "none": None}],
    }  # fmt: skip


def test_an_allowance_fills_with_time() -> None:
    now = [0.0]
    allowance = Allowance(2.0, 3, timer=lambda: now[0])

    assert [allowance.take() for _ in range(5)] == [True, True, True, False, False]
    now[0] += 1.0
    assert [allowance.take() for _ in range(4)] == [True, True, False, False]
    now[0] += 100.0
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
