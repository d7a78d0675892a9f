"""Steps for sound: mel spectrogram, its logarithm, and the cepstrum of that. Pure.

All computation is in float64, with results in float32, so that they do not depend on the precision of a numpy version's
FFT. The definitions are librosa's. Options cover the differences of other training libraries (see
:mod:`edge_agent.wire.steps.audio`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.wire.steps import audio as options

Array = NDArray[Any]
Operation = Callable[[Array], Array]
Floats = NDArray[np.float64]

_WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "ones": (1.0, 0.0)}
_HTK_SCALE, _HTK_CORNER_HZ = 2595.0, 700.0
_SLANEY_HZ, _SLANEY_CORNER_HZ, _SLANEY_CORNER_MEL = 200.0 / 3, 1000.0, 15.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0
_FRAMES_AT_ONCE = 4096


def log_mel(step: options.LogMel) -> Operation:
    """``[samples]`` or ``[samples, 1]`` → ``[frames, n_mels]`` of float32."""
    spectrogram = _log_mel(step)
    return lambda x: spectrogram(x).astype(np.float32)


def mfcc(step: options.Mfcc) -> Operation:
    """``[samples]`` or ``[samples, 1]`` → ``[frames, n_mfcc]`` of float32."""
    spectrogram, transform = _log_mel(step), _dct(step)
    return lambda x: (spectrogram(x) @ transform).astype(np.float32)


def _log_mel(step: options.LogMel) -> Callable[[Array], Floats]:
    window, filters = _window(step), _filters(step)

    def run(x: Array) -> Floats:
        sound = x.reshape(-1).astype(np.float64)
        if step.center:
            sound = np.pad(sound, step.n_fft // 2, mode=step.pad_mode)
        frames = np.lib.stride_tricks.sliding_window_view(sound, step.frame_samples)[:: step.hop]
        mel = np.empty((len(frames), step.n_mels))
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            part = slice(start, start + _FRAMES_AT_ONCE)
            amplitude = np.abs(np.fft.rfft(frames[part] * window, step.n_fft))
            mel[part] = amplitude**step.power @ filters
        return _logarithm(step, mel)

    return run


def _logarithm(step: options.LogMel, mel: Floats) -> Floats:
    mel = np.maximum(mel, step.amin) + step.offset
    if step.log == "ln":
        return np.log(mel)
    if step.log == "log10":
        return np.log10(mel)
    decibel: Floats = (20.0 / step.power) * np.log10(mel)
    return np.maximum(decibel, decibel.max() - step.top_db) if step.top_db else decibel


def _window(step: options.LogMel) -> Floats:
    """Return the periodic window, centred in a frame of n_fft samples, or as long as the frame."""
    base, swing = _WINDOWS[step.window]
    size = step.window_samples
    window: Floats = base - swing * np.cos(2 * np.pi * np.arange(size) / size)
    before = (step.frame_samples - size) // 2
    return np.pad(window, (before, step.frame_samples - size - before))


def _filters(step: options.LogMel) -> Floats:
    """Return the weight of each frequency in each band, ``[1 + n_fft / 2, n_mels]``: triangles evenly spaced in mel."""
    sr = step.sr or 1.0
    to_mel, to_hz = (_htk_mel, _htk_hz) if step.mel_scale == "htk" else (_slaney_mel, _slaney_hz)
    bins = np.fft.rfftfreq(step.n_fft, 1 / sr).astype(np.float64)
    low, high = to_mel(np.array([step.fmin, step.fmax or sr / 2]))
    edges = np.linspace(low, high, step.n_mels + 2, dtype=np.float64)
    corners = to_hz(edges)
    over, ends = (bins, corners) if step.triangles == "hz" else (to_mel(bins), edges)
    rising = (over[:, None] - ends[:-2]) / np.diff(ends)[:-1]
    falling = (ends[2:] - over[:, None]) / np.diff(ends)[1:]
    filters: Floats = np.maximum(0, np.minimum(rising, falling))
    if step.norm == "slaney":  # each band has the same area
        filters *= 2.0 / (corners[2:] - corners[:-2])
    return filters


def _htk_mel(hz: Floats) -> Floats:
    mel: Floats = _HTK_SCALE * np.log10(1 + hz / _HTK_CORNER_HZ)
    return mel


def _htk_hz(mel: Floats) -> Floats:
    hz: Floats = _HTK_CORNER_HZ * (10 ** (mel / _HTK_SCALE) - 1)
    return hz


def _slaney_mel(hz: Floats) -> Floats:
    """Convert to mel as Slaney's Auditory Toolbox does: linear up to 1 kHz, logarithmic above."""
    above = _SLANEY_CORNER_MEL + np.log(np.maximum(hz, _SLANEY_CORNER_HZ) / _SLANEY_CORNER_HZ) / _SLANEY_LOG_STEP
    return np.where(hz < _SLANEY_CORNER_HZ, hz / _SLANEY_HZ, above)


def _slaney_hz(mel: Floats) -> Floats:
    above = _SLANEY_CORNER_HZ * np.exp(_SLANEY_LOG_STEP * (mel - _SLANEY_CORNER_MEL))
    return np.where(mel < _SLANEY_CORNER_MEL, mel * _SLANEY_HZ, above)


def _dct(step: options.Mfcc) -> Floats:
    """Return the matrix of the DCT-II, ``[n_mels, n_mfcc]``, liftered."""
    order = np.arange(step.n_mfcc)
    basis: Floats = np.cos(np.pi / step.n_mels * (np.arange(step.n_mels)[:, None] + 0.5) * order)
    basis *= np.sqrt(2.0 / step.n_mels)
    if step.dct == "ortho":
        basis[:, 0] /= np.sqrt(2.0)
    if step.lifter:
        basis *= 1 + (step.lifter / 2) * np.sin(np.pi * (order + 1) / step.lifter)
    return basis
