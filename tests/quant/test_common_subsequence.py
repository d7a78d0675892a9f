from difflib import SequenceMatcher

import numpy as np
import pytest

from edge_agent.quant.common_subsequence import aligned


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("abcd", "abcd", "1111"),
        ("abcd", "bcd", "0111"),
        ("abcd", "xabxd", "1101"),
        ("abc", "", "000"),
        ("", "abc", ""),
        ("abab", "aab", "1011"),
    ],
)
def test_one_that_is_left_out_or_read_twice_moves_no_other(first: str, second: str, kept: str) -> None:
    found = aligned(np.array(list(first), "U1"), np.array(list(second), "U1"))

    assert "".join("01"[int(one)] for one in found) == kept


def test_as_many_as_possible_are_aligned_and_they_are_a_subsequence() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        first, second = random.integers(0, 4, random.integers(0, 20)), random.integers(0, 4, random.integers(0, 20))

        common = first[aligned(first, second)]

        rest = iter(second.tolist())
        assert all(symbol in rest for symbol in common.tolist())
        blocks = SequenceMatcher(None, first.tolist(), second.tolist(), autojunk=False).get_matching_blocks()
        assert len(common) >= sum(block.size for block in blocks)
