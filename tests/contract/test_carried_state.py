import numpy as np
import pytest

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.contract.carried_state import CarriedState
from edge_agent.errors import ModelError
from edge_agent.wire.manifest import State
from edge_agent.worker.data.dataset import Row

INFO = ModelInfo(
    format="onnx",
    inputs=(TensorSpec("x", "float32", (1, 2)), TensorSpec("h", "float32", (None, 3))),
    outputs=(TensorSpec("y", "float32", (1, 2)), TensorSpec("hN", "float32", (1, 3))),
    operators={},
    version="opset 17",
    size_bytes=1,
)


def row(group: int | None, **more: np.ndarray) -> Row:
    return Row({"x": np.zeros((1, 2), np.float32), **more}, None, group, 0)


def states_seen(state: State, groups: list[int | None]) -> list[float]:
    """The state that each row is fed, of a model that adds one to it."""
    carrier = CarriedState([state], INFO)
    seen = []
    for group in groups:
        feeds = carrier.feeds(row(group))
        seen.append(float(feeds["h"][0, 0]))
        carrier.keep([np.zeros((1, 2)), feeds["h"] + 1])
    return seen


def test_state_goes_from_row_to_row() -> None:
    assert states_seen(State("h", "hN"), [None] * 3) == [0, 1, 2]
    assert states_seen(State("h", "hN", initial=5.0), [0, 0]) == [5, 6]


def test_a_new_recording_starts_afresh_unless_told_never() -> None:
    assert states_seen(State("h", "hN"), [4, 4, 7, 7, 4]) == [0, 1, 0, 1, 0]
    assert states_seen(State("h", "hN", reset="never"), [4, 4, 7, 7]) == [0, 1, 2, 3]


def test_the_state_has_the_inputs_type_and_shape() -> None:
    feeds = CarriedState([State("h", "hN")], INFO).feeds(row(None))

    assert (feeds["h"].shape, feeds["h"].dtype) == ((1, 3), np.float32)


def test_state_that_the_data_bring_is_used_as_given() -> None:
    carrier = CarriedState([State("h", "hN")], INFO)
    carrier.keep([np.zeros((1, 2)), np.ones((1, 3))])

    given = np.full((1, 3), 9, np.float32)

    assert carrier.feeds(row(None, h=given))["h"] is given


@pytest.mark.parametrize("state", [State("nope", "hN"), State("h", "nope")])
def test_a_state_that_the_model_lacks_is_named(state: State) -> None:
    with pytest.raises(ModelError, match="'nope'") as caught:
        CarriedState([state], INFO)

    assert caught.value.code == "model_unsupported"


def test_a_state_that_does_not_fit_its_input_is_refused_before_anything_runs() -> None:
    with pytest.raises(ModelError, match=r"'y' \(float32 \[1, 2\]\) cannot be handed to input 'h'") as error:
        CarriedState([State("h", "y")], INFO)
    assert error.value.code == "model_unsupported"
