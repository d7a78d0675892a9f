"""Untrusted words as label values, limited in number, as each value makes a time series. Pure.

The client library escapes label values. This module makes them short and printable and, where a closed list exists,
maps other words to one value.
"""

from collections.abc import Container

from edge_agent.errors import CODES
from edge_agent.jobs.job import Status
from edge_agent.jobs.task import Stage
from edge_agent.printable import printable
from host_tools.fleet.device_state import OTHER

MOST = 64
"""Characters of a label's value."""
STATUSES = frozenset(status.value for status in Status)
STAGES = frozenset(stage.value for stage in Stage)
VERDICTS = frozenset({"accepted", "rejected", "failed"})
METHODS = frozenset({"float", "dynamic", "uniform", "static", "float16"})


def short(text: str) -> str:
    """``text`` as a label value."""
    return printable(text, MOST)


def one_of(text: str, known: Container[str]) -> str:
    """``text`` if it is a known word or empty, otherwise ``other``."""
    return text if not text or text in known else OTHER


def code(text: str) -> str:
    """``text`` if it is a known code or empty, otherwise ``other``."""
    return one_of(text, CODES)
