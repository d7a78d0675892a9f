"""A short sound, and what librosa, torchaudio and TensorFlow make of it.

``sound_references.npz`` holds their numbers, as none of the three is small enough to be a test's dependency. It was
written by this file, once with each library at hand:

    python tests/support/sounds.py librosa      # 0.11.0, torchaudio 2.11.0, tensorflow 2.21.0
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFERENCES = Path(__file__).with_name("sound_references.npz")
RATE_HZ = 16_000
SAMPLES = 4800

CASES: dict[str, dict[str, Any]] = {
    # As librosa does unless told otherwise.
    "librosa default": {"op": "log_mel"},
    "librosa short": {
        "op": "log_mel", "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "fmin": 20, "fmax": 7600,
        "center": False, "log": "ln", "amin": 1e-6,
    },
    "librosa htk": {
        "op": "log_mel", "n_fft": 400, "hop_length": 160, "n_mels": 23, "mel_scale": "htk", "norm": "none",
        "power": 1, "log": "log10", "amin": 1e-5, "window": "hamming", "pad_mode": "reflect",
    },
    "librosa mfcc": {"op": "mfcc", "n_fft": 512, "hop_length": 256, "n_mels": 40, "n_mfcc": 13},
    "librosa mfcc liftered": {"op": "mfcc", "n_fft": 512, "hop_length": 160, "n_mels": 32, "n_mfcc": 20, "lifter": 22},
    # As torchaudio does unless told otherwise.
    "torchaudio mel": {
        "op": "log_mel", "n_fft": 400, "hop_length": 200, "n_mels": 64, "pad_mode": "reflect", "mel_scale": "htk",
        "norm": "none", "top_db": 0,
    },
    "torchaudio mfcc": {
        "op": "mfcc", "n_fft": 400, "hop_length": 200, "n_mels": 64, "n_mfcc": 40, "pad_mode": "reflect",
        "mel_scale": "htk", "norm": "none",
    },
    # As in TensorFlow's guide to tf.signal.
    "tensorflow mel": {
        "op": "log_mel", "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "fmin": 80, "fmax": 7600,
        "center": False, "frame": "win_length", "mel_scale": "htk", "triangles": "mel", "norm": "none", "power": 1,
        "log": "ln", "offset": 1e-6, "amin": 1e-30,
    },
    "tensorflow mfcc": {
        "op": "mfcc", "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "fmin": 80, "fmax": 7600,
        "center": False, "frame": "win_length", "mel_scale": "htk", "triangles": "mel", "norm": "none", "power": 1,
        "log": "ln", "offset": 1e-6, "amin": 1e-30, "n_mfcc": 13, "dct": "tf",
    },
}  # fmt: skip


def sound() -> NDArray[np.float32]:
    """0.3 s ``[SAMPLES]``: a falling chirp with overtones, noise that comes and goes, and some silence."""
    time = np.arange(SAMPLES) / RATE_HZ
    chirp = sum(np.sin(2 * np.pi * k * (1500 * time - 1800 * time**2)) / k for k in (1, 2, 3))
    noise = np.random.default_rng(3).normal(size=SAMPLES) * np.sin(np.pi * time / 0.3) ** 4
    return (np.where(time < 0.24, 0.25 * chirp + 0.05 * noise, 0) * 32767).round().astype(np.float32) / 32768


def librosa(case: dict[str, Any]) -> NDArray[Any]:
    """What librosa makes of the sound, ``[frames, bands]``."""
    import librosa  # noqa: PLC0415  # by hand only

    asked = {"hop_length": 512, **case}
    names = ("n_fft", "win_length", "hop_length", "n_mels", "fmin", "fmax", "center", "power", "window", "pad_mode")
    options = {key: asked[key] for key in names if key in asked}
    if asked.get("mel_scale") == "htk":
        options["htk"] = True
    if asked.get("norm") == "none":
        options["norm"] = None
    if asked["op"] == "mfcc":
        cepstrum = {key: asked[key] for key in ("n_mfcc", "lifter") if key in asked}
        return librosa.feature.mfcc(y=sound(), sr=RATE_HZ, **cepstrum, **options).T
    mel = librosa.feature.melspectrogram(y=sound(), sr=RATE_HZ, **options).T
    logarithm = {"ln": np.log, "log10": np.log10}.get(asked.get("log", ""))
    return logarithm(np.maximum(mel, asked["amin"])) if logarithm else librosa.power_to_db(mel)


def torchaudio(case: dict[str, Any]) -> NDArray[Any]:
    """What torchaudio makes of the sound, ``[frames, bands]``."""
    import torch  # noqa: PLC0415  # by hand only
    import torchaudio  # noqa: PLC0415  # by hand only

    options = {key: case[key] for key in ("n_fft", "hop_length", "n_mels")}
    x = torch.from_numpy(sound())
    if case["op"] == "mfcc":
        transform = torchaudio.transforms.MFCC(RATE_HZ, n_mfcc=case["n_mfcc"], melkwargs=options)
        return transform(x).T.numpy()
    mel = torchaudio.transforms.MelSpectrogram(RATE_HZ, **options)(x)
    return torchaudio.transforms.AmplitudeToDB()(mel).T.numpy()


def tensorflow(case: dict[str, Any]) -> NDArray[Any]:
    """What TensorFlow makes of the sound, ``[frames, bands]``."""
    import tensorflow as tf  # noqa: PLC0415  # by hand only

    spectrogram = tf.abs(tf.signal.stft(sound(), case["win_length"], case["hop_length"], case["n_fft"]))
    matrix = tf.signal.linear_to_mel_weight_matrix(
        case["n_mels"], spectrogram.shape[-1], RATE_HZ, case["fmin"], case["fmax"]
    )
    mel = tf.math.log(tf.matmul(spectrogram, matrix) + case["offset"])
    if case["op"] == "log_mel":
        return mel.numpy()
    return tf.signal.mfccs_from_log_mel_spectrograms(mel)[..., : case["n_mfcc"]].numpy()


if __name__ == "__main__":
    library = sys.argv[1]
    known = dict(np.load(REFERENCES)) if REFERENCES.exists() else {}
    made = {name: globals()[library](case) for name, case in CASES.items() if name.startswith(library)}
    np.savez_compressed(REFERENCES, **known, **{name: array.astype(np.float32) for name, array in made.items()})
