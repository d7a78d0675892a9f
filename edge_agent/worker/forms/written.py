"""Finds out why a runtime could not write an optimised form, because its own error does not name a full disk."""

import errno
import resource
from pathlib import Path

from edge_agent.device.optimized_form import FORM_FILES

NOT_WRITTEN = "it could not be written; free space in state_dir"
_BLOCK_BYTES = 1 << 20


def too_large(most_bytes: int) -> str:
    """The reason for a form larger than ``most_bytes``."""
    return f"it would take more than {most_bytes >> 20} MiB on the disk"


def why_not_written(folder: Path, most_bytes: int) -> str:
    """Why a form in ``folder`` is incomplete; empty if the disk takes more, so that the reason lies elsewhere.

    The check spoils the partial form.
    """
    files = [path for name in FORM_FILES if (path := folder / name).exists()]
    try:
        if any(path.stat().st_size >= most_bytes for path in files):
            return too_large(most_bytes)
        for path in files:
            with path.open("ab") as file:
                file.write(bytes(_BLOCK_BYTES))
    except OSError as error:
        # The runtime may stop short of the limit of this process's files, so the size alone does not tell.
        own_limit = error.errno == errno.EFBIG and resource.getrlimit(resource.RLIMIT_FSIZE)[0] >= most_bytes
        return too_large(most_bytes) if own_limit else NOT_WRITTEN
    return ""
