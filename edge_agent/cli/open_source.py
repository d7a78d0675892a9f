"""Tests whether a source can be opened: ``python -m edge_agent.cli.open_source``.

It runs in a process of its own, as a driver may hang or crash. It reads :class:`Asked` as JSON from standard input and
writes :class:`Answer` as the last line of standard output. :func:`try_to_open` is the caller.
"""

import subprocess
import sys
from typing import Any

import msgspec

from edge_agent.cli.owner import become
from edge_agent.cli.service_rights import ServiceRights
from edge_agent.errors import EdgeAgentError, SourceError
from edge_agent.process.program import python_child
from edge_agent.strict import UNDECODABLE

OPEN_TIMEOUT_S = 15.0


class Asked(msgspec.Struct, frozen=True):
    """A source by name and table, and the user to open it as, with the user's own group first; 0: this user."""

    name: str
    table: dict[str, Any]
    uid: int = 0
    groups: list[int] = []


class Answer(msgspec.Struct, frozen=True):
    """The reason why it cannot be opened; empty: it can."""

    code: str = ""
    message: str = ""


def try_to_open(name: str, table: dict[str, Any], service: ServiceRights | None = None) -> None:
    """Raise ``SourceError`` unless the source can be opened now, by this user or by the service's."""
    argv = python_child("edge_agent.cli.open_source")
    asked = msgspec.json.encode(
        Asked(name, table) if service is None else Asked(name, table, service.uid, list(service.groups))
    )
    try:
        done = subprocess.run(argv, input=asked, capture_output=True, timeout=OPEN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        text = f"its driver does not answer within {OPEN_TIMEOUT_S:g} s"
        raise SourceError("source_unavailable", text) from None
    except OSError as error:
        raise SourceError("source_unavailable", f"{argv[0]} cannot be started: {error.strerror}") from None
    try:
        answer = msgspec.json.decode(done.stdout.splitlines()[-1], type=Answer)
    except (IndexError, *UNDECODABLE):
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise SourceError("source_unavailable", f"its driver crashed: {said[0]}") from None
    if answer.code:
        raise SourceError(answer.code, answer.message)


def main() -> int:
    """Open the source that standard input names."""
    from edge_agent.sources import check_table, open_source  # noqa: PLC0415  # numpy, which the caller need not have

    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    answer = Answer()
    try:
        check_table(asked.name, asked.table)  # which imports the kind, while root may
        if asked.uid:
            become(asked.uid, asked.groups)
        open_source(asked.name, asked.table).close()
    except EdgeAgentError as error:
        answer = Answer(error.code, error.message)
    print(msgspec.json.encode(answer).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
