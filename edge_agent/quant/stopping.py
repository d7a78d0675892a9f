"""Whether a pass over the search set may end early: a count is beyond what the whole set is allowed. Pure.

Only counts of windows end a pass (those that disagree; those that labels call lost), as they only grow. Means and
shares of classes or boxes may still mend, so they are judged by whole passes alone. The rule is exact: what is left of
the set is taken to be right throughout, and a pass ends only where that would not pass either.

A pass that ended so has seen too many disagreements for its windows: it ends *with* one. How likely each true share
makes what was seen does not depend on the rule (Berger & Wolpert 1988, "The likelihood principle", section 4.2), so
:mod:`.prospect`, which takes counts by their likelihoods, takes these as they are. And as all passes see the windows in
one order, the share seen ranks two of them as the windows do that both have seen: whoever came to the same count later
had fewer by the place where the other ended.
"""

import math
from dataclasses import replace

from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_search
from edge_agent.quant.judgement import Judgement
from edge_agent.wire.manifest import Gates, OutputKind

_TO_MEND = ("", "output_kind_needed")
"""Codes with which a whole pass says more than a part of it."""


def may_pass(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> bool:
    """Whether a candidate could still meet the gates of the search if all windows to come are as they should be.

    Args:
        gates: the manifest's.
        kind: of the judged output.
        seen: what the windows so far showed.
        windows: of the whole set.
        labels_follow: as of :func:`.gates.evaluate_search`.
    """
    best = _counted(seen, windows, won=None if seen.won is None else seen.won + windows - seen.windows)
    fitting = replace(best, float_right=None, commonest_label=None, worse_than_constant="")
    unfit = replace(best, worse_than_constant="labels of something else")
    whether_labels_fit = (fitting,) if seen.lost is None else (fitting, unfit)  # is known at the end
    return any(
        evaluate_search(gates, kind, one, labels_follow=labels_follow).code in _TO_MEND for one in whether_labels_fit
    )


def stopped(gates: Gates, kind: OutputKind, seen: Measured, windows: int, *, labels_follow: bool) -> Judgement:
    """The judgement on a pass that ended early: by its counts alone, beside size and speed.

    Arguments as of :func:`may_pass`, which has said no.
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
