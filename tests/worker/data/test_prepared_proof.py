"""Proof that a prepared model computes what the original does."""

import tracemalloc

import numpy as np
import pytest

from edge_agent.worker.data.prepared_proof import same


@pytest.mark.parametrize(
    ("wanted", "got", "alike"),
    [
        ([np.nan, 1.0], [np.nan, 1.0], True),
        ([np.nan, 1.0], [np.nan, 1.1], False),
        ([np.nan, 1.0], [1.0, 1.0], False),
        ([np.inf, 1.0], [np.inf, 1.0], True),
        ([np.inf, 1.0], [np.inf, 1.1], False),
        ([np.inf, 1.0], [-np.inf, 1.0], False),
        ([3e38, 1.0], [-3e38, 1.0], False),
        ([np.nan], [np.nan], True),
        ([], [], True),
    ],
)
def test_nan_and_inf_are_the_same_only_where_both_have_them_and_do_not_widen_the_tolerance(
    wanted: list[float], got: list[float], *, alike: bool
) -> None:
    assert same(np.array(wanted, np.float32), np.array(got, np.float32), 1e-5) is alike


def test_large_outputs_are_compared_in_parts() -> None:
    wanted = np.random.default_rng(0).normal(size=(1, 4, 500_000)).astype(np.float32)
    got = wanted + np.float32(1e-4)
    other = wanted.copy()
    other[0, 3, -1] += 1.0

    tracemalloc.start()
    alike = [same(wanted, one, 1e-3) for one in (got, other)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert alike == [True, False]
    assert peak < wanted.nbytes / 4
