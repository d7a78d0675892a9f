"""The end of a host command: one sentence on stderr and one of the exit codes in ``docs/push.md``."""

import logging
import sys
import traceback

import typer

from edge_agent.advice.remedy import remedy_for
from edge_agent.errors import BrokerError, EdgeAgentError, TrustError
from edge_agent.printable import printable, printable_lines

INTERNAL, USAGE, UNREACHABLE, FAILED, UNTRUSTED, TIMED_OUT = 1, 2, 3, 5, 6, 7
INTERRUPTED = 130
"""The exit code that a shell reports for Ctrl-C."""


def exit_of(error: EdgeAgentError) -> int:
    """The exit code of a command that ends with ``error`` before it reaches a device."""
    match error:
        case BrokerError() if error.code != "broker_full":
            return UNREACHABLE
        case TrustError():
            return UNTRUSTED
    if error.code == "database_unreachable":
        return UNREACHABLE
    return INTERNAL if error.code == "internal" else USAGE


def run(app: typer.Typer) -> int:
    """Run a command line and return its exit code; only a bug prints a traceback."""
    logging.getLogger("edge_agent").addHandler(logging.NullHandler())  # commands print their own messages
    try:
        app()
    except EdgeAgentError as error:
        print(printable_lines(f"error: {error.code}: {error.message}"), file=sys.stderr)
        if to_do := remedy_for(error.code, error.message):
            print(f"  to do: {printable(to_do)}", file=sys.stderr)
        return exit_of(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001  # the last line of defence, so that a bug has its own exit code
        traceback.print_exc()
        print("error: internal: a bug in edge-agent; report it with the lines above", file=sys.stderr)
        return INTERNAL
    return 0
