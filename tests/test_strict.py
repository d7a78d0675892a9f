"""What sentences are made of."""

import pytest

from edge_agent.strict import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 layers"), (1, "1 layer"), (2, "2 layers")])
def test_one_is_singular(number: int, words: str) -> None:
    assert counted(number, "layer") == words
