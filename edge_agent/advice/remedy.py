"""The remedy for an outcome or a finding: that of its code, unless its message already contains advice. Pure.

A code describes a kind of fault, a message describes the fault itself: "check the sensor and its wiring" is wrong
beside "3 rows of labels hold NaN; remove them". Messages give advice as a clause that begins with the verb.
"""

import re

from edge_agent.errors import CODES

_VERBS = (
    "add", "ask", "begin", "calibrate", "capture", "check", "choose", "convert", "copy", "correct", "declare", "export",
    "free", "give", "install", "keep", "leave", "let", "lower", "make", "move", "name", "push", "put", "raise",
    "recalibrate", "record", "remove", "report", "restart", "roll", "run", "save", "see", "send", "serve", "set",
    "shrink", "sign", "start", "stop", "sudo", "try", "unpack", "update", "upgrade", "use", "wait", "write",
)  # fmt: skip
_ADVICE = re.compile(rf"[;:] (?=(?:{'|'.join(_VERBS)}) )")
_MEANT = "; did you mean '"
_SEE_MESSAGE = "see the message"


def split_advice(message: str) -> tuple[str, str]:
    """Split a message into the fault and the advice; the advice is empty if there is none."""
    parts = _ADVICE.split(message, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def remedy_for(code: str, message: str) -> str:
    """Return the remedy to add to ``message``; empty if it has its own, or if a newer version made the code."""
    known = CODES[code].remedy if code in CODES else ""
    return "" if known == _SEE_MESSAGE or _MEANT in message or split_advice(message)[1] else known
