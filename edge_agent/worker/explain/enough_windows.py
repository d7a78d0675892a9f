"""How many held-out windows it takes to prove the agreement, at the share of disagreements that was seen. Pure."""

import math

from edge_agent.jobs.data_summary import EnoughWindows
from edge_agent.quant.bounds import windows_enough


def enough_heldout(
    windows: int, disagreements: int, *, effective: float, limit: float, confidence: float, arrays: bool
) -> EnoughWindows:
    """The number, and what to set for it.

    Args:
        windows: that were judged.
        disagreements: of these.
        effective: how many independent windows they count as.
        limit: the agreement to prove; 0: none.
        confidence: of the proof.
        arrays: the windows are rows of an operator's file.
    """
    independent = windows_enough(disagreements, windows, limit, confidence) if 0 < limit < 1 else None
    enough = None if independent is None else math.ceil(independent * windows / effective)
    return EnoughWindows(windows=windows, enough=enough, message=_sentence(windows, enough, limit, arrays=arrays))


def _sentence(windows: int, enough: int | None, limit: float, *, arrays: bool) -> str:
    if not 0 < limit < 1:
        return f"{windows} windows were judged; no agreement was to be proved"
    if enough is None:
        return f"int8 disagrees so often that no number of windows proves an agreement of {limit:g}"
    sentence = f"{enough} such windows prove an agreement of {limit:g}; {windows} were judged"
    if enough <= windows:
        return sentence
    return f"{sentence}; " + ("give more rows (--heldout)" if arrays else f"set [recipe] heldout_windows = {enough}")
