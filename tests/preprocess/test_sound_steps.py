"""log_mel and mfcc against what librosa, torchaudio and TensorFlow make of the same sound."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct
from support.sounds import CASES, RATE_HZ, REFERENCES, SAMPLES, sound

from edge_agent.errors import EdgeAgentError
from edge_agent.preprocess import Preprocess
from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps import read_steps, shape_after


def prepare(step: dict[str, Any], rate_hz: float | None = RATE_HZ) -> Preprocess:
    return Preprocess(InputContract(steps=[step], rate_hz=rate_hz))


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_of_the_reference_library(case: str) -> None:
    """They work in float32, we in float64: what is loud agrees to 1e-4 of the largest value, what is silent as well."""
    wanted = np.load(REFERENCES)[case]

    features = prepare(CASES[case])(sound()[:, None])

    assert features.dtype == np.float32
    assert features.shape == wanted.shape
    np.testing.assert_allclose(features, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_the_reference_has_loud_and_silent_frames() -> None:
    """Else it would prove little."""
    for case, reference in np.load(REFERENCES).items():
        assert case in CASES
        assert np.ptp(reference) > 0.5 * np.abs(reference).max()
        assert len(np.unique(reference, axis=0)) >= 6


def test_the_cepstrum_is_the_dct_of_the_logarithm() -> None:
    mel = prepare({"op": "log_mel", "n_fft": 512, "n_mels": 30})(sound())
    cepstrum = prepare({"op": "mfcc", "n_fft": 512, "n_mels": 30, "n_mfcc": 30})(sound())

    np.testing.assert_allclose(cepstrum, dct(mel.astype(float), norm="ortho", axis=1), atol=1e-3)


@given(
    n_fft=st.integers(2, 700),
    hop=st.integers(1, 300),
    center=st.booleans(),
    mode=st.sampled_from(["constant", "reflect"]),
    samples=st.integers(1, 2000),
    op=st.sampled_from(["log_mel", "mfcc"]),
)
@settings(deadline=None, max_examples=60)
def test_the_shape_is_foretold(n_fft: int, hop: int, center: bool, mode: str, samples: int, op: str) -> None:  # noqa: FBT001  # hypothesis
    step = {"op": op, "n_fft": n_fft, "hop_length": hop, "center": center, "pad_mode": mode, "n_mels": 20}
    contract = InputContract(steps=[step], rate_hz=RATE_HZ)
    try:
        shape = shape_after(read_steps(contract), (samples, 1))
    except EdgeAgentError as error:
        assert error.code == "shape_mismatch"  # noqa: PT017  # either outcome is right, but only these two
        return

    features = Preprocess(contract)(np.resize(sound(), (samples, 1)))

    assert features.shape == shape
    assert np.isfinite(features).all()


def test_a_tone_is_in_the_band_of_its_pitch() -> None:
    time = np.arange(SAMPLES) / RATE_HZ
    loudest = [
        int(prepare({"op": "log_mel", "n_fft": 1024})(np.sin(2 * np.pi * hz * time)).mean(axis=0).argmax())
        for hz in (200, 400, 800, 1600, 3200)
    ]

    assert loudest == sorted(set(loudest))


def test_silence_is_the_floor() -> None:
    silence = np.zeros((1600, 1), np.float32)

    assert np.all(prepare({"op": "log_mel", "n_fft": 512})(silence) == -100)
    assert np.allclose(prepare({"op": "log_mel", "n_fft": 512, "log": "ln", "amin": 1e-6})(silence), np.log(1e-6))


@pytest.mark.parametrize(
    ("step", "rate_hz", "code", "says"),
    [
        ({}, None, "recipe_unsupported", "set rate_hz in [input]"),
        ({"sr": 8000}, None, "recipe_unsupported", "set rate_hz = 8000 in [input]"),
        ({"sr": 8000}, RATE_HZ, "recipe_unsupported", "sr = 8000 contradicts rate_hz = 16000"),
        ({"fmax": 9000}, RATE_HZ, "recipe_unsupported", "fmax <= 8000"),
        ({"fmin": 500, "fmax": 400}, RATE_HZ, "recipe_unsupported", "fmin < fmax"),
        ({"n_fft": 256, "win_length": 400}, RATE_HZ, "recipe_unsupported", "longer than n_fft"),
        ({"frame": "win_length"}, RATE_HZ, "recipe_unsupported", "center = false"),
        ({"op": "mfcc", "n_mels": 12}, RATE_HZ, "recipe_unsupported", "more than n_mels"),
        ({"n_mel": 12}, RATE_HZ, "recipe_unsupported", "did you mean 'n_mels'?"),
        ({"hop": 12}, RATE_HZ, "recipe_unsupported", "has no option 'hop'"),
        ({"window": "kaiser"}, RATE_HZ, "recipe_unsupported", "kaiser"),
        ({"n_fft": 8192, "center": False}, RATE_HZ, "shape_mismatch", "a frame takes 8192 samples"),
        ({"n_fft": 16384, "pad_mode": "reflect"}, RATE_HZ, "shape_mismatch", "too few"),
    ],
)
def test_what_cannot_be_done_is_said(step: dict[str, Any], rate_hz: float | None, code: str, says: str) -> None:
    with pytest.raises(EdgeAgentError) as error:
        prepare({"op": "log_mel", **step}, rate_hz)(sound()[:, None])

    assert error.value.code == code
    assert says in error.value.message


def test_two_channels_are_no_sound() -> None:
    with pytest.raises(EdgeAgentError, match="name one of the source's channels") as error:
        prepare({"op": "log_mel"})(np.zeros((SAMPLES, 2), np.float32))

    assert error.value.code == "shape_mismatch"


def test_sr_may_say_what_the_contract_says() -> None:
    one, other = (prepare({"op": "log_mel", "n_fft": 512, **more})(sound()) for more in ({}, {"sr": RATE_HZ}))

    assert np.array_equal(one, other)
