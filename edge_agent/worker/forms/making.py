"""Makes an optimised form in another process (:mod:`.maker`). Every failure there means only that there is no form."""

import signal
from pathlib import Path
from typing import NamedTuple

from edge_agent.device.optimized_form import OPTIMIZED_FILE
from edge_agent.process.child import Child
from edge_agent.process.child_exit import last_words
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.heap import give_back
from edge_agent.process.program import python_child
from edge_agent.worker.forms.maker import EXIT_NO_FORM, EXIT_REFUSED
from edge_agent.worker.measure.question import Served


class Made(NamedTuple):
    """The outcome of an attempt.

    Attributes:
        form: the file to open; None: there is none.
        problem: why there is none; empty where models of this format have none.
        late: whether the attempt timed out.
    """

    form: Path | None
    problem: str = ""
    late: bool = False


def make_form(model_format: str, served: Served, folder: Path, timeout_s: float) -> Made:
    """Make the form of a model file in ``folder``, which must be there, for the runtime that serves it.

    Raises:
        OSError: the process cannot be started.
    """
    arguments = (model_format, served.path, str(folder), served.runtime, str(served.threads), str(timeout_s))
    give_back()  # both processes share a limit
    ended = Child(
        python_child("edge_agent.worker.forms.maker", *arguments),
        limits=ChildLimits(timeout_s=timeout_s),  # memory: what limits this process limits its children
        own_group=False,
    ).wait()
    form = folder / OPTIMIZED_FILE
    if ended.reason == "exited" and ended.returncode == 0 and form.is_file():
        return Made(form)
    if ended.reason == "exited" and ended.returncode == EXIT_NO_FORM:
        return Made(None)
    if ended.reason == "timeout" or ended.signal == signal.SIGALRM:
        return Made(None, f"it took longer than {timeout_s:.0f} s", late=True)
    if ended.reason == "out_of_memory":
        return Made(None, "it needs more memory than the stage may have")
    refused = ended.reason == "exited" and ended.returncode == EXIT_REFUSED
    return Made(None, last_words(ended.stderr_tail) if refused else f"the process {ended.describe()}")
