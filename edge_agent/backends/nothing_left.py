"""The error for a candidate that would leave every layer float. Pure."""

from collections.abc import Iterable, Sequence

from edge_agent.backends import CandidateSpec
from edge_agent.errors import ModelError

_NAMED = 3
"""Layers named for each reason."""


def nothing_left(spec: CandidateSpec, weighted: Iterable[tuple[str, str]]) -> ModelError:
    """Return the error (``rewrite_invalid``) to raise.

    Args:
        spec: the candidate.
        weighted: operator and name of every layer with weights, whether the method supports it or not.
    """
    reasons: dict[str, list[str]] = {}
    for operator, name in weighted:
        if name in spec.float_layers:
            reason = "left float in this candidate"
        elif spec.operators and operator not in spec.operators:
            reason = "not among this candidate's operators"
        else:
            reason = f"no {spec.method} int8 form on this device"
        reasons.setdefault(reason, []).append(f"{operator} {name!r}")
    details = "; ".join(f"{listed(names)}: {reason}" for reason, names in reasons.items())
    return ModelError("rewrite_invalid", f"no layer would be int8 ({details or 'no layer has weights'})")


def listed(names: Sequence[str]) -> str:
    """The first few names, and the number of the others."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
