"""Rows for the models of :mod:`bench.real_models`, from what packages ship: files, fonts, photos and a speaker.

Each maker returns recordings, whose rows follow each other as they would before a sensor: pieces of one file, lines of
one page, a camera that pans over one photo, sound of one sentence. Seeded, so that they are the same every time.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[Any]

_END = 1024  # bytes that the file classifier sees of either end
_PADDING = 256
_PIECE = 2048
_PIECES = 8
_LINES = 30
_FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10"),
)
_TEXT = (
    "Any application may read what int8 says; a verdict is proved on windows nobody has seen, 2048 of them (or more)."
)
_FRAME, _CONTEXT, _RATE = 512, 64, 16000
_VOICES = ("en", "de", "fr", "es", "pl")
_PITCHES = (30, 60)
_SENTENCES = (
    "The bearing of the second pump runs hot.",
    "Please stop, there is water on the floor!",
    "seven, four, nine",
)


def file_pieces(folder: Path) -> list[Array]:
    """Bytes as magika takes them, ``[n, 2048]``: pieces of each file as if it were one, first and last 1,024 bytes."""
    recordings = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.suffix not in (".output", ".txt")):
        content = path.read_bytes()
        pieces = [content[start : start + _PIECE].strip() for start in range(0, len(content), _PIECE)][:_PIECES]
        rows = [_ends(piece) for piece in pieces if len(piece) >= 64]  # hardly a file
        if rows:
            recordings.append(np.stack(rows))
    return recordings


def _ends(piece: bytes) -> Array:
    row = np.full(2 * _END, _PADDING, np.int32)
    first, last = piece[:_END], piece[-_END:]
    row[: len(first)] = list(first)
    row[2 * _END - len(last) :] = list(last)
    return row


def text_lines(packages: Path) -> list[dict[str, Array]]:
    """Pages of lines, upright or turned by half a turn: ``x`` [n, 3, 48, 192] in [-1, 1], and ``labels``."""
    words, random = _TEXT.split(), np.random.default_rng(0)
    fonts = sorted(one for one in packages.rglob("*.ttf") if one.stem in _FONTS)
    pages = []
    for font in fonts:
        for _ in range(8):
            face = ImageFont.truetype(str(font), int(random.integers(24, 38)))
            ink, noise, turned = random.uniform(0, 120), random.uniform(0, 20), random.integers(0, 2, _LINES)
            rows = []
            for label in turned:
                image = Image.new("L", (192, 48), 235)
                line = " ".join(random.permutation(words)[: random.integers(1, 5)])
                ImageDraw.Draw(image).text((4, int(random.integers(0, 6))), line, fill=int(ink), font=face)
                values = np.asarray(image.rotate(180 * int(label)), np.float32) + random.normal(0, noise, (48, 192))
                rows.append(np.repeat(np.clip(values, 0, 255)[None] / 127.5 - 1.0, 3, axis=0))
            pages.append({"x": np.stack(rows).astype(np.float32), "labels": turned})
    return pages


def upright_lines(packages: Path) -> list[dict[str, Array]]:
    """Pages of upright lines: ``x`` [n, 3, 48, 192] in [-1, 1]."""
    return [{"x": page["x"][page["labels"] == 0]} for page in text_lines(packages)]


def photo_pans(folder: Path, height: int, width: int, recordings: int, frames: int = 30) -> Iterator[Array]:
    """What a camera sees that pans and zooms over photos, ``[frames, height, width, 3]`` in [0, 1] each."""
    random = np.random.default_rng(0)
    photos = [Image.open(folder / f"{name}").convert("RGB") for name in _PHOTOS]
    for number in range(recordings):
        photo = photos[number % len(photos)]
        if random.random() < 0.5:  # mirrored
            photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        largest = min(photo.height / height, photo.width / width)
        scales = np.linspace(*random.uniform(0.25, 1.0, 2), frames) * largest
        across, down = (np.linspace(*random.uniform(0, 1, 2), frames) for _ in range(2))
        light = random.uniform(0.5, 1.2)
        rows = []
        for scale, x, y in zip(scales, across, down, strict=True):
            size = scale * width, scale * height
            left, top = x * (photo.width - size[0]), y * (photo.height - size[1])
            box = (left, top, left + size[0], top + size[1])
            rows.append(np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float32))
        yield np.clip(np.stack(rows) / 255 * light, 0, 1).astype(np.float32)


_PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg",
           "astronaut.png", "page.png", "ihc.png", "hubble_deep_field.jpg", "coins.png")  # fmt: skip


def speech_frames(packages: Path, model: Path) -> list[dict[str, Array]]:
    """Frames of sentences with pauses, in noise: ``input`` [n, 1, 576] and ``state`` [n, 2, 1, 128], float's own."""
    import onnxruntime  # noqa: PLC0415  # only here

    session, random = onnxruntime.InferenceSession(str(model)), np.random.default_rng(0)
    recordings = []
    for sound in _spoken(packages / "espeakng_loader"):
        pause = np.zeros(_RATE // 2, np.float32)
        whole = np.concatenate([pause, sound, pause])
        whole = whole * random.uniform(0.1, 1.0) + random.normal(0, 10 ** random.uniform(-4, -1.3), len(whole))
        state, context, rows = np.zeros((2, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32), []
        for start in range(0, len(whole) - _FRAME + 1, _FRAME):
            frame = whole[start : start + _FRAME].astype(np.float32)
            feeds = {"input": np.concatenate([context, frame])[None], "state": state}
            rows.append(feeds)
            _, state = session.run(None, feeds)
            context = frame[-_CONTEXT:]
        recordings.append({key: np.stack([row[key] for row in rows]) for key in ("input", "state")})
    return recordings


def _spoken(folder: Path) -> Iterator[Array]:
    """Each sentence of each voice at 16 kHz, in [-1, 1]: espeak-ng, which hands its sound to a callback."""
    library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
    rate = library.espeak_Initialize(1, 0, str(folder / "espeak-ng-data").encode(), 0)  # 1: AUDIO_OUTPUT_RETRIEVAL
    heard: list[Array] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def hear(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            heard.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        return 0

    library.espeak_SetSynthCallback(hear)
    for voice in _VOICES:
        library.espeak_SetVoiceByName(voice.encode())
        for pitch in _PITCHES:
            library.espeak_SetParameter(3, pitch, 0)  # 3: espeakPITCH
            for sentence in _SENTENCES:
                heard.clear()
                text = sentence.encode()
                library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, 1, None, None)  # 1: UTF-8
                library.espeak_Synchronize()
                sound = np.concatenate(heard)
                places = np.arange(0, len(sound) - 1, rate / _RATE)
                yield np.interp(places, np.arange(len(sound)), sound).astype(np.float32)
