import numpy as np
import pytest
from support.captures import motion

from edge_agent.wire.manifest import InputContract, Window
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Block
from edge_agent.worker.quality.step_scale import some_windows, step_scales
from edge_agent.worker.quality.units import known_factor

CHANNELS = ["ax", "ay", "az"]
SIZE = 50
MOTION = motion(5000).astype(np.float64)
MEAN, STD = MOTION.mean(axis=0).tolist(), MOTION.std(axis=0).tolist()
STANDARDIZE = {"op": "standardize", "mean": MEAN, "std": STD}
TRANSPOSE = {"op": "transpose", "axes": [1, 0]}


def contract(*steps: dict[str, object], **changes: object) -> InputContract:
    return InputContract(channels=CHANNELS, window=Window(SIZE, SIZE), steps=list(steps), **changes)


def findings(samples: np.ndarray, *steps: dict[str, object]) -> list[Finding]:
    (scale,) = step_scales([contract(*steps)], CHANNELS)
    scale.add(window.astype(np.float32) for window in samples.reshape(-1, SIZE, samples.shape[-1]))
    return scale.findings()


def test_data_as_the_step_says_are_fine_whatever_steps_are_around_it() -> None:
    assert findings(MOTION, STANDARDIZE, TRANSPOSE) == []
    assert findings(1000 * MOTION, {"op": "scale", "factor": 0.001}, STANDARDIZE) == []
    assert findings(2.5 * MOTION, STANDARDIZE) == []


def test_milli_units_are_refused_and_the_message_says_channel_factor_step_and_what_to_paste() -> None:
    (found,) = findings(1000 * MOTION, STANDARDIZE, TRANSPOSE)
    assert found.refuse
    assert found.code == "scale_unlike"
    assert found.message.startswith("channel 'a")
    assert "after step 1 (standardize), where 0 and 1 are expected" in found.message
    assert "(1000: milli?)" in found.message
    assert '{ op = "scale", factor = 0.001 } before the step' in found.message


def test_a_smaller_factor_only_warns() -> None:
    (found,) = findings(9.81 * MOTION, STANDARDIZE)
    assert not found.refuse
    assert "9.81: m/s2 for g?" in found.message


def test_of_some_channels_those_are_named_and_how_to_correct_them() -> None:
    (found,) = findings(MOTION * [1.0, 57.3, 57.3], STANDARDIZE)
    assert found.refuse
    assert "'ay'" in found.message
    assert "'az'" in found.message
    assert "'ax'" not in found.message
    assert "multiply mean and std of these channels by 57.3" in found.message


def test_gravity_in_other_units_is_seen_at_rest_too() -> None:
    still = np.random.default_rng(0).normal([0, 0, 9810], 20, (5000, 3))
    (found,) = findings(still, {"op": "standardize", "mean": [0, 0, 9.8], "std": [2, 2, 2]})
    assert found.refuse
    assert "1000: milli?" in found.message


def test_a_device_at_rest_is_not_refused() -> None:
    still = MEAN + np.random.default_rng(0).normal(0, 0.001, (5000, 3))
    (found,) = findings(still, STANDARDIZE)
    assert not found.refuse
    assert "move the sensor as in real use" in found.message
    still[2000:3000] = MOTION[2000:3000]
    assert findings(still, STANDARDIZE) == []


def test_a_device_that_lies_on_another_side_is_warned_of_at_most() -> None:
    upside_down = MOTION * 0.1 + [0, 0, -9.8]
    (found,) = findings(upside_down, {"op": "standardize", "mean": [0, 0, 9.8], "std": [2, 2, 2]})
    assert not found.refuse
    assert "mounting" in found.message


def test_a_constant_channel_and_a_spike_are_no_unit() -> None:
    assert findings(MOTION * [1, 1, 0], {"op": "standardize", "mean": [0, 0, 9.8], "std": [2, 2, 0.01]}) == []
    spiked = MOTION.copy()
    spiked[700:703] = 1e6
    assert findings(spiked, STANDARDIZE) == []


def test_one_value_for_all_channels_promises_something_of_all_of_them_together() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (5000, 3)) * [1, 1, 0.05]
    assert findings(pixels, {"op": "standardize", "mean": [127.5], "std": [127.5]}) == []
    (found,) = findings(pixels, {"op": "standardize", "mean": [0.45], "std": [0.225]})
    assert found.refuse
    assert "255: 0 to 255 for 0 to 1?" in found.message


def test_after_another_order_of_axes_places_are_named() -> None:
    (found,) = findings(1000 * MOTION, TRANSPOSE, {"op": "standardize", "mean": [0.0] * SIZE, "std": [1.0] * SIZE})
    assert "place " in found.message
    assert "after step 2 (standardize)" in found.message
    assert "and 41 more" in found.message


def test_a_capture_is_condemned_as_blocks_come_but_not_by_a_window_or_two() -> None:
    (scale,) = step_scales([contract(STANDARDIZE)], CHANNELS)
    block = Block("calibration", 100, SIZE, SIZE, 5000, 0)
    windows = some_windows((1000 * MOTION).astype(np.float32), block)
    assert len(windows) == 16
    assert scale.add(windows[:7]) == []
    (found,) = scale.add(windows[7:8])
    assert found.refuse


def test_channels_are_found_among_the_columns_and_inputs_are_named() -> None:
    one = contract({"op": "standardize", "mean": [0.0], "std": [1.0]}, name="level")
    (scale,) = step_scales([one], ["t", *CHANNELS])
    scale.add([np.full((SIZE, 4), 1e6, np.float32) * [1, 1e-6, 1e-6, 1e-6] for _ in range(10)])
    assert scale.findings() == []


@pytest.mark.parametrize(
    ("factor", "words"),
    [(858, "milli"), (9.9, "m/s2 for g"), (57, "degrees for radians"), (3.5, "km/h for m/s"), (0.0011, "for milli")],
)
def test_known_factors(factor: float, words: str) -> None:
    assert words in str(known_factor(factor))


def test_other_factors_are_not_guessed_at() -> None:
    assert known_factor(1.0) is None
    assert known_factor(25.0) is None
    assert known_factor(0.0) is None
