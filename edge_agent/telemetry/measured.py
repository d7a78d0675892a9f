"""What a release was measured with when it was judged, as the result object in its folder says."""

from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import StoreError
from edge_agent.foreign.decoding import decode
from edge_agent.foreign.opening import read_file
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.state.releases import PASSING, REPORT_FILE, Release
from edge_agent.strict import UNDECODABLE


class Measured(msgspec.Struct, frozen=True):
    """The numbers of a verdict; what is not known is null."""

    served: MeasuredModel
    """The model that the release holds."""
    reference: MeasuredModel
    """The float model that it was made from, or is."""
    read: bool = True
    """Whether the disk gave the report; if not, it may the next time."""


def read_measured(folder: Path, release: Release) -> Measured:
    """The numbers of ``release``, which lies in ``folder``; a report that is broken, or not there, tells none.

    Raises:
        StoreError: ``state_unreadable``: it cannot be read now.
    """
    read = True
    try:
        said = lenient(decode(read_file(folder, REPORT_FILE), dict[str, Any]), Result)
    except (OSError, *UNDECODABLE) as error:
        if isinstance(error, OSError) and error.errno in PASSING:
            raise StoreError("state_unreadable", f"{folder / REPORT_FILE}: {error.strerror}") from None
        read, said = isinstance(error, (FileNotFoundError, *UNDECODABLE)), Result()
    reference = _numbers(said.reference)
    return Measured(reference if release.method == "float" else _numbers(said.chosen), reference, read)


def _numbers(measured: MeasuredModel | None) -> MeasuredModel:
    """Without lists and sentences, as they are kept in memory and said by nobody."""
    return msgspec.structs.replace(measured or MeasuredModel(), float_layers=[], gates=[], message=None)
