"""By how little the scores of a sequence decide: held against trying every other symbol at every step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_agent.quant.reading_margin import reading_margin

BLANK = 0


def read(best: list[int], blank: int) -> list[int]:
    return [one for place, one in enumerate(best) if one != blank and (place == 0 or one != best[place - 1])]


def scores(*best: int, lead: float = 1.0, of: int = 4) -> np.ndarray:
    return lead * np.eye(of)[list(best)]


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 4)), elements=st.floats(-3, 3), unique=True),
    st.integers(0, 1),
)
def test_no_single_score_that_rises_less_reads_otherwise(values: np.ndarray, blank: int) -> None:
    best = np.argmax(values, axis=1).tolist()
    behind = [
        values[step, best[step]] - values[step, symbol]
        for step in range(len(values))
        for symbol in range(values.shape[1])
        if read([*best[:step], symbol, *best[step + 1 :]], blank) != read(best, blank)
    ]

    assert reading_margin(values, blank) == min(behind, default=np.inf)


@pytest.mark.parametrize("best", [(1, 1, BLANK), (BLANK, 1, 1), (1, 2, 2)])
def test_where_a_run_ends_decides_nothing(best: tuple[int, ...]) -> None:
    torn = scores(*best)
    torn[1] = np.maximum(torn[1], 0.99 * np.maximum(torn[0], torn[2]))  # its neighbours are as good as as large

    assert reading_margin(torn, BLANK) == 1.0


def test_a_symbol_that_hardly_leads_is_near_to_be_lost() -> None:
    torn = scores(BLANK, 1, BLANK)
    torn[1, BLANK] = 0.9

    assert reading_margin(torn, BLANK) == pytest.approx(0.1)


def test_scores_of_one_step_all_decide() -> None:
    assert reading_margin(scores(2, lead=3.0), BLANK) == 3.0
