"""A preview of a reservoir: one window of each segment that a sensor's process has stored, in time order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.errors import ContractError
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.reservoir.snapshot import ReservoirSnapshot, Segment
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.capture.from_reservoir import keep_seconds
from edge_agent.worker.capture.preview import Preview
from edge_agent.worker.quality.channels import Quality

_GROUPS = 12


@dataclass(frozen=True, slots=True)
class KeptSummary:
    """A summary of a reservoir.

    Attributes:
        stretches: part → number of segments.
        regimes: number of regimes in the calibration part.
        first_s: time of the oldest sample, seconds since the epoch.
        last_s: time of the newest segment's first sample.
    """

    stretches: dict[str, int]
    regimes: int
    first_s: float
    last_s: float


def summarize(kept: ReservoirSnapshot) -> KeptSummary:
    """A summary of a reservoir; raises ``ContractError`` (input_missing) if the reservoir is empty."""
    if not kept.segments:
        raise ContractError("input_missing", "nothing is stored yet; samples are written once a minute, try again")
    return KeptSummary(
        stretches={part: len(kept.of(part)) for part in ("calibration", "judging")},
        regimes=len({segment.stratum for segment in kept.of("calibration")}),
        first_s=kept.segments[0].time_s,
        last_s=kept.segments[-1].time_s,
    )


def preview_segments(
    kept: ReservoirSnapshot,
    name: str,
    segments: Sequence[Segment],
    channels: Sequence[str],
    window: Window,
    rate_hz: float | None,
) -> Preview:
    """The first window of each of ``segments``; groups are the segments' blocks of time.

    Memory: the windows, and a twelfth of the segments.

    Args:
        kept: the reservoir of the segments.
        name: the source's name, for messages.
        segments: the segments in time order; those that were replaced meanwhile are left out.
        channels: the channels to take; empty: all.
        window: the window, for its size.
        rate_hz: samples per second of the windows; None: the source's rate.

    Raises:
        ContractError: ``channel_unknown``; ``shape_mismatch``: a segment is shorter than a window; ``input_missing``.
        RecipeError: ``recipe_unsupported`` if the source's rate cannot be converted to ``rate_hz``.
    """
    stored = kept.format
    for channel in channels:
        if channel not in stored.channels:
            hint = did_you_mean(channel, stored.channels)
            raise ContractError("channel_unknown", f"source {name!r} has no channel {channel!r}{hint}")
    resample = Resampler(rate_ratio(stored.rate_hz, rate_hz or stored.rate_hz))
    if (needed := resample.needed(window.size)) > stored.samples:
        text = f"a stored segment of {stored.samples} samples is shorter than a window, which takes {needed}"
        longer = keep_seconds(needed, stored.rate_hz)
        raise ContractError("shape_mismatch", f"{text}; set [sources.{name}] keep_seconds = {longer:g}")
    named = tuple(channels) or stored.channels
    picked = [stored.channels.index(channel) for channel in named]
    windows = np.empty((len(segments), window.size, *stored.frame_shape, len(named)), stored.dtype)
    blocks: list[int] = []
    quality = Quality(list(named), needed)
    early = []
    for group in np.array_split(np.arange(len(segments)), _GROUPS):
        seen: list[source_fit.Samples] = []
        for segment in (segments[index] for index in group):
            samples = kept.load(segment)
            if samples is None:
                continue
            windows[len(blocks)] = resample(samples[:needed, ..., picked])[: window.size]
            blocks.append(segment.block)
            seen.append(source_fit.levels(samples[..., picked]))
        if seen:
            early += quality.add(np.concatenate(seen))
    if not blocks:
        raise ContractError("input_missing", "nothing is stored yet; samples are written once a minute, try again")
    late = quality.findings()
    known = {finding.code for finding in late}
    return Preview(
        channels=named,
        windows=windows[: len(blocks)],
        hop=window.size,
        groups=np.array(blocks, np.int64),
        rate_hz=None,
        findings=[*({finding.code: finding for finding in early if finding.code not in known}.values()), *late],
        samples=len(blocks) * stored.samples,
    )
