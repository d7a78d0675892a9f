"""Runs the daemon's short children: the operator's hook, the check of a signature, the inventory of runtimes."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits

_KEPT_LINES = 16
"""Of a child's output; a hook may print without end."""

E = TypeVar("E")


def run_child(argv: Sequence[str], limits: ChildLimits, *, stdin: bytes = b"") -> tuple[ChildExit, str]:
    """Run ``argv`` to its end, which one that cannot be started has, too; returns it with the last lines of output."""
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        ended = Child(argv, limits=limits, on_line=lines.append, stdin=stdin).wait()
    except OSError as error:
        ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error.strerror}", 0.0)
    except Exception as error:  # noqa: BLE001  # whoever waits for the end must get one
        ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error!r}", 0.0)
    return ended, "\n".join(lines)


def run_in_background(
    argv: Sequence[str],
    limits: ChildLimits,
    put: Callable[[E], None],
    event: Callable[[ChildExit, str], E],
    *,
    stdin: bytes = b"",
) -> None:
    """Start ``argv`` without waiting for it; when it has ended, ``put`` the ``event`` that is made of its end."""

    def work() -> None:
        put(event(*run_child(argv, limits, stdin=stdin)))

    threading.Thread(target=work, name="child", daemon=True).start()
