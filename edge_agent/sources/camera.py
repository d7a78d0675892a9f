"""A V4L2 camera, through OpenCV; needs the extra ``camera``.

    [sources.front]
    kind = "camera"
    device = "/dev/video0"   # /dev/v4l/by-id/... stays the same; or a video file
    width = 320              # left out: the camera's own; a size that it cannot deliver is an error, not resized
    height = 240
    rate_hz = 30             # pictures per second; left out: the rate that the camera reports
    colour = "rgb"           # or "bgr", "gray": the channels and their order
    pixel_format = "MJPG"    # optional: the four characters of the format to request
    silence_s = 10

A sample is a picture, uint8 ``[height, width, channels]``. The device is locked against other edge-agents. When it
disappears, reading resumes as soon as it is back. A video file plays at its own rate, at ``rate_hz``, or with
``rate = "max"`` as fast as it is read.
"""

import os
import re
import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.device_lock import DeviceLock, holder, in_use
from edge_agent.acquisition.pacing import Schedule
from edge_agent.acquisition.reconnect import Retry
from edge_agent.acquisition.source import RATE_KEY
from edge_agent.advice.installation import how_to_add
from edge_agent.errors import SourceError
from edge_agent.sources import EndOfSource, Frames, Stream

_COLOURS = {"rgb": ["r", "g", "b"], "bgr": ["b", "g", "r"], "gray": ["gray"]}
_NODE = re.compile(r"/dev/video(\d+)")
_SELECT_TIMEOUT_S = "1"
"""OpenCV's time-out for a picture of a V4L2 device; its default is ten seconds."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e4)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=16_384)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    device: Annotated[str, msgspec.Meta(min_length=1)]
    width: Pixels = 0
    height: Pixels = 0
    rate_hz: Positive | None = None
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    pixel_format: Annotated[str, msgspec.Meta(pattern="^(....)?$")] = ""
    rate: Literal["real", "max"] = "real"
    silence_s: Positive = 10.0


class CameraSource(Stream):
    """An open camera, or a video file."""

    def __init__(self, options: Options) -> None:
        """Open the device; raise ``SourceError`` (source_unavailable, source_busy)."""
        self._cv2 = _opencv()
        self._options = options
        self.live = not Path(options.device).is_file()
        self._retry = Retry()
        self._lock: DeviceLock | None = None
        self._capture: Any = None
        self.malformed = 0
        try:
            self._open()
            self.frame_shape = self._agreed_shape()
            super().__init__(_COLOURS[options.colour], self._known_rate(), options.silence_s)
        except SourceError:
            self.close()
            raise
        self.rate_said_by = RATE_KEY if options.rate_hz else "the camera" if self.live else "the file"
        real = options.rate == "real" and not self.live
        self._schedule = Schedule(self.rate_hz) if real else None
        self.length = 0 if self.live else self._pictures()
        self._given = 0

    @property
    def trouble(self) -> str:
        """The known reason why no pictures arrive; empty: unknown."""
        if self._capture is None:
            return f"{self._options.device} is gone"
        return f"{self.malformed} pictures had another size" if self.malformed else ""

    def read(self, timeout_s: float) -> Frames | None:
        """Return the next picture ``[1, height, width, channels]``; None if a camera stalls for about a second."""
        if self._capture is None and not self._reopen(timeout_s):
            return None
        if self._schedule is not None:
            if not self._schedule.wait(timeout_s):
                return None
            self._schedule.take(1)
        got, picture = self._capture.read()
        if not got:
            if not self.live:
                raise EndOfSource(f"{self._options.device} ended after {self._given} pictures")
            self._lose()
            return None
        if picture.shape[:2] != self.frame_shape:
            self.malformed += 1
            return None
        self._given += 1
        self.arrivals.hear(1, time.monotonic())
        return self._coloured(picture)[None]

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _coloured(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert OpenCV's BGR (or gray, from monochrome cameras) to the configured order."""
        if picture.ndim == 2:  # noqa: PLR2004  # height and width
            picture = picture[..., None].repeat(3, axis=2)
        match self._options.colour:
            case "bgr":
                return picture
            case "rgb":
                return np.ascontiguousarray(picture[..., ::-1])
        gray: NDArray[np.uint8] = self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2GRAY)
        return gray[..., None]

    def _open(self) -> None:
        device = self._options.device
        if self.live:
            self._lock = DeviceLock(device, "video")
        # OpenCV's V4L2 back end accepts only numbers.
        node = _NODE.fullmatch(os.path.realpath(device))
        name = int(node[1]) if self.live and node else device
        capture = self._cv2.VideoCapture(name, self._cv2.CAP_V4L2 if self.live else self._cv2.CAP_ANY)
        if not capture.isOpened():
            if node and in_use(device):
                raise SourceError("source_busy", f"{device} is in use by {holder(device)}; stop it")
            kind = "a camera" if self.live else "a video"
            raise SourceError("source_unavailable", f"{device} cannot be opened as {kind}; check device and driver")
        if self.live:
            self._ask(capture)
        self._capture = capture

    def _ask(self, capture: Any) -> None:
        """Request pixel format, size and rate, in the order that V4L2 drivers need."""
        cv2, options = self._cv2, self._options
        if options.pixel_format:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.pixel_format))
        for key, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, options.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, options.height),
            (cv2.CAP_PROP_FPS, options.rate_hz),
        ):
            if value:
                capture.set(key, value)

    def _agreed_shape(self) -> tuple[int, int]:
        width = int(self._capture.get(self._cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(self._cv2.CAP_PROP_FRAME_HEIGHT))
        wanted = (self._options.width or width, self._options.height or height)
        if (width, height) != wanted:
            text = f"{self._options.device} delivers pictures of {width}x{height}, not {wanted[0]}x{wanted[1]}"
            raise SourceError("source_unavailable", f"{text}; set width and height to the delivered size")
        return height, width

    def _pictures(self) -> int:
        return max(0, int(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)))

    def _known_rate(self) -> float:
        rate_hz = self._options.rate_hz or float(self._capture.get(self._cv2.CAP_PROP_FPS))
        if not rate_hz > 0:
            raise SourceError("source_unavailable", f"{self._options.device} does not report its rate; add rate_hz")
        return rate_hz

    def _lose(self) -> None:
        self.interrupt()
        self.close()

    def _reopen(self, timeout_s: float) -> bool:
        if not self._retry.due(timeout_s):
            return False
        try:
            self._open()
        except SourceError:
            self.close()
            return False
        return True


def open(options: Options) -> CameraSource:  # noqa: A001  # the name of a kind's entry
    """Open the camera; raise ``SourceError`` (source_unavailable, source_busy)."""
    return CameraSource(options)


def require(_options: Options) -> None:
    """Raise ``SourceError`` if OpenCV is missing."""
    _opencv()


def _opencv() -> ModuleType:
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", _SELECT_TIMEOUT_S)
    try:
        import cv2  # noqa: PLC0415  # a table is checked without it
    except ImportError as error:
        text = f"a camera needs OpenCV ({error}); {how_to_add('camera')}"
        raise SourceError("source_unavailable", text) from None
    module: ModuleType = cv2
    return module
