"""The measurements of a candidate, and each gate's finding: a value, its limit, and a sentence.

"Proved" is what one-sided bounds over the effective windows exclude, at 95 %, or at 97.5 % where two candidates share
the windows. "Estimated" is what search windows show.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.jobs.digits import apart, percent_apart
from edge_agent.jobs.labelled_rows import pairs_needed
from edge_agent.jobs.result import GateResult
from edge_agent.quant.bounds import (
    CONFIDENCE,
    agreement_lower,
    allowed_failures,
    tango_upper,
    windows_enough,
    windows_needed,
)
from edge_agent.quant.limits import GateLimits
from edge_agent.strict import counted

_STRICT = 0.99
NEVER_PROVED = (
    "no number of windows proves an agreement of 100 %; set [gates] min_agreement = 0.99, which takes "
    f"{windows_needed(_STRICT)} windows, or 0 for no gate"
)
_WORTH_IT = 10
"""Largest factor of additional windows that is suggested, as nobody captures more than that."""
_SPREAD = 1.1
"""Room that a suggested limit leaves for the next measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measurements of one candidate; None: not made yet, or not available."""

    windows: int
    windows_effective: float
    disagreements: int | None = None
    argmax_disagreements: int | None = None
    """raw only: windows whose largest element is another one."""
    lost: int | None = None
    """Labelled windows where float is right and int8 wrong; None without labels."""
    won: int | None = None
    """Labelled windows where float is wrong and int8 right."""
    float_right: int | None = None
    """Labelled windows where float is right."""
    commonest_label: int | None = None
    """Windows with the commonest label, which a constant answer gets right. classes, binary, sequence."""
    worse_than_constant: str = ""
    """Where float is worse than a constant answer, for kinds without a number of right windows: anomaly, regression and
    detectors."""
    sqnr_db: float | None = None
    sqnr_of: str = ""
    """The channels of this SQNR where groups are judged: those of the worst group."""
    size_ratio: float | None = None
    latency_ratio: float | None = None
    """target / reference, screened: used by the search."""
    latency_ratio_lower: float | None = None
    latency_ratio_upper: float | None = None
    """95 % bounds of the full statistic: used by the verdict."""
    classes: Mapping[Any, tuple[int, float]] = field(default_factory=dict)
    """Class → windows in which float finds it (correctly, if there are labels), and how many of them int8 keeps."""
    classes_given: Mapping[Any, tuple[int, float]] = field(default_factory=dict)
    """The same for all windows, whatever their labels."""
    confidence: float = CONFIDENCE
    """Confidence of the bounds on agreement and accuracy."""
    rows_of: str = ""
    """The option that names the operator's file with the windows as rows; empty if they were captured, as many as the
    recipe asks for."""

    @property
    def misfit(self) -> str:
        """The evidence that float fits the labels worse than a constant answer; empty if there is none."""
        if self.worse_than_constant or (self.float_right or 0) >= (self.commonest_label or 0):
            return self.worse_than_constant
        return (
            f"float has {self.float_right} of {self.windows} labels right, a constant answer would have "
            f"{self.commonest_label}"
        )

    @property
    def labels_doubtful(self) -> bool:
        """Whether the labels seem to be wrong, so that a drop of accuracy means nothing."""
        return bool(self.misfit)

    @property
    def design_effect(self) -> float:
        """The number of windows that count as one."""
        return self.windows / self.windows_effective if self.windows_effective > 0 else 1.0

    @property
    def windows_text(self) -> str:
        """The number of windows, and their effective number where that is less."""
        if self.windows_effective > self.windows - 0.5:
            return counted(self.windows, "window")
        return f"{self.windows} windows (so alike that they count as {self.windows_effective:.0f})"


@dataclass(frozen=True, slots=True)
class GateFinding:
    """A judged gate, with the code and sentence to report if it failed."""

    gate: GateResult
    code: str
    message: str


def agreement_proved(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The agreement that the effective windows prove; None without that gate."""
    limit, wrong, confidence = limits.min_agreement, measured.disagreements, measured.confidence
    if not limit or wrong is None:
        return None
    effect, n = measured.design_effect, measured.windows_effective
    bound = agreement_lower(wrong / effect, n, confidence)
    gate = GateResult("min_agreement", limit, bound, bound >= limit)
    if limit >= 1.0:
        return GateFinding(gate, "too_few_windows", NEVER_PROVED)
    allowed = allowed_failures(n, limit, per_window=1.0 / effect, confidence=confidence)
    if allowed < 0:
        needed = windows_needed(limit, confidence)
        return GateFinding(gate, "too_few_windows", _too_few(measured, needed, f"{percent(limit)} agreement"))
    message = f"{wrong} of {measured.windows_text} disagree; to prove {percent(limit)} at most {allowed} may"
    return GateFinding(gate, "agreement_too_low", message + _more_would_do(measured, wrong, limit))


def agreement_estimated(limit: float, measured: Measured) -> GateFinding | None:
    """The share of agreeing search windows against ``limit``; 0: no gate."""
    wrong = measured.disagreements
    if not limit or wrong is None:
        return None
    share = 1.0 - wrong / measured.windows if measured.windows else None
    gate = GateResult("min_agreement", limit, share, share is not None and share >= limit - 1e-12)
    if share is None:
        return GateFinding(gate, "too_few_windows", "there is no search window; give more calibration data")
    allowed = math.floor((1.0 - limit) * measured.windows + 1e-9)
    message = f"{wrong} of {measured.windows} search windows disagree; to go on at most {allowed} may"
    return GateFinding(gate, "agreement_too_low", message)


def accuracy_proved(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The drop in accuracy that the labelled windows prove; None without labels or gate."""
    limit, lost, won = limits.max_accuracy_drop, measured.lost, measured.won
    if not limit or lost is None or won is None:
        return None
    effect, n = measured.design_effect, measured.windows_effective
    bound = tango_upper(lost / effect, won / effect, n, measured.confidence)
    gate = GateResult("max_accuracy_drop", limit, bound, bound <= limit)
    needed = pairs_needed(limit, measured.confidence)
    if n < needed and not gate.passed:
        return GateFinding(
            gate, "too_few_windows", _too_few(measured, needed, f"an accuracy drop of at most {percent(limit)}")
        )
    excluded, allowed = percent_apart(bound, limit)
    message = (
        f"int8 loses {lost} labelled windows that float has right and wins {won}, of {measured.windows_text}: "
        f"a drop of {percent((lost - won) / measured.windows)}, and up to {excluded} is not excluded; "
        f"at most {allowed} may be"
    )
    return GateFinding(gate, "accuracy_too_low", message)


def accuracy_estimated(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The search windows' drop in accuracy against half of the allowance."""
    lost, won = measured.lost, measured.won
    if not limits.max_accuracy_drop or lost is None or won is None:
        return None
    limit = limits.max_accuracy_drop / 2.0
    drop = (lost - won) / measured.windows if measured.windows else None
    gate = GateResult("max_accuracy_drop", limit, drop, drop is not None and drop <= limit + 1e-12)
    if drop is None:
        return GateFinding(gate, "too_few_windows", "there is no search window; give more calibration data")
    found, allowed = percent_apart(drop, limit)
    message = (
        f"int8 loses {lost} labelled search windows of {measured.windows} that float has right and wins {won}: "
        f"a drop of {found}; to go on at most {allowed} may be"
    )
    return GateFinding(gate, "accuracy_too_low", message)


def sqnr_reached(limit: float, measured: Measured) -> GateFinding | None:
    """The SQNR against the required minimum; 0: no gate."""
    value = measured.sqnr_db
    if not limit or value is None:
        return None
    where = f" in channels {measured.sqnr_of}" if measured.sqnr_of else ""
    found, needed = apart(value, limit)
    message = f"int8's signal{where} is only {found} dB above its error; {needed} dB are needed"
    if value == -math.inf:
        message = (
            f"int8's error{where} has no bound, as where it gives NaN or Inf; {needed} dB below the signal are needed"
        )
    return GateFinding(GateResult("min_sqnr_db", limit, value, value >= limit), "sqnr_too_low", message)


def size_kept(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The file's size as a multiple of float's."""
    words = (
        "the int8 file is {value} times as large as the float file; at most {limit} is allowed"
        "; [gates] max_size_ratio = {room:g} allows it"
    )
    return at_most("max_size_ratio", limits.max_size_ratio, measured.size_ratio, "size_too_large", words)


def latency_proved(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The latency ratio that the full statistic proves."""
    limit, lower, upper = limits.max_latency_ratio, measured.latency_ratio_lower, measured.latency_ratio_upper
    if not limit or lower is None or upper is None:
        return None
    gate = GateResult("max_latency_ratio", limit, upper, upper <= limit, margin=limits.latency_margin or None)
    if lower > limit:
        least, allowed = apart(lower, limit)
        message = (
            f"int8 takes at least {least} times as long as float here; at most {allowed} is allowed"
            f"; [gates] max_latency_ratio = {room_for(upper):g} allows it"
        )
        return GateFinding(gate, "latency_too_high", message)
    (least, _), (most, allowed) = apart(lower, limit), apart(upper, limit)
    message = f"int8 takes {least} to {most} times as long as float here: no proof that it is at most {allowed}"
    return GateFinding(gate, "latency_inconclusive", message)


def latency_screened(limits: GateLimits, measured: Measured) -> GateFinding | None:
    """The screened latency ratio against the limit itself."""
    return latency_at_most(limits.max_latency_ratio, measured.latency_ratio, margin=limits.latency_margin or None)


def latency_at_most(limit: float, ratio: float | None, *, margin: float | None) -> GateFinding | None:
    """A latency ratio that proves nothing yet against the limit, which includes ``margin``; None without a limit."""
    words = (
        "int8 takes {value} times as long as float here; at most {limit} is allowed"
        "; [gates] max_latency_ratio = {room:g} allows it"
    )
    return at_most("max_latency_ratio", limit, ratio, "latency_too_high", words, margin=margin)


MEMORY_GATE = "max_memory_ratio"


def memory_at_most(limit: float, ratio: float | None) -> GateFinding | None:
    """The memory of int8, as a share of float's, against the limit; None without one."""
    what = "{value} of float's memory" if ratio != 1 else "as much memory as float, within what can be measured"
    words = f"int8 keeps {what}; at most {{limit}} may be kept; [gates] {MEMORY_GATE} = {{room:g}} allows it"
    return at_most(MEMORY_GATE, limit, ratio, "memory_too_high", words)


def at_most(  # what a gate is made of
    name: str, limit: float, value: float | None, code: str, words: str, *, margin: float | None = None
) -> GateFinding | None:
    """A value against its maximum, which includes ``margin``.

    ``words`` is the sentence for an exceeded limit, with {value} and {limit} in as many digits as it takes to tell them
    apart, and {room}, a limit that would allow the value.
    """
    if not limit or value is None:
        return None
    found, allowed = apart(value, limit)
    message = words.format(value=found, limit=allowed, room=room_for(value))
    return GateFinding(GateResult(name, limit, value, value <= limit, margin=margin), code, message)


def room_for(value: float) -> float:
    """A round limit that would also allow the next measurement of the same quantity."""
    return math.ceil(100.0 * _SPREAD * value) / 100.0 if math.isfinite(value) else value


def _too_few(measured: Measured, needed: int, what: str) -> str:
    windows = math.ceil(needed * measured.design_effect)
    return (
        f"{measured.windows_text} cannot prove {what} even without an error; give at least {_give(measured, windows)}"
    )


def _more_would_do(measured: Measured, wrong: int, limit: float) -> str:
    """How many windows would be a proof at this share of disagreements; empty if they are too many."""
    if not measured.windows:
        return ""
    independent = windows_enough(wrong, measured.windows, limit, measured.confidence)
    if independent is None:
        return ""
    windows = math.ceil(independent * measured.design_effect)
    if not measured.windows < windows <= _WORTH_IT * measured.windows:
        return ""
    return f"; at that share of disagreements about {_give(measured, windows)} would prove it"


def _give(measured: Measured, windows: int) -> str:
    """The number of windows with the option that sets it."""
    if measured.rows_of:
        return f"{windows} rows ({measured.rows_of})"
    return f"{windows} ([recipe] heldout_windows = {windows})"


def percent(share: float) -> str:
    """A share as a percentage text."""
    return f"{100.0 * share:.3g} %"
