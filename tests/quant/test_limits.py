"""A limit of latency that nobody wrote has a margin, and whoever asks for the limit is told the same."""

import math

import msgspec
import pytest
from support.documents import SENT

from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout, evaluate_search
from edge_agent.quant.limits import latency_limit, latency_margin, resolve_gates
from edge_agent.wire.features import features_used
from edge_agent.wire.manifest import AS_FLOAT, FEATURES, Gates, decode_manifest, encode_manifest
from edge_agent.worker.search.policy import SCREEN_SLACK, most_time


@pytest.mark.parametrize(
    ("gates", "limit", "margin"),
    [
        (Gates(), 1.02, 0.02),
        (Gates(latency_margin=0.0), 1.0, 0.0),
        (Gates(max_latency_ratio=AS_FLOAT), 1.0, 0.0),
        (Gates(latency_margin=0.05), 1.05, 0.05),
        (Gates(max_latency_ratio=1.1), 1.1, 0.0),
        (Gates(max_latency_ratio=0.5), 0.5, 0.0),
        (Gates(max_latency_ratio=0.5, latency_margin=0.1), 0.55, 0.1),
        (Gates(max_latency_ratio=0.0), 0.0, 0.0),
        (Gates(max_latency_ratio=0.0, latency_margin=0.1), 0.0, 0.1),
    ],
)
def test_the_limit_and_its_margin(gates: Gates, limit: float, margin: float) -> None:
    limits = resolve_gates(gates, "classes", labelled=False)

    assert latency_limit(gates) == limits.max_latency_ratio == pytest.approx(limit)
    assert latency_margin(gates) == limits.latency_margin == margin
    assert most_time(gates) == pytest.approx(limit * SCREEN_SLACK or math.inf)


def test_a_limit_that_somebody_wrote_is_as_exact_on_a_device_that_knows_no_margin() -> None:
    there = decode_manifest(encode_manifest(msgspec.structs.replace(SENT, gates=Gates(max_latency_ratio=AS_FLOAT))))

    assert features_used(there, FEATURES) == features_used(SENT, FEATURES)
    assert latency_limit(there.gates) == 1.0
    assert [ratio <= there.gates.max_latency_ratio for ratio in (1.0, 1.0 + 1e-15)] == [True, False]  # as it was


@pytest.mark.parametrize(
    ("lower", "upper", "code", "exact"),
    [
        (0.98, 1.0, "", ""),
        (0.99, 1.015, "", "latency_inconclusive"),
        (1.005, 1.019, "", "latency_too_high"),
        (1.01, 1.03, "latency_inconclusive", "latency_too_high"),
        (1.021, 1.03, "latency_too_high", "latency_too_high"),
    ],
)
def test_slower_within_the_margin_is_not_slower(lower: float, upper: float, code: str, exact: str) -> None:
    measured = Measured(
        windows=300, windows_effective=300, disagreements=0, size_ratio=0.5, latency_ratio_lower=lower,
        latency_ratio_upper=upper,
    )  # fmt: skip

    usual = evaluate_heldout(Gates(), "classes", measured)

    assert usual.code == code
    assert evaluate_heldout(Gates(latency_margin=0.0), "classes", measured).code == exact
    (speed,) = [gate for gate in usual.gates if gate.name == "max_latency_ratio"]
    assert (speed.limit, speed.margin) == (1.02, 0.02)


def test_what_is_not_proved_is_told_with_the_digits_that_the_limit_is_about() -> None:
    """Rounded, this was "1.02 to 1.03 ...: no proof that it is at most 1.02"."""
    measured = Measured(windows=300, windows_effective=300, disagreements=0, size_ratio=0.5,
                        latency_ratio_lower=1.0164, latency_ratio_upper=1.031)  # fmt: skip

    message = evaluate_heldout(Gates(), "classes", measured).message

    assert message == "int8 takes 1.016 to 1.03 times as long as float here: no proof that it is at most 1.02"


def test_the_search_screens_against_the_same_limit() -> None:
    screened = Measured(windows=300, windows_effective=300, disagreements=0, size_ratio=0.5, latency_ratio=1.015)

    (speed,) = [one for one in evaluate_search(Gates(), "classes", screened).gates if one.name == "max_latency_ratio"]

    assert (speed.passed, speed.limit, speed.margin) == (True, 1.02, 0.02)
    assert evaluate_search(Gates(latency_margin=0.0), "classes", screened).code == "latency_too_high"
