"""The number of held-out windows that proves the agreement at the observed share of disagreements. Pure."""

import math

from edge_agent.jobs.data_summary import EnoughWindows
from edge_agent.quant.bounds import windows_enough


def enough_heldout(
    windows: int, disagreements: int, *, effective: float, limit: float, confidence: float, arrays: bool
) -> EnoughWindows:
    """The number of windows, and the setting that provides them.

    Args:
        windows: the number of judged windows.
        disagreements: the number of windows that disagree.
        effective: the number of independent windows that they count as.
        limit: the agreement to prove; 0: none.
        confidence: of the proof.
        arrays: whether the windows are rows of an operator's file.
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
