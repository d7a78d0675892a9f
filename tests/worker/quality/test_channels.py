import numpy as np
import pytest
from support.captures import CHANNELS, motion

from edge_agent.worker.data.finding import Finding
from edge_agent.worker.quality.channels import Quality

SHARD = 1000


def look(samples: np.ndarray, *, size: int = 100, channels: list[str] | None = None) -> list[Finding]:
    """All findings of a capture of ``samples``; the first shard that condemns it ends it."""
    quality = Quality(channels or CHANNELS, size)
    for start in range(0, len(samples), SHARD):
        if condemned := quality.add(samples[start : start + SHARD].astype(np.float32)):
            return condemned
    return quality.findings()


def codes(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.code, finding.refuse) for finding in findings]


@pytest.mark.parametrize("resolution", [1e-6, 0.001, 0.01, 0.1])
@pytest.mark.parametrize("size", [1, 32, 100, 900])
def test_real_movement_raises_nothing(resolution: float, size: int) -> None:
    samples = np.round(motion(20_000) / resolution) * resolution

    assert look(samples, size=size) == []


@pytest.mark.parametrize("resolution", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("first", ["rest", "movement"])
def test_rest_between_movements_is_no_fault(resolution: float, first: str) -> None:
    rest = np.array([0.021, 0.3, -0.98]) + np.random.default_rng(1).normal(0, 0.004, (2000, 3))
    parts = [rest, motion(10_000)] if first == "rest" else [motion(5000), rest, motion(5000, seed=2)]
    samples = np.round(np.concatenate(parts) / resolution) * resolution

    assert not any(finding.refuse for finding in look(samples))


def test_a_slow_coarse_channel_beside_lively_ones_is_no_fault() -> None:
    samples = motion(20_000)
    samples[:, 2] = np.round(20 + 3 * np.sin(np.arange(20_000) / 6000), 1)  # a thermometer

    assert look(samples) == []


@pytest.mark.parametrize("value", ["last", 0.0])
def test_a_stuck_channel_is_refused_soon(value: object) -> None:
    samples = motion(20_000)
    samples[1500:, 1] = samples[1500, 1] if value == "last" else 0.0
    quality = Quality(CHANNELS, 100)

    condemned_after = next(
        start + SHARD for start in range(0, 20_000, SHARD) if quality.add(samples[start : start + SHARD])
    )

    assert condemned_after == 2000
    (finding,) = look(samples)
    assert (finding.code, finding.refuse) == ("stuck_channel", True)
    assert "channel 'ay' stood still for 500 samples while others moved" in finding.message


def test_a_short_standstill_is_no_fault() -> None:
    samples = motion(20_000)
    samples[1500:1700, 1] = samples[1500, 1]

    assert look(samples) == []


def test_a_lonely_channel_that_stands_still_is_a_warning() -> None:
    samples = motion(20_000, channels=1)
    samples[5000:9000] = 0.5

    assert ("stuck_channel", False) in codes(look(samples, channels=["level"]))
    assert not any(finding.refuse for finding in look(samples, channels=["level"]))


def test_a_channel_that_never_changes_is_refused_at_the_end() -> None:
    samples = motion(5000)
    samples[:, 2] = 9.81
    quality = Quality(CHANNELS, 100)

    assert quality.add(samples) == []
    assert quality.constant_so_far == ["az"]
    assert codes(quality.findings()) == [("constant_channel", True)]
    assert "'az' had one value in all 5000 samples" in quality.findings()[0].message


def test_a_clipped_channel_is_refused_or_warned_of_by_its_share() -> None:
    samples = motion(20_000)
    for limit, wanted in ((1.0, True), (1.9, False)):
        clipped = samples.copy()
        clipped[:, 0] = np.minimum(clipped[:, 0], limit)
        share = np.mean(clipped[:, 0] == np.float32(limit))
        assert (share >= 0.1) == wanted
        assert share > 0.01

        (finding,) = look(clipped)

        assert (finding.code, finding.refuse) == ("clipped_channel", wanted)
        assert f"channel 'ax' was at its rail {limit:g} in {share:.0%} of samples" in finding.message


def test_nothing_to_measure_is_no_clipping() -> None:
    samples = np.maximum(motion(20_000), 0)  # a level that is zero half of the time

    assert {(finding.code, finding.refuse) for finding in look(samples)} == {("clipped_channel", False)}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_no_number_is_refused(value: float) -> None:
    samples = motion(5000)
    samples[2345, 1] = value

    (finding,) = look(samples)

    assert (finding.code, finding.refuse) == ("non_finite", True)
    assert "1 of 1000 samples" in finding.message
    assert "'ay'" in finding.message


def test_repeated_data_are_refused_and_a_few_repetitions_warned_of() -> None:
    samples = motion(5000)

    assert codes(look(np.concatenate([samples, samples]))) == [("duplicate_windows", True)]
    assert codes(look(np.concatenate([samples, samples[:300]]))) == [("duplicate_windows", False)]
