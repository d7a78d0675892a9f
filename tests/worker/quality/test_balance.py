from collections.abc import Callable

import numpy as np
import pytest
from support.captures import CHANNELS, motion

from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.stability import BINS
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Block, plan_blocks, samples_needed
from edge_agent.worker.quality.balance import judge_balance, sets_unlike
from edge_agent.worker.quality.block_stats import block_stats

SIZE, HOP = 64, 32
BLOCKS = plan_blocks({"calibration": 200, "search": 100, "heldout": 200}, size=SIZE, hop=HOP)
NEEDED = samples_needed(BLOCKS)


def judge(samples: np.ndarray, blocks: list[Block] = BLOCKS) -> list[Finding]:
    """All findings of a capture of ``samples`` in ``blocks``."""
    seen, start = [], 0
    for block in blocks:
        seen.append(block_stats(block.split, block.windows, samples[start : start + block.samples]))
        start += block.samples + block.size
    return judge_balance(CHANNELS, seen)


def codes(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.code, finding.refuse) for finding in findings]


def held_out(change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Movement of which only the held-out blocks are changed, in their second channel."""
    samples, start = motion(NEEDED), 0
    for block in BLOCKS:
        if block.split == "heldout":
            samples[start : start + block.samples, 1] = change(samples[start : start + block.samples, 1])
        start += block.samples + block.size
    return samples


@pytest.mark.parametrize("seed", range(5))
def test_movement_raises_nothing(seed: int) -> None:
    assert judge(motion(NEEDED, seed=seed)) == []


def test_one_step_between_two_kinds_of_use_is_no_drift() -> None:
    samples = motion(NEEDED)
    samples[NEEDED // 2 :, 2] += 3

    assert "drift" not in [code for code, _ in codes(judge(samples))]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_level_that_moves_one_way_is_drift(sign: int) -> None:
    samples = motion(NEEDED)
    samples[:, 2] += sign * np.linspace(0, 5, NEEDED, dtype=np.float32)

    drifting = [finding for finding in judge(samples) if finding.code == "drift"]

    assert codes(drifting) == [("drift", False)]
    assert "the level of channel 'az' moved from" in drifting[0].message


def test_movement_that_grows_all_the_time_is_drift() -> None:
    samples = motion(NEEDED)
    samples[:, 0] *= np.linspace(0.5, 4, NEEDED, dtype=np.float32)

    assert any(
        finding.code == "drift" and "spread of channel 'ax' changed" in finding.message for finding in judge(samples)
    )


def test_movement_in_one_stretch_only_is_one_burst() -> None:
    samples = motion(NEEDED)
    start = sum(block.samples + block.size for block in BLOCKS[:9])
    quiet = np.random.default_rng(0).normal(0, 0.01, NEEDED)
    quiet[start : start + BLOCKS[9].samples] = samples[start : start + BLOCKS[9].samples, 0]
    samples[:, 0] = quiet

    bursts = [finding for finding in judge(samples) if finding.code == "same_burst"]

    assert codes(bursts) == [("same_burst", False)]
    assert "nearly all movement of 'ax' was in one of" in bursts[0].message


def test_sets_of_one_stretch_each_are_one_burst() -> None:
    blocks = plan_blocks({"calibration": 4, "search": 2, "heldout": 4}, size=SIZE, hop=HOP)

    assert "each set is a single segment of time" in judge(motion(NEEDED), blocks)[0].message


def test_held_out_data_far_outside_the_calibration_data_are_refused() -> None:
    unlike = judge(held_out(lambda column: 5 * column))

    assert codes(unlike) == [("sets_unlike", True)]
    assert "of the held-out values of 'ay' lie outside the calibrated range" in unlike[0].message


def test_held_out_data_a_little_outside_are_warned_of() -> None:
    assert codes(judge(held_out(lambda column: 1.5 * column))) == [("sets_unlike", False)]


@pytest.mark.parametrize(("moved", "said"), [(0, []), (3, []), (50, [False]), (1000, [True])])
def test_held_out_data_that_move_where_calibration_saw_one_value(moved: int, said: list[bool]) -> None:
    known, new = Histogram(BINS), Histogram(BINS)
    known.add(np.full(1000, -9.81, np.float32))
    new.add(np.where(np.arange(1000) < moved, -8.81, -9.81).astype(np.float32))

    found = sets_unlike(["az"], [known], [new], may_refuse=True)

    assert [finding.refuse for finding in found] == said
    assert all(f"{moved / 1000:.0%} of the held-out values of 'az'" in finding.message for finding in found)


def test_held_out_data_at_rest_are_warned_of() -> None:
    (unlike,) = judge(held_out(lambda column: 0.05 * column))

    assert (unlike.code, unlike.refuse) == ("sets_unlike", False)
    assert "cover only" in unlike.message


def test_in_few_rounds_unlike_sets_only_warn() -> None:
    blocks = plan_blocks({"calibration": 40, "search": 20, "heldout": 40}, size=SIZE, hop=HOP)
    samples = motion(samples_needed(blocks))
    samples[:, 0] = np.linspace(0, 50, len(samples))

    assert ("sets_unlike", True) not in codes(judge(samples, blocks))
    assert ("sets_unlike", False) in codes(judge(samples, blocks))
