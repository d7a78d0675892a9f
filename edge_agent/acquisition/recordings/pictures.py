"""Recordings of pictures: a folder of image files, in alphabetical order, read one by one.

A picture is uint8 ``[height, width, channels]`` with the channels in the configured order, rotated by its EXIF data.
All pictures have one size: that of the first, or the configured one (then each is resized to it, bilinear with
antialias). A file that cannot be read as an image is counted and dropped.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_agent.acquisition.recordings import Unbroken
from edge_agent.acquisition.recordings.formats import PICTURES

COLOURS = {"rgb": ["r", "g", "b"], "bgr": ["b", "g", "r"], "gray": ["gray"]}
_BAD_IMAGE = (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)


class PictureRecording(Unbroken):
    """An open folder."""

    window_size = 0
    at_once = 1
    rate_hz: float | None = None

    def __init__(self, folder: Path, colour: str, size: tuple[int, int] | None) -> None:
        """Read every file's header; ``size`` is width and height. Raise one of ``BROKEN``."""
        self._files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
        if not self._files:
            raise ValueError(f"it contains no image; known suffixes are {', '.join(PICTURES)}")
        self._colour = colour
        self._size = size
        self.names = COLOURS[colour]
        self.columns = len(self.names)
        self.length = len(self._files)
        self.malformed = 0
        width, height = size or self._one_size()
        self.frame_shape: tuple[int, ...] = (height, width)

    def take(self, start: int, count: int) -> NDArray[np.uint8]:
        """Return pictures ``[n, height, width, channels]``."""
        pictures = [picture for path in self._files[start : start + count] if (picture := self._load(path)) is not None]
        return np.stack(pictures) if pictures else np.empty((0, *self.frame_shape, self.columns), np.uint8)

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _load(self, path: Path) -> NDArray[np.uint8] | None:
        picture = read_picture(path, self._colour, self._size)
        if picture is None:
            self.malformed += 1
            self.malformed_example = self.malformed_example or f"{path.name}: it is not an image"
        return picture

    def _one_size(self) -> tuple[int, int]:
        sizes: dict[tuple[int, int], Path] = {}
        for path in self._files:
            try:
                with Image.open(path) as image:
                    turned = image.getexif().get(_ORIENTATION, 1) in _ON_THE_SIDE
                    sizes.setdefault(image.size[::-1] if turned else image.size, path)
            except _BAD_IMAGE:
                continue  # counted when it is loaded
        if not sizes:
            raise ValueError("none of its files is an image")
        if len(sizes) > 1:
            (first, one), (second, other) = list(sizes.items())[:2]
            raise ValueError(f"{one.name} is {first[0]}x{first[1]}, {other.name} {second[0]}x{second[1]}; add size")
        return next(iter(sizes))


def read_picture(path: Path, colour: str, size: tuple[int, int] | None) -> NDArray[np.uint8] | None:
    """A picture ``[height, width, channels]``, upright and resized to ``size`` (width, height); None: no image."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("L" if colour == "gray" else "RGB")
    except _BAD_IMAGE:
        return None
    if size is not None and image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    picture = np.asarray(image, np.uint8).reshape(image.height, image.width, len(COLOURS[colour]))
    return picture[..., ::-1] if colour == "bgr" else picture


_ORIENTATION, _ON_THE_SIDE = 0x0112, (5, 6, 7, 8)
