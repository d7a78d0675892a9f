"""A few labels of a set, only to see of what type they are: that says what the output means."""

from itertools import islice
from typing import Any

from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.split import Split

_MOST = 64


def label_sample(data: DataSet) -> list[Any] | None:
    """Of the search set, else of the held-out set; None: neither has any."""
    return labels_of(data, "search") or labels_of(data, "heldout") or None


def labels_of(data: DataSet, split: Split) -> list[Any]:
    """Of the first rows of one set."""
    return [row.label for row in islice(data.rows(split), _MOST) if row.label is not None]
