"""Decides whether a pass over the search set may end early, as its count exceeds what the whole set permits. Pure.

Only counts of windows end a pass (disagreements, or losses by labels), as they only grow. Means and shares of classes
or boxes may still improve, so only whole passes are judged by them. The rule is exact: the rest of the set is assumed
to be right throughout, and a pass ends only if it would fail even then.

The result of a partial pass must also serve honest selection (:mod:`.prospect`), which weighs a lucky candidate by all
others. Selection uses the likelihood of counts, which for a partial pass is the same whether it ended because of its
count or by chance (Berger & Wolpert 1988, "The likelihood principle"), so it needs no correction. But a partial pass
says less, so every pass continues to :data:`TELLING` disagreements. Over simulated searches (six candidates that truly
disagree in 3 to 50 %, one that passes, 150 windows) the chance of the latter then changes by 0.01 on average, in no
direction. With passes that end at the fourth disagreement it changes by 0.04, and in one search of six across the
limit.

All passes see the windows in one order, so the shares of partial passes rank candidates like the windows that both have
seen: a candidate that reached the same count later had fewer disagreements where the other one ended.
"""

import math
from dataclasses import replace

from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_search
from edge_agent.quant.judgement import Judgement
from edge_agent.wire.manifest import Gates, OutputKind

TELLING = 8
"""Disagreements that determine the share to about a third of itself."""
_WHOLE_SAYS_MORE = ("", "output_kind_needed")


def goes_on(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> bool:
    """Whether the rest of a pass is useful.

    Args:
        gates: the manifest's gates.
        kind: kind of the judged output.
        seen: measurements on the windows so far.
        windows: size of the whole set.
        labels_follow: as for :func:`.gates.evaluate_search`.
    """
    if max(seen.disagreements or 0, seen.lost or 0) < TELLING:
        return True
    best = _counted(seen, windows, won=None if seen.won is None else seen.won + windows - seen.windows)
    fitting = replace(best, float_right=None, commonest_label=None, worse_than_constant="")
    unfit = replace(best, worse_than_constant="labels of something else")
    whether_labels_fit = (fitting,) if seen.lost is None else (fitting, unfit)  # known only at the end
    return any(
        evaluate_search(gates, kind, one, labels_follow=labels_follow).code in _WHOLE_SAYS_MORE
        for one in whether_labels_fit
    )


def stopped(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> Judgement:
    """The judgement on a pass that ended early: by its counts, size and speed.

    The arguments are those of :func:`goes_on`, which must have returned False.
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
    """``seen`` with its counts alone, for this number of windows."""
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
