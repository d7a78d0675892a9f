"""The histograms and ranges that calibration stored for every tensor, for the explanation of a result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.worker.artefacts import HISTOGRAMS_FILE, RANGES_FILE, read_histograms, read_ranges


@dataclass(frozen=True, slots=True)
class Evidence:
    """Tensor → histogram, and range method → tensor → range."""

    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, Range]] = field(default_factory=dict)


def read_evidence(folder: Path) -> Evidence:
    """Load the files of the calibrate stage from ``folder``; empty if the stage has not ended.

    Raises:
        StageError: ``stage_crashed``: the files are broken.
    """
    if not all((folder / name).exists() for name in (HISTOGRAMS_FILE, RANGES_FILE)):
        return Evidence()
    ranges = read_ranges(folder)
    return Evidence(read_histograms(folder / HISTOGRAMS_FILE), {method: ranges.of(method) for method in ranges.ranges})
