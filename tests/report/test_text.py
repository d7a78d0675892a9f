"""Numbers of a report as people read them."""

import math

import pytest

from edge_agent.report.html import numbers
from edge_agent.report.text import _decibel


@pytest.mark.parametrize(("value", "says"), [(31.24, "31.2 dB"), (-3.0, "-3.0 dB"), (-math.inf, "-")])
def test_an_error_without_a_bound_is_no_number_of_decibels(value: float, says: str) -> None:
    assert numbers.decibel(value) == _decibel(value) == says
