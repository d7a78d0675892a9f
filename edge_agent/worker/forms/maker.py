"""Makes one optimised form in a process of its own, as a runtime may crash on a file.

    python -m edge_agent.worker.forms.maker FORMAT MODEL FOLDER RUNTIME THREADS SECONDS

Writes the form into FOLDER. Exit 0: done; 1: the runtime refuses, with the reason on standard error; 3: this format has
no form; 71: out of memory. SECONDS is the time limit. :mod:`.making` is the other side.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.backends import load
from edge_agent.device.optimized_form import most_form_bytes
from edge_agent.errors import EdgeAgentError
from edge_agent.process.program import EXIT_OUT_OF_MEMORY
from edge_agent.process.sandbox import confine, limit_files
from edge_agent.worker.forms.written import why_not_written

EXIT_REFUSED, EXIT_NO_FORM = 1, 3
_GRACE_S = 5.0
"""Then the kernel ends the process, because a confined parent is not allowed to."""


def main(arguments: Sequence[str]) -> int:
    """Make the form that ``arguments`` name; returns the exit code."""
    confine()
    model_format, model, folder, runtime, threads, seconds = arguments
    signal.setitimer(signal.ITIMER_REAL, float(seconds) + _GRACE_S)
    most_bytes = most_form_bytes(Path(model).stat().st_size)
    limit_files(most_bytes)
    try:
        form = load(model_format).optimize(Path(model), Path(folder), runtime=runtime, threads=int(threads))
    except EdgeAgentError as error:
        print(why_not_written(Path(folder), most_bytes) or error.message, file=sys.stderr)
        return EXIT_REFUSED
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    return EXIT_NO_FORM if form is None else 0


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    if "coverage" in sys.modules:  # it writes down what it has seen when the interpreter ends
        sys.exit(exit_code)
    os._exit(exit_code)
