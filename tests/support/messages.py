"""What every message must be, whoever says it: one printable line, not too long, in words, with something to do.

:func:`watched` looks at each that the project's own code makes while a test runs, so every test that provokes one for
its own reasons holds its words, too. What a process of its own says is not seen.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge_agent.acquisition.stream_findings import StreamFinding
from edge_agent.advice.remedy import remedy_for, split_advice
from edge_agent.errors import CODES, EdgeAgentError
from edge_agent.quant.findings import GateFinding
from edge_agent.worker.data.finding import Finding

MOST = 600
_ENDS = ("rejected", "failed", "error")
_WANTED = re.compile(
    r"did you mean|known: |\bmust\b|\bneeds?\b|\b(?:is|are) missing|is empty|[Nn]o such file|at most|or more|; not both"
    r"|one of these|cannot (?:read|make|write)|is no (?:TOML|folder)|is not |exists|\bgive |\bsay |together|\bhas no "
    r"|unknown|it is for|no report|no device|is no directory|is not empty|is there and differs"
)
"""A mistake in what an operator has written: that something is wrong there says what to do."""
_LIBRARIES = re.compile(r"Traceback|<class|object at 0x|\[Errno|\bRange\(|\bPosixPath\(|\bdtype\('")
_OF_BUGS = ("stage_crashed", "internal")
"""Of these the end of a traceback is all that is known."""
_ONE = re.compile(
    r"(?<![\w.,:/-])1 (?:windows|rows|candidates|lines|samples|messages|channels|layers|files|columns|numbers|values"
    r"|fields|decimals|recordings|frames|stretches|devices|keys|signatures)\b"
)


def faults(code: str, message: str) -> list[str]:
    """What is wrong with a message of ``code``."""
    found = []
    if not message.isprintable():
        found.append("is not one printable line")
    if len(message) > MOST:
        found.append(f"has {len(message)} characters")
    if code not in _OF_BUGS and (foreign := _LIBRARIES.search(message)):
        found.append(f"holds a library's {foreign[0]!r}")
    if several := _ONE.search(message):
        found.append(f"says {several[0]!r}")
    if message != message.strip() or "; ;" in message or ";;" in message:
        found.append("has blanks or marks too many")
    said = split_advice(message)[1] or remedy_for(code, message) or "did you mean" in message
    said = said or (code == "usage" and _WANTED.search(message))
    if CODES[code].status in _ENDS and not said:
        found.append("says nothing to do")
    return found


@contextmanager
def watched() -> Iterator[dict[tuple[str, str], list[str]]]:
    """Gives what is wrong with the messages that are made meanwhile, by code and message."""
    found: dict[tuple[str, str], list[str]] = {}

    def look(code: str, message: str) -> None:
        if (code, message) not in found and _is_ours() and (wrong := faults(code, message)):
            found[code, message] = wrong

    with pytest.MonkeyPatch.context() as patch:
        _look_at(patch, EdgeAgentError, "__init__", lambda made, *_: look(made.code, made.message))
        _look_at(patch, Finding, "__post_init__", lambda made: look(made.code, made.message))
        _look_at(patch, GateFinding, "__init__", lambda made, *_: made.gate.passed or look(made.code, made.message))
        _look_at_made(patch, StreamFinding, lambda made: look(made.code, made.message))
        yield found


def _look_at(patch: pytest.MonkeyPatch, kind: type, method: str, then: Callable[..., object]) -> None:
    plain: Callable[..., None] = getattr(kind, method)

    def watching(made: Any, *given: Any, **named: Any) -> None:
        plain(made, *given, **named)
        then(made, *given)

    patch.setattr(kind, method, watching)


def _look_at_made(patch: pytest.MonkeyPatch, kind: type, then: Callable[..., object]) -> None:
    """The same for a tuple, which is made by ``__new__``."""
    plain: Callable[..., Any] = kind.__new__

    def watching(*given: Any, **named: Any) -> Any:
        made = plain(*given, **named)
        then(made)
        return made

    patch.setattr(kind, "__new__", watching)


def _is_ours() -> bool:
    """Whether code of the project makes the message, and not a test that needs some."""
    frame = sys._getframe(2)  # the only way to know who calls
    while frame.f_code.co_name in ("watching", "<lambda>", "look", "__init__") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("edge_agent", "host_tools")
