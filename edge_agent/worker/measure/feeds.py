"""One row that every model of a measurement is fed with, on disk."""

import zipfile
from pathlib import Path

import numpy as np

from edge_agent.backends import Feeds


def write_feeds(path: Path, feeds: Feeds) -> None:
    """Keep one row for probes: an array of full shape (batch axis included) for each model input, as an ``.npz``."""
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez cannot hold an input that is called "file"
        for name, array in feeds.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, np.asanyarray(array), allow_pickle=False)


def read_feeds(path: str) -> Feeds:
    """What :func:`write_feeds` has kept."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
