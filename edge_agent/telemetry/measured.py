"""A release's measurements at the time of its verdict, read from the report in its folder."""

from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import StoreError
from edge_agent.foreign.decoding import decode
from edge_agent.foreign.opening import read_file
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.state.release import PASSING, REPORT_FILE, Release
from edge_agent.strict import UNDECODABLE


class Measured(msgspec.Struct, frozen=True):
    """The numbers of a verdict; an unknown value is null."""

    served: MeasuredModel
    """The model that the release contains."""
    reference: MeasuredModel
    """The float model that the served model was made from; for a float release, the same model."""
    read: bool = True
    """Whether the report could be read from the disk; if not, a later attempt may succeed."""


def read_measured(folder: Path, release: Release) -> Measured:
    """The numbers of the ``release`` in ``folder``; empty if its report is broken or missing.

    Raises:
        StoreError: ``state_unreadable``: the report cannot be read now.
    """
    read = True
    try:
        report = lenient(decode(read_file(folder, REPORT_FILE), dict[str, Any]), Result)
    except (OSError, *UNDECODABLE) as error:
        if isinstance(error, OSError) and error.errno in PASSING:
            raise StoreError("state_unreadable", f"{folder / REPORT_FILE}: {error.strerror}") from None
        read, report = isinstance(error, (FileNotFoundError, *UNDECODABLE)), Result()
    reference = _numbers(report.reference)
    return Measured(reference if release.method == "float" else _numbers(report.chosen), reference, read)


def _numbers(measured: MeasuredModel | None) -> MeasuredModel:
    """The numbers without lists and sentences, which nobody publishes and which would occupy memory."""
    return msgspec.structs.replace(measured or MeasuredModel(), float_layers=[], gates=[], message=None)
