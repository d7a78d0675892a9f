"""Steps for sound, with librosa's names; ``sr`` is the contract's ``rate_hz``. Pure.

    { op = "log_mel", n_fft = 512, win_length = 400, hop_length = 160, n_mels = 40 }
    { op = "mfcc", n_fft = 512, hop_length = 160, n_mels = 40, n_mfcc = 13 }

A window of one channel, ``[samples, 1]`` or ``[samples]``, becomes ``[frames, n_mels]`` or ``[frames, n_mfcc]``. Time
comes first; librosa puts it last (``transpose`` swaps the axes). The defaults are librosa's. Options for other
training libraries:

    torchaudio   pad_mode = "reflect", mel_scale = "htk", norm = "none", top_db = 0 (80 in its MFCC)
    tf.signal    center = false, frame = "win_length", mel_scale = "htk", triangles = "mel", norm = "none",
                 power = 1 for magnitudes, log = "ln", offset = 1e-6, the smallest amin; dct = "tf"
"""

from typing import Annotated, Literal, Self

import msgspec

from edge_agent.strict import counted
from edge_agent.wire.steps.step import NotNegative, Positive, Shape, Step

Length = Annotated[int, msgspec.Meta(ge=1, le=65536)]
Bands = Annotated[int, msgspec.Meta(ge=1, le=1024)]
_COLUMN_AXES = 2


class LogMel(Step, frozen=True, kw_only=True):
    """The logarithm of a mel spectrogram."""

    sr: Positive | None = None
    """Samples per second; defaults to the contract's ``rate_hz``."""
    n_fft: Length = 2048
    win_length: Length | None = None
    """None: n_fft. A shorter window is centred in a frame of n_fft samples."""
    hop_length: Length | None = None
    """None: a quarter of win_length."""
    window: Literal["hann", "hamming", "ones"] = "hann"
    """The window function, in its periodic form."""
    center: bool = True
    """Whether n_fft / 2 samples are added at both ends, so that the centre of frame t is t * hop_length."""
    pad_mode: Literal["constant", "reflect"] = "constant"
    frame: Literal["n_fft", "win_length"] = "n_fft"
    """Length of a frame without center: n_fft samples, or win_length samples and then zeros up to n_fft."""
    power: Positive = 2.0
    n_mels: Bands = 128
    fmin: NotNegative = 0.0
    fmax: Positive | None = None
    """None: sr / 2."""
    mel_scale: Literal["slaney", "htk"] = "slaney"
    triangles: Literal["hz", "mel"] = "hz"
    """The scale on which the filters are triangles: frequency or mel."""
    norm: Literal["slaney", "none"] = "slaney"
    log: Literal["db", "ln", "log10"] = "db"
    """db: 20 / power * log10."""
    amin: Positive = 1e-10
    """Lower bound of a value."""
    offset: NotNegative = 0.0
    """Added before the logarithm."""
    top_db: NotNegative = 80.0
    """log = "db": lower bound of a value, in dB below the window's peak; 0: no bound."""

    def __post_init__(self) -> None:
        if self.window_samples > self.n_fft:
            raise ValueError(f"win_length = {self.win_length} is longer than n_fft = {self.n_fft}")
        if self.frame == "win_length" and self.center:
            raise ValueError('frame = "win_length" goes with center = false')
        if self.sr is not None and not self.fmin < (self.fmax or self.sr / 2) <= self.sr / 2:
            text = f"fmin = {self.fmin:g} and fmax = {self.fmax or self.sr / 2:g}"
            raise ValueError(f"{text} are not 0 <= fmin < fmax <= {self.sr / 2:g}, half of rate_hz")

    @property
    def window_samples(self) -> int:
        """Samples under the window."""
        return self.win_length or self.n_fft

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.hop_length or max(1, self.window_samples // 4)

    @property
    def frame_samples(self) -> int:
        """Samples per frame."""
        return self.n_fft if self.frame == "n_fft" else self.window_samples

    def at_rate(self, rate_hz: float | None) -> Self:
        """Return a copy with its ``sr``; raise ``ValueError`` if the contract has another rate, or none."""
        if rate_hz is None:
            setting = "rate_hz" if self.sr is None else f"rate_hz = {self.sr:g}"
            raise ValueError(f"the pitch of a sample depends on the rate; set {setting} in [input]")
        if self.sr not in (None, rate_hz):
            raise ValueError(f"sr = {self.sr:g} contradicts rate_hz = {rate_hz:g} of [input]; leave sr out")
        return msgspec.structs.replace(self, sr=rate_hz)

    def shape(self, given: Shape) -> Shape:
        """Return ``[frames, n_mels]``; raise ``ValueError`` for several channels, or if not one frame fits."""
        if not given or len(given) > _COLUMN_AXES or given[1:] not in ((), (1,)):
            raise ValueError("a sound is [samples, 1] or [samples]; name one of the source's channels")
        samples, pad = given[0], self.n_fft // 2 if self.center else 0
        if self.center and self.pad_mode == "reflect" and samples <= pad:
            raise ValueError(
                f'{counted(samples, "sample")} of sound: too few for pad_mode = "reflect" with n_fft = {self.n_fft}'
            )
        frames = 1 + (samples + 2 * pad - self.frame_samples) // self.hop
        if frames < 1:
            raise ValueError(f"a frame takes {self.frame_samples} samples; lengthen the window or shorten the frame")
        return frames, self.n_mels


class Mfcc(LogMel, frozen=True, kw_only=True):
    """Mel cepstrum: the first coefficients of the DCT-II of a logarithmic mel spectrogram."""

    n_mfcc: Bands = 20
    dct: Literal["ortho", "tf"] = "ortho"
    """tf: the first coefficient is larger by the square root of 2."""
    lifter: NotNegative = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc = {self.n_mfcc} is more than n_mels = {self.n_mels}")

    def shape(self, given: Shape) -> Shape:
        """Return ``[frames, n_mfcc]``; raise ``ValueError`` as ``log_mel`` does."""
        return super().shape(given)[0], self.n_mfcc
