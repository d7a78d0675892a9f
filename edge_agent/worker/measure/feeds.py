"""The row on disk that is the input of every model in a measurement."""

import zipfile
from pathlib import Path

import numpy as np

from edge_agent.backends import Feeds


def write_feeds(path: Path, feeds: Feeds) -> None:
    """Store one row for probes: an ``.npz`` with one array of full shape (batch axis included) per model input."""
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez cannot store an input named "file"
        for name, array in feeds.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, np.asanyarray(array), allow_pickle=False)


def read_feeds(path: str) -> Feeds:
    """Load the row that :func:`write_feeds` stored."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
