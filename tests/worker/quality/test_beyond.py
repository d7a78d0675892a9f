from typing import Any

import numpy as np
import pytest
from support.captures import model_info

from edge_agent.worker.data.finding import Finding
from edge_agent.worker.quality.beyond import BeyondCalibration, InputReach, channel_axis

Windows = np.ndarray[Any, Any]


def said(calibration: Windows, heldout: Windows, channels: list[str] | None = None) -> list[Finding]:
    """What is said of windows of an input ``x``."""
    info = model_info({"x": (calibration.dtype.name, (None, *calibration.shape[1:]))})
    reach = InputReach(info, lambda _: channels or [], len(calibration))
    for window in calibration:
        reach.add({"x": window[None]})
    beyond = BeyondCalibration(reach.found(), len(calibration), "input")
    for window in heldout:
        beyond.add({"x": window[None]})
    return beyond.findings(rows=True)


def movement(count: int, seed: int) -> Windows:
    """``[count, 3, 32]`` of noise."""
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 32)).astype(np.float32)


def with_spikes(count: int, seed: int, spikes: int, size: float) -> Windows:
    windows = movement(count, seed)
    windows[:: count // spikes][:spikes, 1, 7] = size
    return windows


def test_a_few_windows_far_beyond_are_told_of_with_channel_count_and_how_far() -> None:
    (found,) = said(movement(300, 0), with_spikes(300, 1, 12, 20.0), ["ax", "gyro_x", "az"])

    assert found.code == "beyond_calibration"
    assert not found.refuse
    assert found.message.startswith("12 of 300 held-out windows exceed the calibrated range of channel 'gyro_x': [-")
    assert "20] against [-" in found.message
    assert "times its range: static int8 clips these values" in found.message


def test_without_names_the_channel_is_counted() -> None:
    (found,) = said(movement(300, 0), with_spikes(300, 1, 12, 20.0))

    assert "channel 1 of input 'x'" in found.message


def test_names_are_not_told_where_two_axes_are_as_long() -> None:
    random = np.random.default_rng(0)
    calibration, heldout = random.normal(size=(2, 300, 3, 3)).astype(np.float32)
    heldout[:20, 2, 0] = 40.0

    (found,) = said(calibration, heldout, ["ax", "ay", "az"])

    assert "channel 2 of input 'x'" in found.message


def test_what_calibration_has_seen_itself_is_not_told_of() -> None:
    assert said(with_spikes(300, 0, 3, 20.0), with_spikes(300, 1, 12, 20.0)) == []


def test_where_tails_are_long_more_is_expected() -> None:
    calibration, heldout = with_spikes(300, 0, 1, 30.0), with_spikes(300, 1, 8, 50.0)

    assert said(calibration, heldout) == []
    assert said(np.minimum(calibration, 25.0), with_spikes(300, 1, 8, 200.0))


@pytest.mark.parametrize("spikes", [1, 2])
def test_one_or_two_windows_must_be_farther_outside(spikes: int) -> None:
    assert said(movement(300, 0), with_spikes(300, 1, spikes, 9.0)) == []
    assert said(movement(300, 0), with_spikes(300, 1, spikes, 20.0))


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace"])
@pytest.mark.parametrize("shape", [(3, 32), (16,), (200,)])
def test_ordinary_data_are_hardly_ever_told_of(draw: str, shape: tuple[int, ...]) -> None:
    def windows(count: int, seed: int) -> Windows:
        random = np.random.default_rng(seed)
        return np.asarray(getattr(random, draw)(size=(count, *shape)), np.float32)

    alarms = sum(bool(said(windows(300, seed), windows(300, 100 + seed))) for seed in range(20))

    assert alarms <= 1 + 3 * (draw == "laplace" and shape == (16,)), "long tails in 32 ends: counted in the bench"


def test_a_constant_that_is_rounded_differently_is_none_and_one_that_changes_is_told() -> None:
    constant = np.full((100, 4), 9.81, np.float32)
    near, other = constant.copy(), constant.copy()
    near[3] += 1e-5
    other[3:20, 2] = 20.0

    assert said(constant, near) == []
    (found,) = said(constant, other)
    assert "17 of 100 held-out windows" in found.message
    assert "channel 2" in found.message
    assert "times" not in found.message


def test_integers_are_no_matter_of_ranges() -> None:
    assert said(np.zeros((50, 4), np.int64), np.full((50, 4), 1000)) == []


@pytest.mark.parametrize(
    ("shape", "channels", "axis"),
    [
        ((1, 3, 128), 0, 1),
        ((1, 128, 6), 0, 2),
        ((None, 128, 6), 6, 2),
        ((1, 3, 224, 224), 0, 1),
        ((1, 224, 224, 3), 0, 3),
        ((1, 16), 0, 1),
        ((1, 16000), 0, None),
        ((1, 40, 49), 1, None),
        ((1, None, 8), 0, 2),
        ((1, 6, 6), 6, 1),
        ((1,), 0, None),
        ((), 0, None),
    ],
)
def test_the_axis_of_channels(shape: tuple[int | None, ...], channels: int, axis: int | None) -> None:
    assert channel_axis(shape, channels) == axis
