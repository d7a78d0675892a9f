import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import ContractError, EdgeAgentError, RecipeError
from edge_agent.preprocess import Preprocess
from edge_agent.wire.digests import contract_digest
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.wire.steps import check_inputs, read_steps, shape_after

WINDOW = np.array([[1, 10], [2, 20], [3, 30]], np.float32)


def prepare(*steps: dict[str, object]) -> Preprocess:
    return Preprocess(InputContract(steps=list(steps)))


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ({"op": "standardize", "mean": [2, 20], "std": [1, 5]}, [[-1, -2], [0, 0], [1, 2]]),
        ({"op": "standardize", "mean": [2], "std": [2]}, [[-0.5, 4], [0, 9], [0.5, 14]]),
        ({"op": "scale", "factor": 0.5}, [[0.5, 5], [1, 10], [1.5, 15]]),
        ({"op": "scale", "factor": 2, "offset": -1}, [[1, 19], [3, 39], [5, 59]]),
        ({"op": "clip", "low": 2, "high": 20}, [[2, 10], [2, 20], [3, 20]]),
        ({"op": "transpose", "axes": [1, 0]}, [[1, 2, 3], [10, 20, 30]]),
        ({"op": "reshape", "shape": [2, -1]}, [[1, 10, 2], [20, 3, 30]]),
        ({"op": "cast", "dtype": "int8"}, [[1, 10], [2, 20], [3, 30]]),
    ],
)
def test_each_step(step: dict[str, object], wanted: list[list[float]]) -> None:
    tensor = prepare(step)(WINDOW)

    assert tensor.tolist() == wanted
    assert tensor.dtype == (np.int8 if step["op"] == "cast" else np.float32)
    assert tensor.flags.c_contiguous


def test_steps_follow_one_another_and_leave_the_window_alone() -> None:
    before = WINDOW.copy()

    tensor = prepare(
        {"op": "standardize", "mean": [1, 10], "std": [1, 10]},
        {"op": "transpose", "axes": [1, 0]},
        {"op": "reshape", "shape": [1, 2, 3]},
        {"op": "clip", "low": 0, "high": 1},
    )(WINDOW)

    assert tensor.tolist() == [[[0, 1, 1], [0, 1, 1]]]
    assert np.array_equal(before, WINDOW)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64"])
def test_cast_rounds_and_keeps_within_the_type(dtype: str) -> None:
    limits = np.iinfo(dtype)

    values = prepare({"op": "cast", "dtype": dtype})(np.array([[0.6, 2.4, -1e30, 1e30]], np.float32))

    assert values.dtype == dtype
    assert values[0, :3].tolist() == [1, 2, limits.min]
    assert limits.max - 1024 < values[0, 3] <= limits.max  # the last float below the largest int64


def test_arithmetic_after_a_cast_is_in_floats() -> None:
    tensor = prepare({"op": "cast", "dtype": "int16"}, {"op": "scale", "factor": 0.5})(WINDOW)

    assert tensor[0].tolist() == [0.5, 5]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"op": "standardise", "mean": [0], "std": [1]}, "unknown op 'standardise'; did you mean 'standardize'?"),
        ({"mean": [0]}, "every step needs op"),
        ({"op": "fft"}, "unknown op 'fft'; known: cast, center_crop, clip, color, letterbox, log_mel"),
        ({"op": "scale", "facto": 2}, "scale has no option 'facto'; did you mean 'factor'?"),
        ({"op": "scale"}, "factor is missing"),
        ({"op": "standardize", "mean": [0], "std": [0]}, "> 0"),
        ({"op": "cast", "dtype": "int4"}, "dtype: 'int4' is unknown; did you mean 'int"),
        ({"op": "clip", "low": float("nan"), "high": 1}, "clip"),
        ({"op": "clip", "low": 4, "high": -4}, "clip: low = 4 is not below high = -4"),
        ({"op": "transpose", "axes": [0, 2]}, "does not name each axis once"),
        ({"op": "reshape", "shape": [-1, -1]}, "more than one -1"),
        ({"op": "standardize", "mean": [], "std": [1]}, "length >= 1"),
    ],
)
def test_an_unknown_step_or_option_is_refused_at_once(step: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError) as error:
        prepare(step)

    assert error.value.code == "recipe_unsupported"
    assert says in error.value.message


@pytest.mark.parametrize(
    "step",
    [
        {"op": "standardize", "mean": [0, 0, 0], "std": [1]},
        {"op": "transpose", "axes": [0, 2, 1]},
        {"op": "reshape", "shape": [4, 4]},
        {"op": "reshape", "shape": [4, -1]},
    ],
)
def test_a_step_that_does_not_fit_the_window(step: dict[str, object]) -> None:
    with pytest.raises(ContractError) as error:
        prepare(step)(WINDOW)

    assert error.value.code == "shape_mismatch"
    assert f"steps 1: {step['op']} on a tensor of 3x2" in error.value.message


LAYOUTS = st.one_of(
    st.permutations([0, 1]).map(lambda axes: {"op": "transpose", "axes": axes}),
    st.sampled_from([[-1], [6, 4], [2, 3, 4], [4, -1], [5, -1], [1, 24]]).map(
        lambda to: {"op": "reshape", "shape": to}
    ),
    st.integers(1, 4).map(lambda count: {"op": "standardize", "mean": [0.5] * count, "std": [2]}),
    st.just({"op": "scale", "factor": 2}),
    st.just({"op": "cast", "dtype": "int8"}),
    st.tuples(st.integers(1, 8), st.integers(1, 5)).map(
        lambda to: {"op": "center_crop", "height": to[0], "width": to[1]}
    ),
    st.integers(1, 9).map(lambda side: {"op": "resize", "shorter": side}),
)


@given(st.lists(LAYOUTS, max_size=4))
@settings(deadline=None)
def test_the_shape_is_foretold_or_the_mismatch_is(steps: list[dict[str, object]]) -> None:
    """What the host says of a contract without a number in hand is what the device finds."""
    contract = InputContract(channels=["a", "b", "c"], window=Window(8, 8), steps=steps)
    window = np.arange(24, dtype=np.float32).reshape(8, 3)

    foretold, found = said(check_inputs, [contract]), said(Preprocess(contract), window)

    assert foretold == (f"[input] {found}" if found else "")
    if not found:
        assert Preprocess(contract)(window).shape == shape_after(read_steps(contract), (8, 3))


def said(call: Callable[[Any], object], argument: object) -> str:
    """The message of the error that a call ends with; empty if it does not."""
    try:
        call(argument)
    except ContractError as error:
        return error.message
    return ""


def test_a_mistake_is_found_at_the_input_that_has_it() -> None:
    good = InputContract(name="x", channels=["a"], window=Window(8, 8))
    bad = InputContract(name="y", channels=["a"], window=Window(8, 8), steps=[{"op": "reshape", "shape": [3, 3]}])

    check_inputs([good, InputContract(name="gain", constant=2.0)])
    with pytest.raises(ContractError, match=r"\[input\] y steps 1: reshape on a tensor of 8x1: its 8 values"):
        check_inputs([good, bad])


def test_of_pictures_the_shape_is_foretold_too() -> None:
    steps = [{"op": "resize", "height": 96, "width": 96}, {"op": "transpose", "axes": [0, 3, 1, 2]}]
    pictures = InputContract(channels=["r", "g", "b"], window=Window(1, 15), frame=(240, 320), steps=steps)

    check_inputs([pictures])
    for changes, words in (
        ({"frame": None}, "transpose on a tensor of 96x96"),
        ({"rate_hz": 30.0}, "pictures are not resampled in time"),
        ({"steps": [{"op": "center_crop", "height": 300, "width": 300}]}, "240x320 is smaller than 300x300"),
    ):
        with pytest.raises(EdgeAgentError, match=words):
            check_inputs([msgspec.structs.replace(pictures, **changes)])


BASE = InputContract(
    source="imu", channels=["a", "b"], window=Window(8, 4), rate_hz=50.0,
    steps=[{"op": "log_mel", "n_fft": 8}, {"op": "resize", "height": 2, "width": 2}],
)  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"source": "imu2"},
        {"channels": ["b", "a"]},
        {"window": Window(8, 8)},
        {"window": Window(16, 4)},
        {"rate_hz": 51.0},
        {"rate_hz": None},
        {"frame": (8, 8)},
        {"frame": (8, 9)},
        {"steps": []},
        {"steps": BASE.steps[::-1]},
        {"name": "x"},
        {"constant": 1.0},
    ]
    + [
        {"steps": [{**BASE.steps[0], **option}, BASE.steps[1]]}
        for option in (
            {"n_fft": 9}, {"win_length": 6}, {"hop_length": 3}, {"window": "hamming"}, {"center": False},
            {"pad_mode": "reflect"}, {"power": 1}, {"n_mels": 9}, {"fmin": 1}, {"fmax": 9}, {"mel_scale": "htk"},
            {"triangles": "mel"}, {"norm": "none"}, {"log": "ln"}, {"amin": 1e-6}, {"offset": 1}, {"top_db": 0},
        )
    ]
    + [
        {"steps": [BASE.steps[0], {**BASE.steps[1], **option}]}
        for option in ({"method": "bicubic"}, {"antialias": False}, {"height": 3})
    ],
)  # fmt: skip
def test_every_option_is_part_of_what_a_verdict_holds_for(other: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(BASE, **other)

    assert contract_digest([changed]) != contract_digest([BASE])
    assert contract_digest(msgspec.json.decode(msgspec.json.encode([changed]), type=list[InputContract])) == (
        contract_digest([changed])
    )


def test_what_is_not_needed_is_not_imported() -> None:
    """An application with a plain contract pays for no pictures and no sound, and nothing for scipy or Pillow."""
    code = (
        "import sys, edge_agent.serving, edge_agent.preprocess as p\n"
        "from edge_agent.wire.manifest import InputContract\n"
        "p.Preprocess(InputContract(steps=[{'op': 'scale', 'factor': 2}]))\n"
        "print(*sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "edge_agent.preprocess.basic" in loaded
    assert not {"edge_agent.preprocess.audio", "edge_agent.preprocess.images", "scipy", "PIL"} & set(loaded)
