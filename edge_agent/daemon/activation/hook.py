"""The operator's hook: a program that is notified of the active release, and may reject a new one.

The hook's command comes from this device's own configuration, never from a message. The release's folder is appended
to the command. The hook may run more than once on one release.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edge_agent.daemon.background import run_child, run_in_background
from edge_agent.daemon.events import ChildEnded, StepEnded
from edge_agent.execution.run import StageEnd
from edge_agent.process.child_exit import ChildExit, last_words
from edge_agent.process.child_limits import ChildLimits

log = logging.getLogger(__name__)

HOOK_TIMEOUT_S = 60.0
_LIMITS = ChildLimits(timeout_s=HOOK_TIMEOUT_S)


class Hook:
    """Runs the hook in the background; its end arrives through the inbox. ``configured`` False: there is no hook."""

    def __init__(self, command: Sequence[str], put: Callable[[StepEnded | ChildEnded], None]) -> None:
        self.configured = bool(command)
        self._command = command
        self._put = put

    def judge(self, job_id: str, release: Path) -> None:
        """Let the hook judge the release of a job that is being activated; a :class:`StepEnded` carries its answer."""

        def event(ended: ChildExit, output: str) -> StepEnded:
            problem = hook_problem(ended, output)
            return StepEnded(job_id, StageEnd("", problem, "failed" if problem else "ok", 0.0))

        run_in_background([*self._command, str(release)], _LIMITS, self._put, event)

    def tell(self, release: Path, then: Callable[[str], None] | None = None) -> None:
        """Notify the hook of a release that is active again; ``then`` gets "" or a description of the failure.

        The hook cannot reject this release. Without a hook, ``then`` is called at once.
        """
        then = then or partial(_log_problem, release)
        if not self.configured:
            then("")
            return
        answer = partial(ChildEnded, lambda ended, output: then(hook_problem(ended, output)))
        run_in_background([*self._command, str(release)], _LIMITS, self._put, answer)


def run_hook(command: Sequence[str], release: Path) -> str:
    """Run the hook on a release and wait for it; returns "" or a description of the failure."""
    return hook_problem(*run_child([*command, str(release)], _LIMITS))


def hook_problem(ended: ChildExit, output: str) -> str:
    """Why a hook that has ended failed or rejected the release; empty if it agreed."""
    if ended.reason == "exited" and ended.returncode == 0:
        return ""
    if ended.reason == "timeout":
        return f"the hook took more than {HOOK_TIMEOUT_S:.0f} s"
    return f"the hook ended with {ended.returncode}: {last_words(ended.stderr_tail) or output.strip()[-200:]}"


def _log_problem(release: Path, problem: str) -> None:
    if problem:
        log.error("hook on %s: %s", release.name, problem)
