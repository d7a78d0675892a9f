import numpy as np
import pytest

from edge_agent.errors import ContractError, RecipeError
from edge_agent.preprocess import Preprocess
from edge_agent.wire.manifest import InputContract

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
        ({"op": "standardise", "mean": [0], "std": [1]}, "unknown op 'standardise'; known: standardize, scale"),
        ({"mean": [0]}, "unknown op None"),
        ({"op": "scale", "facto": 2}, "scale has no option 'facto'; did you mean 'factor'?"),
        ({"op": "scale"}, "missing required field `factor`"),
        ({"op": "standardize", "mean": [0], "std": [0]}, "> 0"),
        ({"op": "cast", "dtype": "int4"}, "Invalid enum value 'int4'"),
        ({"op": "clip", "low": float("nan"), "high": 1}, "clip"),
        ({"op": "clip", "low": 4, "high": -4}, "clip: low = 4 is not below high = -4"),
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
        {"op": "transpose", "axes": [0, 2]},
        {"op": "reshape", "shape": [4, 4]},
    ],
)
def test_a_step_that_does_not_fit_the_window(step: dict[str, object]) -> None:
    with pytest.raises(ContractError) as error:
        prepare(step)(WINDOW)

    assert error.value.code == "shape_mismatch"
