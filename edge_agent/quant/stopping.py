"""Whether a pass over the search set may end early: a count is beyond what the whole set is allowed. Pure.

Only counts of windows end a pass (those that disagree; those that labels call lost), as they only grow. Means and
shares of classes or boxes may still mend, so they are judged by whole passes alone. The rule is exact: what is left of
the set is taken to be right throughout, and a pass ends only where that would not pass either.

What a part shows has to serve honest selection, too (:mod:`.prospect`), which weighs a lucky candidate by all others.
It takes counts by their likelihood, and that of a part is the same whether the pass ended because of its count or by
chance (Berger & Wolpert 1988, "The likelihood principle"): the truncation needs no correction. But a part tells less,
so a pass goes on to :data:`TELLING` disagreements in any case. Over simulated searches (six candidates that truly
disagree in 3 to 50 %, one that passes, 150 windows) the chance of the latter then moves by 0.01 on average, in no
direction; with passes that end at the fourth by 0.04, and in one search of six across the line that decides.

All passes see the windows in one order, so the share of a part ranks candidates as the windows do that both have seen:
whoever came to the same count later had fewer by the place where the other ended.
"""

import math
from dataclasses import replace

from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_search
from edge_agent.quant.judgement import Judgement
from edge_agent.wire.manifest import Gates, OutputKind

TELLING = 8
"""Disagreements that tell the share to about a third of itself."""
_WHOLE_SAYS_MORE = ("", "output_kind_needed")


def goes_on(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> bool:
    """Whether the rest of a pass is of use.

    Args:
        gates: the manifest's.
        kind: of the judged output.
        seen: what the windows so far showed.
        windows: of the whole set.
        labels_follow: as of :func:`.gates.evaluate_search`.
    """
    if max(seen.disagreements or 0, seen.lost or 0) < TELLING:
        return True
    best = _counted(seen, windows, won=None if seen.won is None else seen.won + windows - seen.windows)
    fitting = replace(best, float_right=None, commonest_label=None, worse_than_constant="")
    unfit = replace(best, worse_than_constant="labels of something else")
    whether_labels_fit = (fitting,) if seen.lost is None else (fitting, unfit)  # is known at the end
    return any(
        evaluate_search(gates, kind, one, labels_follow=labels_follow).code in _WHOLE_SAYS_MORE
        for one in whether_labels_fit
    )


def stopped(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> Judgement:
    """The judgement on a pass that ended early: by its counts alone, beside size and speed.

    Arguments as of :func:`goes_on`, which has said no.
    """
    partial = _counted(seen, seen.windows, won=seen.won)
    partial = replace(partial, size_ratio=seen.size_ratio, latency_ratio=seen.latency_ratio)
    judgement = evaluate_search(gates, kind, partial, labels_follow=labels_follow)
    gate = next(one for one in judgement.gates if not one.passed)
    limit = gate.limit or 0.0
    if gate.name == "min_agreement":
        allowed = math.floor((1.0 - limit) * windows + 1e-9)
        what = f"{seen.disagreements} disagree, {allowed} may"
    else:
        allowed = math.floor(limit * windows + 1e-9)
        what = f"int8 loses {seen.lost} that float has right and wins {seen.won}, {allowed} more may be lost than won"
    message = f"stopped after {seen.windows} of {windows} search windows: {what}"
    return Judgement(judgement.gates, judgement.code, message, judgement.warnings)


def _counted(seen: Measured, windows: int, *, won: int | None) -> Measured:
    """``seen`` as it would be if its counts were of so many windows: nothing but counts."""
    return Measured(
        windows=windows,
        windows_effective=windows,
        disagreements=seen.disagreements,
        argmax_disagreements=seen.argmax_disagreements,
        lost=seen.lost,
        won=won,
        float_right=seen.float_right,
        commonest_label=seen.commonest_label,
        worse_than_constant=seen.worse_than_constant,
    )
