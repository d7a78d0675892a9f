"""Runs work that the consumer must not wait for.

That is: short children (the operator's hook, the signature check, the inventory of runtimes), and long disk work, which
takes minutes on a slow card.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits

_KEPT_LINES = 16
"""Lines of a child's output; a hook may print without end."""

E = TypeVar("E")
T = TypeVar("T")


def run_child(argv: Sequence[str], limits: ChildLimits, *, stdin: bytes = b"") -> tuple[ChildExit, str]:
    """Run ``argv`` to its end and return that with the last lines of output; a failed start counts as an end, too."""
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        ended = Child(argv, limits=limits, on_line=lines.append, stdin=stdin).wait()
    except OSError as error:
        ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error.strerror}", 0.0)
    except Exception as error:  # noqa: BLE001  # the caller waits for an end and must get one
        ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error!r}", 0.0)
    return ended, "\n".join(lines)


def work_in_background(work: Callable[[], T], put: Callable[[E], None], event: Callable[[T], E]) -> None:
    """Do ``work``, which must not raise, on its own thread; then ``put`` the ``event`` made of its result.

    For reading, copying and syncing large files, which blocks no other thread. The work must not change anything that
    the consumer owns.
    """
    threading.Thread(target=lambda: put(event(work())), name="disk", daemon=True).start()


def run_in_background(
    argv: Sequence[str],
    limits: ChildLimits,
    put: Callable[[E], None],
    event: Callable[[ChildExit, str], E],
    *,
    stdin: bytes = b"",
) -> None:
    """Start ``argv`` without waiting for it; when it has ended, ``put`` the ``event`` made of its end."""

    def work() -> None:
        put(event(*run_child(argv, limits, stdin=stdin)))

    threading.Thread(target=work, name="child", daemon=True).start()
