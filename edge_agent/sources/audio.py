"""An ALSA microphone, through PortAudio; needs the extra ``audio`` and PortAudio itself: apt install libportaudio2.

    [sources.mic]
    kind = "audio"
    device = ""              # the default device; or part of a name that `python -m sounddevice` lists: "hw:1,0"
    channels = ["mono"]      # one name per channel: ["left", "right"] for stereo
    rate_hz = 16000
    silence_s = 10           # time without a sample (not: without a sound) after which the device counts as lost

Samples are float32 from -1 to 1. PortAudio buffers one second for a late reader; a loss beyond that counts as an
interruption. When the device disappears (a USB plug), reading resumes as soon as it is back. A process records from one
device at a time.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.reconnect import Retry
from edge_agent.advice.installation import how_to_add
from edge_agent.errors import SourceError
from edge_agent.sources import Samples, Stream

_BUFFER_S = 1.0
_COALESCE_S = 0.02
"""Shortest time between two fetches: waking up for every few samples would cost more than reading them."""
_REOPEN_EVERY_S = 1.0
_UNAVAILABLE, _BUSY_HOST = -9985, -16
"""PortAudio's paDeviceUnavailable, its error for a busy device; ALSA's EBUSY."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    device: str = ""
    channels: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["mono"])
    rate_hz: Annotated[float, msgspec.Meta(ge=1000, le=384_000)] = 16_000
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 10.0


class Input(Protocol):
    """A recording sound card. Its methods raise ``OSError`` when it has disappeared."""

    def available(self) -> int:
        """Return the number of samples available without waiting."""
        ...

    def read(self, samples: int) -> tuple[NDArray[np.float32], bool]:
        """Return ``samples`` samples ``[n, channels]``, and whether others were lost before them."""
        ...

    def close(self) -> None:
        """Stop recording."""
        ...


class AudioSource(Stream):
    """An open microphone."""

    malformed = 0

    def __init__(self, options: Options, open_input: Callable[[Options], Input]) -> None:
        """Start recording; raise ``SourceError`` (source_unavailable, source_busy)."""
        super().__init__(options.channels, options.rate_hz, options.silence_s)
        self._options = options
        self._open_input = open_input
        self._retry = Retry(_REOPEN_EVERY_S)
        self._input: Input | None = open_input(options)

    @property
    def trouble(self) -> str:
        """The known reason why no samples arrive; empty: unknown."""
        return f"the sound device {self._options.device!r} is gone" if self._input is None else ""

    def read(self, timeout_s: float) -> Samples | None:
        """Return the samples recorded since the last read; wait at most ``timeout_s`` for some."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_COALESCE_S, left))
            try:
                if self._input is None:
                    self._reopen(left)
                elif samples := self._input.available():
                    return self._take(self._input, samples)
            except OSError:
                self._lose()
        return None

    def close(self) -> None:
        """Release the microphone."""
        if self._input is not None:
            self._input.close()
            self._input = None

    def _take(self, source: Input, count: int) -> Samples:
        samples, lost = source.read(count)
        if lost:
            self.interrupt()
        self.arrivals.hear(len(samples), time.monotonic())
        return samples

    def _lose(self) -> None:
        self.interrupt()
        try:
            self.close()
        except OSError:
            self._input = None

    def _reopen(self, timeout_s: float) -> None:
        if not self._retry.due(timeout_s):
            return
        try:
            self._input = self._open_input(self._options)
        except SourceError:
            return


class PortAudioInput:
    """An :class:`Input` of PortAudio."""

    def __init__(self, options: Options) -> None:
        """Start recording; raise ``SourceError`` (source_unavailable, source_busy)."""
        self._library = library = _sounddevice()
        # PortAudio enumerates devices once; only a restart finds one that was plugged in since.
        library._terminate()  # noqa: SLF001  # as sounddevice's author recommends
        library._initialize()  # noqa: SLF001
        try:
            self._stream: Any = library.InputStream(
                samplerate=options.rate_hz,
                device=int(options.device) if options.device.isdigit() else options.device or None,
                channels=len(options.channels),
                dtype="float32",
                latency=_BUFFER_S,
            )
            self._stream.start()
        except (library.PortAudioError, ValueError) as error:
            raise _explain(options.device, error, [device["name"] for device in library.query_devices()]) from None

    def available(self) -> int:
        """Return the number of samples available without waiting; raise ``OSError``."""
        return int(self._guard(lambda: self._stream.read_available))

    def read(self, samples: int) -> tuple[NDArray[np.float32], bool]:
        """Return ``samples`` samples, and whether others were lost before them; raise ``OSError``."""
        data, lost = self._guard(lambda: self._stream.read(samples))
        return data, bool(lost)

    def close(self) -> None:
        """Stop recording; raise ``OSError``."""
        self._guard(lambda: self._stream.close(ignore_errors=True))

    def _guard(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._library.PortAudioError as error:
            raise OSError(str(error)) from None


def open(options: Options) -> AudioSource:  # noqa: A001  # the name of a kind's entry
    """Start recording; raise ``SourceError`` (source_unavailable, source_busy)."""
    return AudioSource(options, PortAudioInput)


def require(_options: Options) -> None:
    """Raise ``SourceError`` if sounddevice or PortAudio is missing."""
    _sounddevice()


def _sounddevice() -> Any:
    try:
        import sounddevice  # noqa: PLC0415  # a table is checked without it
    except ModuleNotFoundError as error:
        text = f"a microphone needs PortAudio (sudo apt install libportaudio2) and {error.name}; {how_to_add('audio')}"
        raise SourceError("source_unavailable", text) from None
    except OSError as error:
        text = f"a microphone needs PortAudio ({error}): sudo apt install libportaudio2"
        raise SourceError("source_unavailable", text) from None
    return sounddevice


def _explain(device: str, error: Exception, names: list[str]) -> SourceError:
    number = error.args[1] if len(error.args) > 1 else None
    subject = f"sound device {device!r}" if device else "the default sound device"
    if number == _UNAVAILABLE or (len(error.args) > 2 and _BUSY_HOST in error.args[2]):  # noqa: PLR2004  # host's error
        return SourceError("source_busy", f"{subject} is in use by another program; stop it")
    to_do = f"set device to one of {', '.join(names)}" if names else "check cable and driver: this computer has none"
    return SourceError("source_unavailable", f"{subject} cannot be opened: {error.args[0]}; {to_do}")
