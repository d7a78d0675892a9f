"""Guesses the feed of a model input from its name, type, shape and first operator. Pure.

    [N, 3, 224, 224]   a picture, colours first          [N, 100, 6]   a series, time first
    [N, 224, 224, 3]   a picture, colours last           [N, 6, 100]   a series, channels first
    [N, 49, 10, 1]     frames of a sound's MFCC          [N, 8]        features of one moment
    [N, 98, 40]        frames of a log-mel spectrogram   [N, 16000]    a series of one channel

A guess is a guess: each carries the reason that it rests on, for a person to check.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.model_file.tensors import ModelTensors, Shape, Tensor
from edge_agent.wire.manifest import InputContract, Window

Sizes = list[int | None]

_COLOURS = (1, 3)
_SMALLEST_PICTURE = 16
_MOST_FEATURES = 32
_CEPSTRA, _BANDS = (10, 13, 20), (40, 64, 80, 128)
"""Usual numbers of coefficients and mel bands in models of sound."""
_SOUND_HZ = 16_000
_SOUND_NAME = re.compile(r"audio|wave?(form)?\b|pcm|speech|sound", re.IGNORECASE)
_RATE_NAME = re.compile(r"sr|sample_?rate|sampling_?rate|rate", re.IGNORECASE)
_OPEN_PICTURE, _OPEN_TEXT_LINE = (224, 224), (48, 320)
_OPEN_SOUND, _OPEN_SERIES = 512, 100
_SECOND_OF_PICTURES = 15
_SCALES_ITSELF = frozenset({"Sub", "Mul", "Div", "BatchNormalization"})
_BYTE = 256


@dataclass(frozen=True, slots=True)
class Feed:
    """A guess at how windows become an input.

    Attributes:
        size: samples in a window.
        hop: samples from one window to the next.
        channels: of a sample; 0: unknown.
        steps: from a window ``[size, channels]`` to the input, as a manifest has them.
        frame: height and width, where a sample is a picture.
        rate_hz: samples a second that the model is made for; None: the source's.
        what: what that makes of the input, as "a picture of 32x32 in 3 colours".
        why: the reason of the guess; empty: there is none, it is an example.
    """

    size: int
    hop: int
    channels: int
    steps: tuple[dict[str, Any], ...] = ()
    frame: tuple[int, int] | None = None
    rate_hz: float | None = None
    what: str = ""
    why: str = ""

    def contract(self, *, name: str = "", source: str = "", channels: Sequence[str] = ()) -> InputContract:
        """The feed as an input of a manifest."""
        return InputContract(
            source=source,
            channels=list(channels),
            window=Window(self.size, self.hop),
            steps=[dict(step) for step in self.steps],
            name=name,
            rate_hz=self.rate_hz,
            frame=self.frame,
        )

    def alike(self, other: "Feed") -> bool:
        """Whether both can be fed from the windows of one source."""
        return (self.size, self.frame, self.rate_hz) == (other.size, other.frame, other.rate_hz)


def feed_of(tensor: Tensor | None, model: ModelTensors | None = None) -> Feed:
    """Guess the window of an input. Sizes that the file leaves open are examples.

    Args:
        tensor: the input; None: the file does not tell.
        model: whose it is, as other inputs and the outputs tell more.
    """
    sizes = _inner(tensor.shape or ()) if tensor is not None else []
    if tensor is None or not sizes:
        return Feed(100, 50, 0, what="unknown", why="")
    match sizes:
        case [size]:
            return _vector(tensor, size, model)
        case [first, second]:
            return _matrix(tensor, first, second)
        case [height, width, int(colours)] if colours in _COLOURS and not _is_spectrum(height, width):
            return _picture(tensor, (height, width), colours, model, first=False)
        case [int(colours), height, width] if colours in _COLOURS and not _is_spectrum(height, width):
            return _picture(tensor, (height, width), colours, model, first=True)
        case [first, second, 1] | [1, first, second]:
            return _reshaped(_matrix(tensor, first, second), sizes)
    return Feed(100, 50, 0, what="unknown", why="")


def constant_of(tensor: Tensor) -> tuple[int | float | bool, str]:
    """A fixed value for an input that no window feeds, and the reason for it."""
    if tensor.dtype == "bool":
        return False, "a switch, and off is the usual position"
    whole = tensor.dtype.startswith(("int", "uint"))
    if _is_rate(tensor):
        return _SOUND_HZ if whole else float(_SOUND_HZ), f"{tensor.name!r} is a rate, and {_SOUND_HZ} Hz is speech's"
    return 0 if whole else 0.0, "it cannot share the windows of the first input"


def is_fixed(tensor: Tensor) -> bool:
    """Whether an input takes a single value that no sensor sends: a rate or a switch."""
    return tensor.dtype != "" and not _inner(tensor.shape or ()) and (_is_rate(tensor) or tensor.dtype == "bool")


def _vector(tensor: Tensor, size: int | None, model: ModelTensors | None) -> Feed:
    cast = _casts(tensor)
    if _is_sound(tensor, model):
        length = size or _OPEN_SOUND
        reason = f"{tensor.name!r} is a sound's name" if _SOUND_NAME.search(tensor.name) else "another input is a rate"
        opened = "" if size else f"; its length is open, {length} is an example"
        return Feed(
            length,
            length,
            1,
            ({"op": "reshape", "shape": [length]}, *cast),
            rate_hz=float(_SOUND_HZ),
            what=f"{length} samples of a sound at {_SOUND_HZ} Hz",
            why=reason + opened,
        )
    if size is None:
        steps = ({"op": "reshape", "shape": [_OPEN_SERIES]}, *cast)
        what = f"{_OPEN_SERIES} samples of one channel"
        return Feed(_OPEN_SERIES, _half(_OPEN_SERIES), 1, steps, what=what, why="its length is open: an example")
    if size <= _MOST_FEATURES:
        noun = "feature" if size == 1 else "features"
        return Feed(
            1,
            1,
            size,
            ({"op": "reshape", "shape": [size]}, *cast),
            what=f"{size} {noun} of one moment",
            why=f"a row of {size} {'value is' if size == 1 else 'values is'} short for a series",
        )
    kind = "whole numbers, as bytes or tokens," if cast else "samples of one channel"
    return Feed(
        size,
        _half(size),
        1,
        ({"op": "reshape", "shape": [size]}, *cast),
        what=f"{size} {kind}".rstrip(","),
        why=f"a row of {size} values is long for the features of one moment",
    )


def _matrix(tensor: Tensor, first: int | None, second: int | None) -> Feed:
    cast = _casts(tensor)
    if _is_spectrum(first, second) and first and second:
        return _spectrum(first, second, cast)
    if first is None or second is None:
        length, channels = _OPEN_SERIES, first or second or 0
        turn = first is not None
        opened = f"one side is open: {length} samples are an example"
    else:
        length, channels, turn = max(first, second), min(first, second), first < second
        opened = f"{length} is the longer side" if first != second else "both sides are as long"
    noun = "channel" if channels == 1 else "channels"
    steps = ({"op": "transpose", "axes": [1, 0]}, *cast) if turn else cast
    order = "channels first" if turn else "time first"
    count = f"{channels} {noun}" if channels else "channels"
    return Feed(
        length, _half(length), channels, steps, what=f"a series of {length} samples, {count}, {order}", why=opened
    )


def _spectrum(first: int, second: int, cast: tuple[dict[str, Any], ...]) -> Feed:
    """Frames of a spectrum with the usual hop: 20 ms, or 10 ms for many frames."""
    frames, bins = max(first, second), min(first, second)
    window, hop = (640, 320) if frames <= 64 else (400, 160)  # noqa: PLR2004  # a second at 20 ms has 49
    cepstral = bins in _CEPSTRA
    step: dict[str, Any] = {
        "op": "mfcc" if cepstral else "log_mel",
        "n_fft": 1 << (window - 1).bit_length(),
        "win_length": window,
        "hop_length": hop,
        "center": False,
        "frame": "win_length",
        "n_mels": 40 if cepstral else bins,
    }
    if cepstral:
        step["n_mfcc"] = bins
    turn = ({"op": "transpose", "axes": [1, 0]},) if first < second else ()
    samples = window + (frames - 1) * hop
    numbers = "MFCCs" if cepstral else "mel bands"
    return Feed(
        samples,
        _half(samples),
        1,
        (step, *turn, *cast),
        rate_hz=float(_SOUND_HZ),
        what=f"{frames} frames of {bins} {numbers} of a sound at {_SOUND_HZ} Hz",
        why=f"{bins} are usual for {numbers}; frame length, hop and logarithm are examples, take the trainer's",
    )


def _picture(
    tensor: Tensor, sides: tuple[int | None, int | None], colours: int, model: ModelTensors | None, *, first: bool
) -> Feed:
    example = _OPEN_TEXT_LINE if model is not None and _is_text_line(model) else _OPEN_PICTURE
    height, width = sides[0] or example[0], sides[1] or example[1]
    opened = f"; sides are open, {height}x{width} is an example" if None in sides else ""
    whole = tensor.dtype.startswith(("int", "uint"))
    steps: list[dict[str, Any]] = []
    if whole:
        scale = "whole numbers take pixels as they are"
        if tensor.dtype != "uint8":
            steps.append({"op": "cast", "dtype": tensor.dtype})
    elif tensor.operator in _SCALES_ITSELF:
        scale = f"the model scales pixels itself ({tensor.operator}), so they stay 0 to 255"
    else:
        scale = "pixels become 0 to 1, which is most usual; others take 0 to 255 or -1 to 1"
        steps.append({"op": "scale", "factor": 1 / (_BYTE - 1)})
    if first:
        steps.append({"op": "transpose", "axes": [0, 3, 1, 2]})
    order = "first" if first else "last"
    return Feed(
        1,
        _SECOND_OF_PICTURES,
        colours,
        tuple(steps),
        frame=(height, width),
        what=f"a picture of {height}x{width}, {'gray' if colours == 1 else f'{colours} colours, {order}'}",
        why=f"an axis of {colours} beside two sides{opened}; {scale}",
    )


def _reshaped(feed: Feed, sizes: Sizes) -> Feed:
    """The feed with one more axis of size one. The window gives the sides that the file leaves open."""
    shape = [size or -1 for size in sizes]
    return replace(feed, steps=(*feed.steps, {"op": "reshape", "shape": shape}))


def _casts(tensor: Tensor) -> tuple[dict[str, Any], ...]:
    """A step that makes integers, because windows hold floats and no float becomes an integer by itself."""
    return ({"op": "cast", "dtype": tensor.dtype},) if tensor.dtype in _CASTS else ()


_CASTS = ("int8", "uint8", "int16", "uint16", "int32", "int64")


def _is_spectrum(height: int | None, width: int | None) -> bool:
    """Whether a plane looks like frames of sound, not like a picture or a series."""
    if height is None or width is None or height == width:
        return False
    bins, frames = sorted((height, width))
    return frames >= _SMALLEST_PICTURE and (
        (bins in _CEPSTRA and bins < _SMALLEST_PICTURE and frames >= 2 * bins) or bins in _BANDS
    )


def _is_text_line(model: ModelTensors) -> bool:
    """Whether the model reads a line of text: a row of scores for each place."""
    return any(len(_inner(one.shape or ())) == 2 for one in model.outputs)  # noqa: PLR2004  # places and symbols


def _is_sound(tensor: Tensor, model: ModelTensors | None) -> bool:
    beside = model is not None and any(_is_rate(one) for one in model.inputs)
    return tensor.dtype.startswith("float") and (beside or _SOUND_NAME.search(tensor.name) is not None)


def _is_rate(tensor: Tensor) -> bool:
    return not _inner(tensor.shape or ()) and _RATE_NAME.fullmatch(tensor.name) is not None


def _inner(shape: Shape) -> Sizes:
    """The shape without the batch axis."""
    sizes = list(shape)
    return sizes[1:] if sizes and sizes[0] in (None, 1) else sizes


def _half(samples: int) -> int:
    return max(1, samples // 2)
