"""When an optimised form is worth its bytes, and when two answers are one: made-up numbers."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.speeds import taking

from edge_agent.wire.manifest import Gates, MinGain
from edge_agent.worker.forms.equality import update
from edge_agent.worker.forms.worth import gains, small_enough

MIB = 1 << 20
MODEL = replace(taking(20 * MIB), model_rss_bytes=30 * MIB, load_ms=50.0)
TINY = replace(taking(2 * MIB), load_ms=20.0)


@pytest.mark.parametrize(
    ("changes", "worth"),
    [
        ({}, False),
        ({"steady_rss_bytes": 18 * MIB}, True),
        ({"steady_rss_bytes": 18 * MIB + 1}, False),
        ({"model_rss_bytes": 27 * MIB}, True),
        ({"model_rss_bytes": 27 * MIB + 1}, False),
        ({"load_ms": 40.0}, True),
        ({"load_ms": 40.1}, False),
        ({"steady_rss_bytes": 25 * MIB, "load_ms": 90.0}, False),
        ({"loaded_rss_bytes": 0, "first_ms": 0.0, "peak_rss_bytes": 0}, False),
    ],
)
def test_a_tenth_less_of_memory_or_of_loading_is_worth_it(changes: dict[str, Any], *, worth: bool) -> None:
    assert gains(MODEL, replace(MODEL, **changes)) is worth


@pytest.mark.parametrize("changes", [{"steady_rss_bytes": 3 * MIB // 2 + 1}, {"load_ms": 10.1}])
def test_what_chance_may_do_is_no_gain(changes: dict[str, Any]) -> None:
    assert not gains(TINY, replace(TINY, **changes))


@pytest.mark.parametrize(
    ("gates", "form_bytes", "fits"),
    [
        (Gates(), 300, True),
        (Gates(), 700, False),  # larger than float, together
        (Gates(), 550, False),  # no longer 20 % smaller
        (Gates(max_size_ratio=0, min_gain=MinGain(size=0)), 5000, True),
        (Gates(max_size_ratio=0.5), 300, False),
        (Gates(min_gain=MinGain(size=0.9)), 300, True),  # it never was so small
    ],
)
def test_both_files_together_meet_what_the_model_file_alone_met(gates: Gates, form_bytes: int, *, fits: bool) -> None:
    assert small_enough(gates, float_bytes=1000, model_bytes=301, form_bytes=form_bytes) is fits


def digest(*outputs: Any) -> str:
    found = hashlib.sha256()
    update(found, [np.asarray(output) for output in outputs])
    return found.hexdigest()


def test_answers_are_one_only_bit_for_bit() -> None:
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)

    assert digest(zero, one) == digest(zero.copy(), one.copy())
    assert digest([np.nan]) == digest([np.nan])
    assert digest(zero) != digest(-zero)
    assert digest(one) != digest(np.nextafter(one, np.float32(2)))
    assert digest(one) != digest(one.astype(np.float64))
    assert digest(one) != digest(one.reshape(1, 3))
    assert digest(zero, one) != digest(one, zero)
    assert digest(np.array(["a", "b"], object)) != digest(np.array(["a", "c"], object))
    assert digest(np.array(["long" * 99], object)) == digest(np.array(["long" * 33 * 3], object))
