"""What is asked in vain of a device or a model is found here, as the device would find it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.backends import TensorSpec
from edge_agent.contract.feeding import fed_shape
from edge_agent.errors import ContractError
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.wire.manifest import InputContract, State, Window
from edge_agent.wire.messages import DeviceInfo
from host_tools.push.fit import fits, troubles

TRANSPOSE = {"op": "transpose", "axes": [1, 0]}
IMU = InputContract(source="imu", channels=["ax", "ay"], window=Window(100, 50), steps=[TRANSPOSE])
OUTPUT = (Tensor("scores", (1, 7), "float32"),)


def replace(contract: InputContract, **fields: Any) -> InputContract:
    return InputContract(**{**{name: getattr(contract, name) for name in contract.__struct_fields__}, **fields})


def info(**sources: Any) -> DeviceInfo:
    return DeviceInfo(device="pi-01", sources=sources or {"imu": {"kind": "serial", "channels": ["ax", "ay", "az"]}})


def model(*shapes: tuple[int | None, ...] | None) -> ModelTensors:
    names = ("x", "y", "z")
    return ModelTensors(
        tuple(Tensor(name, shape, "float32") for name, shape in zip(names, shapes, strict=False)), OUTPUT
    )


def answer(
    inputs: list[InputContract],
    signature: ModelTensors | None = None,
    known: DeviceInfo | None = None,
    states: list[State] | None = None,
) -> tuple[str, str]:
    error = troubles(inputs, states or [], signature, {"pi-01": known}).get("pi-01")
    return (error.code, error.message) if error else ("", "")


@pytest.mark.parametrize(
    ("contract", "known", "code", "words"),
    [
        (IMU, info(), "", ""),
        (replace(IMU, source="imo"), info(), "source_unknown", "pi-01 has no source 'imo'; did you mean 'imu'?"),
        (
            replace(IMU, channels=["ax", "by"]),
            info(),
            "channel_unknown",
            "of pi-01 has no channel 'by'; known: ax, ay, az",
        ),
        (replace(IMU, source="imo"), None, "", ""),
        (replace(IMU, channels=["by"]), info(imu={"kind": "replay"}), "", ""),
        (InputContract(constant=1.0, name="x"), info(), "", ""),
    ],
)
def test_sources_and_channels(contract: InputContract, known: DeviceInfo | None, code: str, words: str) -> None:
    found = answer([contract], None, known)

    assert found[0] == code
    assert words in found[1]


@pytest.mark.parametrize(
    ("inputs", "signature", "code", "words"),
    [
        ([IMU], model((1, 2, 100)), "", ""),
        ([IMU], model((None, 2, None)), "", ""),
        ([IMU], model(None), "", ""),
        ([IMU], None, "", ""),
        ([replace(IMU, window=Window(128, 64))], model((1, 2, 100)), "shape_mismatch", "128x2, 2x128 after its steps,"),
        ([replace(IMU, channels=["ax"])], model((1, 2, 100)), "shape_mismatch", "wants 1x2x100; correct window"),
        ([replace(IMU, steps=[])], model((1, 2, 100)), "shape_mismatch", 'add the step { op = "transpose"'),
        ([IMU], model((1, 100, 2)), "shape_mismatch", "leave the step transpose out"),
        ([replace(IMU, channels=[])], model((1, 3, 100)), "", ""),
        ([replace(IMU, channels=[])], model((1, 2, 100)), "shape_mismatch", "100x3"),
        ([replace(IMU, name="w")], model((1, 2, 100)), "input_missing", "the model has no input 'w'"),
        ([IMU], model((1, 2, 100), (1, 3)), "input_missing", "the model's input 'y' has no data"),
        ([IMU, InputContract(name="y", constant=1.0)], model((1, 2, 100), (1, 3)), "", ""),
        ([replace(IMU, name="y"), InputContract(name="x", constant=0)], model((1,), (2, 100)), "", ""),
        (
            [replace(IMU, steps=[{"op": "standardize", "mean": [1, 2, 3], "std": [1]}])],
            model((1, 100, 2)), "shape_mismatch", "3 values of mean for 2 channels",
        ),
    ],
)  # fmt: skip
def test_windows_and_the_models_inputs(
    inputs: list[InputContract], signature: ModelTensors | None, code: str, words: str
) -> None:
    found = answer(inputs, signature, info())

    assert found[0] == code, found
    assert words in found[1]


def test_a_state_needs_no_data() -> None:
    assert answer([IMU], model((1, 2, 100), (1, 8)), info(), [State("y", "scores")]) == ("", "")
    assert answer([IMU], model((1, 2, 100)), info(), [State("yy", "scores")])[0] == "input_missing"


def test_without_the_device_and_without_channels_nothing_is_known_of_the_shape() -> None:
    assert answer([replace(IMU, channels=[])], model((1, 2, 100)), None) == ("", "")


SIZES = st.lists(st.integers(1, 3), max_size=4).map(tuple)


@given(shape=SIZES, wanted=st.lists(st.sampled_from([1, 2, 3, None]), max_size=4).map(tuple))
def test_a_shape_fits_here_as_it_fits_on_the_device(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> None:
    try:
        fed_shape(shape, TensorSpec("x", "float32", wanted), "a window")
        device = True
    except ContractError:
        device = False

    assert fits(shape, wanted) is device
