"""Runs the daemon's short children (the operator's hook, the inventory of runtimes) without waiting for them."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from edge_agent.daemon.events import ChildEnded
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits

_KEPT_LINES = 16
"""Of a child's output; a hook may print without end."""


def run_in_background(
    argv: Sequence[str],
    limits: ChildLimits,
    put: Callable[[ChildEnded], None],
    then: Callable[[ChildExit, str], None],
    *,
    stdin: bytes = b"",
) -> None:
    """Start ``argv``; when it has ended, ``put`` an event that has the consumer call ``then``."""

    def work() -> None:
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        try:
            ended = Child(argv, limits=limits, on_line=lines.append, stdin=stdin).wait()
        except OSError as error:
            ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error.strerror}", 0.0)
        except Exception as error:  # noqa: BLE001  # whoever waits for the end must get one
            ended = ChildExit(127, "exited", 0, f"{argv[0]}: {error!r}", 0.0)
        put(ChildEnded(then, ended, "\n".join(lines)))

    threading.Thread(target=work, name="child", daemon=True).start()
