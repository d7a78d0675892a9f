"""Copies the float model and the labelled set of a job out of the blob store, and verifies them by their hashes.

Each stage starts with this, before it gives up its rights and before it opens anything as a model. A copy that still
matches its hash is kept, so a job copies once. A bit that flipped on the card, or a file that an earlier stage changed,
is found before a verdict rests on it. A hard link would save the copy, but then a process that opens the model could
write to the store.
"""

import errno
import os
from pathlib import Path

from edge_agent.errors import TransferError
from edge_agent.foreign.copying import copy_file, hash_file
from edge_agent.foreign.opening import open_file
from edge_agent.foreign.removal import remove
from edge_agent.jobs.task import StoredBlob, Task

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TO_DO = "check the SD card, and push the model again with a higher version"


def take_blobs(job_dir: Path, task: Task) -> None:
    """Place each file that ``task.blobs`` names in ``job_dir``, exactly as it was pushed.

    Raises:
        TransferError: ``hash_mismatch``: a stored file no longer matches its hash, or cannot be read.
        OSError: the disk is full.
    """
    for name, blob in task.blobs.items():
        if not _is_here(job_dir, name, blob):
            _take(job_dir / name, blob, "model" if name == task.model else "labelled set")


def _is_here(job_dir: Path, name: str, blob: StoredBlob) -> bool:
    try:
        descriptor = open_file(job_dir, name)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        own = found.st_nlink == 1  # an earlier version linked to the blob itself
        return own and found.st_size == blob.size and hash_file(descriptor).sha256 == blob.sha256
    except OSError:  # part of the disk is unreadable
        return False
    finally:
        os.close(descriptor)


def _take(path: Path, blob: StoredBlob, what: str) -> None:
    store = Path(blob.path)
    try:
        remove(path)
        descriptor = open_file(store.parent, store.name)
        try:
            copied = copy_file(descriptor, path, most_bytes=blob.size)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _FULL:
            raise
        text = f"the stored {what} cannot be copied from {store}: {error.strerror}; {_TO_DO}"
        raise TransferError("hash_mismatch", text) from None
    if copied.sha256 != blob.sha256:
        path.unlink()
        raise TransferError("hash_mismatch", f"the stored {what} {store} no longer matches its hash; {_TO_DO}")
