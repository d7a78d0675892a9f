"""A few labels of a set. Their type helps to find the kind of the output."""

from itertools import islice
from typing import Any

from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.split import Split

_MOST = 64


def label_sample(data: DataSet) -> list[Any] | None:
    """Labels of the search set, else of the held-out set; None if neither has any."""
    return labels_of(data, "search") or labels_of(data, "heldout") or None


def labels_of(data: DataSet, split: Split) -> list[Any]:
    """Labels of the first rows of one set."""
    return [row.label for row in islice(data.rows(split), _MOST) if row.label is not None]
