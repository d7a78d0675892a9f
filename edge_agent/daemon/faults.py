"""Keeps a fault where it happened: it ends neither the daemon nor the job of somebody else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.errors import EdgeAgentError

log = logging.getLogger(__name__)


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Log whatever goes wrong in ``what``, and go on after it: what is active stays active."""
    try:
        yield
    except EdgeAgentError as error:
        log.error("%s", error)  # noqa: TRY400  # an expected end: code and sentence tell it all
    except Exception:
        log.exception("internal: %s", what)
