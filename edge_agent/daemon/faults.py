"""Contains an error where it occurs, so that it ends neither the daemon nor another job."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.errors import EdgeAgentError

log = logging.getLogger(__name__)


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Log any error in ``what`` and continue after the block."""
    try:
        yield
    except EdgeAgentError as error:
        log.error("%s", error)  # noqa: TRY400  # an expected error: code and sentence are enough
    except Exception:
        log.exception("internal: %s", what)
