"""A state directory of a version before, in which workers wrote beside the daemon's own files.

What they have left moves to a folder of theirs, so that a job goes on where it was. It is done at each start, as a
power cut may have ended it, and a version before may have run once more.
"""

import logging
from pathlib import Path

from edge_agent.foreign.removal import remove_quietly

log = logging.getLogger(__name__)

BROKEN = ".broken"
"""What the name of a file ends in that was set aside."""
_OURS = frozenset({"job.json", "manifest.json", "report.json"})


def separate(jobs: Path, work: Path) -> None:
    """Move what is not the daemon's from ``jobs/<job>/`` to ``work/<job>/``.

    What a full disk keeps where it is, is moved at the next start: no daemon that does not start makes room.
    """
    for folder in jobs.iterdir():
        if folder.is_dir():
            try:
                _separate(folder, work / folder.name)
            except OSError as error:
                text = "cannot move what workers have left in %s: %s; free space in state_dir"
                log.error(text, folder, error.strerror)  # noqa: TRY400  # a trace adds nothing


def _separate(folder: Path, work: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith("."):  # a write that a power cut has ended
            remove_quietly(path)
        elif path.name not in _OURS and not path.name.endswith(BROKEN):
            work.mkdir(mode=0o700, exist_ok=True)
            remove_quietly(work / path.name)
            path.rename(work / path.name)
