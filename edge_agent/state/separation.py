"""Migration of an older state directory, in which workers wrote beside the daemon's own files.

The workers' files move to a folder of their own, so that a job resumes at its stage. The migration runs at each start,
because a power cut may have interrupted it, or the older version may have run again.
"""

import logging
from pathlib import Path

from edge_agent.foreign.removal import remove_quietly

log = logging.getLogger(__name__)

BROKEN = ".broken"
"""Suffix of a state file that was set aside."""
_OURS = frozenset({"job.json", "manifest.json", "report.json"})


def separate(jobs: Path, work: Path) -> None:
    """Move the workers' files from ``jobs/<job>/`` to ``work/<job>/``.

    A failed move is logged and retried at the next start: the daemon must start to be able to free space.
    """
    for folder in jobs.iterdir():
        if folder.is_dir():
            try:
                _separate(folder, work / folder.name)
            except OSError as error:
                text = "cannot move the workers' files in %s: %s; free space in state_dir"
                log.error(text, folder, error.strerror)  # noqa: TRY400  # a trace adds nothing


def _separate(folder: Path, work: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith("."):  # a write that a power cut interrupted
            remove_quietly(path)
        elif path.name not in _OURS and not path.name.endswith(BROKEN):
            work.mkdir(mode=0o700, exist_ok=True)
            remove_quietly(work / path.name)
            path.rename(work / path.name)
