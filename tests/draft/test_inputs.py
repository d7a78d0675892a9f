"""What an input may be fed with, guessed from shape, name, type and operator; each guess has its reason."""

import pytest

from edge_agent.draft.guess import guess
from edge_agent.draft.inputs import feed_of
from edge_agent.model_file.tensors import ModelTensors, Tensor

Shape = tuple[int | None, ...]


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((1, 6, 100), "a series of 100 samples, 6 channels, channels first"),
        ((None, 100, 6), "a series of 100 samples, 6 channels, time first"),
        ((None, None, 6), "a series of 100 samples, 6 channels, time first"),
        ((1, 3, 32, 48), "a picture of 32x48, 3 colours, first"),
        ((None, 32, 32, 3), "a picture of 32x32, 3 colours, last"),
        ((1, 28, 28, 1), "a picture of 28x28, gray"),
        ((1, 3, None, None), "a picture of 224x224, 3 colours, first"),
        ((1, 49, 10, 1), "49 frames of 10 MFCCs of a sound at 16000 Hz"),
        ((1, 40, 98), "98 frames of 40 mel bands of a sound at 16000 Hz"),
        ((1, 8), "8 features of one moment"),
        ((None, 1), "1 feature of one moment"),
        ((1, 640), "640 samples of one channel"),
        ((1, 2, 3, 4, 5), "unknown"),
        (None, "unknown"),
    ],
)
def test_the_shape_says_most(shape: Shape | None, what: str) -> None:
    feed = feed_of(Tensor("x", shape, "float32"))

    assert feed.what == what
    assert bool(feed.why) == (what != "unknown")


def test_pixels_stay_as_they_are_where_the_model_scales_them_or_takes_whole_numbers() -> None:
    shape = (1, 32, 32, 3)
    operations = {
        (dtype, operator): [step["op"] for step in feed_of(Tensor("x", shape, dtype, operator)).steps]
        for dtype, operator in (("float32", "Conv"), ("float32", "Sub"), ("uint8", "Conv"), ("int32", "Conv"))
    }

    assert operations == {
        ("float32", "Conv"): ["scale"],
        ("float32", "Sub"): [],
        ("uint8", "Conv"): [],
        ("int32", "Conv"): ["cast"],
    }


def test_whole_numbers_are_made_of_floats_by_a_step() -> None:
    assert feed_of(Tensor("bytes", (1, 2048), "int32")).steps[-1] == {"op": "cast", "dtype": "int32"}


def test_a_name_or_a_rate_beside_it_makes_a_row_a_sound() -> None:
    rate = Tensor("sr", (), "int64")
    named, plain = Tensor("waveform", (1, 512), "float32"), Tensor("x", (1, 512), "float32")

    assert feed_of(named).rate_hz == 16_000
    assert feed_of(plain, ModelTensors((plain, rate), ())).rate_hz == 16_000
    assert feed_of(plain, ModelTensors((plain,), ())).rate_hz is None


def test_a_line_of_text_is_wide() -> None:
    picture = Tensor("x", (None, 3, None, None), "float32")
    scores = Tensor("y", (None, None, 6625), "float32", "Softmax")

    assert feed_of(picture, ModelTensors((picture,), (scores,))).frame == (48, 320)


def test_a_model_of_speech_is_guessed_whole() -> None:
    """Three inputs: a sound of open length, its rate, and state whose batch is open."""
    model = ModelTensors(
        (
            Tensor("input", (None, None), "float32"),
            Tensor("sr", (), "int64"),
            Tensor("state", (2, None, 128), "float32"),
        ),
        (Tensor("output", (None, 1), "float32", "Sigmoid"), Tensor("stateN", (None, None, None), "float32")),
    )

    guessed = guess(model)

    sound, rate = guessed.contracts
    assert (sound.name, sound.rate_hz, rate.name, rate.constant) == ("input", 16_000, "sr", 16_000)
    assert sound.window is not None
    assert sound.window.hop == sound.window.size  # state goes on where the window before has ended
    assert guessed.states == {"state": "stateN"}
    assert guessed.output.kind == "binary"
    assert [one.about for one in guessed.stated()] == ["input input", "input sr", "input state", "output"]


def test_pictures_of_a_known_sensor_are_resized() -> None:
    model = ModelTensors((Tensor("x", (1, 3, 96, 96), "float32"),), (Tensor("y", (1, 10), "float32"),))

    (contract,) = guess(model).fed_by("front", ("r", "g", "b"), (240, 320)).contracts

    assert contract.frame == (240, 320)
    assert contract.steps[0] == {"op": "resize", "height": 96, "width": 96}
    assert (contract.source, contract.channels) == ("front", ["r", "g", "b"])


@pytest.mark.parametrize(
    ("shape", "operator", "kind", "sure"),
    [
        ((1, 10), "Softmax", "classes", True),
        ((1, 10), "Gemm", "classes", False),
        ((1, 1), "Sigmoid", "binary", True),
        ((1, 1), "Gemm", "regression", False),
        ((1, 128), "LpNormalization", "embedding", True),
        ((1, 50, 30), "Softmax", "sequence", True),
        ((1, 2, 64, 64), "Sigmoid", "mask", True),
    ],
)
def test_the_last_operator_says_what_an_output_means(
    shape: Shape,
    operator: str,
    kind: str,
    sure: bool,  # noqa: FBT001
) -> None:
    model = ModelTensors((Tensor("x", (1, 8), "float32"),), (Tensor("y", shape, "float32", operator),))

    found = guess(model).kind

    assert found is not None
    assert (found.kind, found.sure) == (kind, sure)
