"""Gates: the limits that a candidate must meet, and one sentence with numbers where it does not.

Numbers in, verdict out. A measurement that is None has not been made, and its gate is not judged: validation hands
over what outputs say, the benchmark what this device says. Held-out windows are judged by what they *prove* (one-sided
95 % bounds over the effective windows), search windows by the point estimate against half the allowance, so that what
the search lets through mostly stands up to the proof.

A labelled set that came with the model takes over ``max_accuracy_drop``: the gate is then proved on that set, and its
record says so. The held-out set is judged beside it as ever.

Invariants:
    * ``code`` and ``message`` speak of the first gate that failed, in the order agreement or accuracy, SQNR, size,
      latency; memory is measured last and judged by itself; both are empty exactly when every gate passed.
    * A gate that these windows could not prove even without an error is ``too_few_windows``, with the number needed.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from edge_agent.quant.bounds import (
    agreement_lower,
    allowed_failures,
    chance_of_proof,
    pairs_needed,
    tango_upper,
    windows_needed,
)
from edge_agent.wire.manifest import Gates, OutputKind

MIN_AGREEMENT = 0.95
MAX_ACCURACY_DROP = 0.03
MIN_SQNR_DB = 10.0
BY_LABEL = ("classes", "binary")
"""The kinds whose labels take the place of agreement."""
_CONTINUOUS = ("regression", "embedding", "raw")
_HALF_DB = 10.0 * math.log10(2.0)
_MIB = 2**20


class GateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gate: the limit, the value that was held against it, and how it ended."""

    name: str
    limit: float
    value: float | None
    passed: bool
    on: Literal["", "eval"] = ""
    """The set that it was proved on, where that is not the held-out set: ``eval``, the labelled set of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The manifest's gates with every default filled in; 0 = no gate."""

    min_agreement: float
    warn_agreement: float
    """What agreement is held against without refusing, where labels decide."""
    max_accuracy_drop: float
    min_sqnr_db: float
    max_latency_ratio: float
    max_size_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one candidate; None: not yet, or not to be had."""

    windows: int
    windows_effective: float
    disagreements: int | None = None
    argmax_disagreements: int | None = None
    """raw only: windows where another element is the largest."""
    lost: int | None = None
    """Labelled windows where float is right and int8 wrong; None without labels."""
    won: int | None = None
    """Labelled windows where float is wrong and int8 right."""
    float_right: int | None = None
    """Labelled windows where float is right."""
    commonest_label: int | None = None
    """Windows that carry the commonest of the labels: what a constant answer has right. classes and binary only."""
    sqnr_db: float | None = None
    size_ratio: float | None = None
    latency_ratio: float | None = None
    """target / reference, screened: what the search looks at."""
    latency_ratio_lower: float | None = None
    latency_ratio_upper: float | None = None
    """95 % bounds of the full statistic: what the verdict looks at."""

    @property
    def labels_doubtful(self) -> bool:
        """Whether float has fewer labels right than a constant answer: then a drop of accuracy says nothing."""
        return (self.float_right or 0) < (self.commonest_label or 0)

    @property
    def design_effect(self) -> float:
        """How many windows count as one."""
        return self.windows / self.windows_effective if self.windows_effective > 0 else 1.0

    @property
    def windows_text(self) -> str:
        """The windows, and what they count for where that is less."""
        if self.windows_effective > self.windows - 0.5:
            return f"{self.windows} windows"
        return f"{self.windows} windows (so alike that they count as {self.windows_effective:.0f})"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over all gates that could be judged."""

    gates: tuple[GateResult, ...]
    code: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return not self.code


@dataclass(frozen=True, slots=True)
class _Finding:
    gate: GateResult
    code: str
    message: str


def resolve_gates(gates: Gates, kind: OutputKind, *, labelled: bool, doubtful: bool = False) -> Limits:
    """The one place where the gates' defaults are decided.

    Args:
        gates: the manifest's.
        kind: of the judged output.
        labelled: the windows that are judged have labels.
        doubtful: float itself does not fit the labels, so they cannot take the place of agreement.
    """
    by_label = labelled and not doubtful and kind in BY_LABEL
    drop = gates.max_accuracy_drop
    if drop is None:
        drop = MAX_ACCURACY_DROP if by_label else 0.0
    agreement = gates.min_agreement
    if agreement is None:
        agreement = 0.0 if by_label and drop else MIN_AGREEMENT
    sqnr = gates.min_sqnr_db
    if sqnr is None:
        sqnr = MIN_SQNR_DB if kind in _CONTINUOUS else 0.0
    return Limits(
        min_agreement=agreement,
        warn_agreement=MIN_AGREEMENT if gates.min_agreement is None and not agreement else 0.0,
        max_accuracy_drop=drop if labelled else 0.0,
        min_sqnr_db=sqnr,
        max_latency_ratio=gates.max_latency_ratio,
        max_size_ratio=gates.max_size_ratio,
    )


def evaluate_heldout(gates: Gates, kind: OutputKind, measured: Measured, labelled: Measured | None = None) -> Judgement:
    """The verdict: what the held-out windows prove, and what the full latency statistic says.

    Args:
        gates: the manifest's.
        kind: of the judged output.
        measured: on the held-out set.
        labelled: what the labelled set that came with the model shows, if there is one.
    """
    limits = _limits(gates, kind, measured)
    accuracy = _accuracy_of_eval(gates, kind, labelled)
    findings = (
        _agreement_proved(limits, measured),
        accuracy or _accuracy_proved(limits, measured),
        _sqnr(limits.min_sqnr_db, measured),
        _size(limits, measured),
        _latency_proved(limits, measured),
    )
    warnings = (
        *_agreement_warning(limits, measured),
        *(() if accuracy else _label_warning(gates, measured)),
        *_eval_warning(kind, labelled),
    )
    judgement = _judgement(findings, warnings)
    if _only_raw_failed(kind, judgement, measured):
        return _kind_needed(judgement, evaluate_heldout(gates, "classes", _by_argmax(measured)))
    return judgement


def evaluate_search(gates: Gates, kind: OutputKind, measured: Measured, *, labels_follow: bool = False) -> Judgement:
    """Whether a candidate is worth the proof: point estimates against half of each allowance.

    ``labels_follow``: the held-out windows have labels. Where these will decide and the search windows have none, an
    agreement on which the verdict would only warn is all that can be asked for: what disagrees need not be wrong.
    """
    limits = _limits(gates, kind, measured)
    spared = measured.lost is None and labels_follow
    softer = resolve_gates(gates, kind, labelled=True).warn_agreement if spared else 0.0
    findings = (
        _agreement_estimated(softer or (1.0 + limits.min_agreement) / 2.0 if limits.min_agreement else 0.0, measured),
        _accuracy_estimated(limits, measured),
        _sqnr(limits.min_sqnr_db + _HALF_DB if limits.min_sqnr_db else 0.0, measured),
        _size(limits, measured),
        _latency_screened(limits, measured),
    )
    judgement = _judgement(findings, ())
    if _only_raw_failed(kind, judgement, measured):
        as_classes = evaluate_search(gates, "classes", _by_argmax(measured), labels_follow=labels_follow)
        return _kind_needed(judgement, as_classes)
    return judgement


def chance_of_verdict(
    gates: Gates, kind: OutputKind, measured: Measured, heldout: int, *, labels_follow: bool = False
) -> float:
    """How likely the held-out windows will prove the agreement that search windows show; 1 where it does not decide.

    Also 1 if none disagreed: nothing better can be shown on these windows. ``heldout``: how many there will be; they
    are taken to be as much alike as the search windows are.
    """
    limit, wrong = _limits(gates, kind, measured).min_agreement, measured.disagreements
    by_labels = measured.lost is None and labels_follow and resolve_gates(gates, kind, labelled=True).warn_agreement
    if not limit or not wrong or by_labels:
        return 1.0
    effect = measured.design_effect
    return chance_of_proof(wrong / effect, measured.windows / effect, round(heldout / effect), limit)


def evaluate_memory(gates: Gates, peak_rss_bytes: int) -> Judgement:
    """The peak memory of a process with the candidate alone, against its gate."""
    limit = gates.max_peak_rss_bytes
    words = (
        f"int8 needs {peak_rss_bytes / _MIB:.1f} MiB of memory; "
        f"at most {limit / _MIB:.1f} MiB are allowed (max_peak_rss_bytes)"
    )
    return _judgement((_at_most("max_peak_rss_bytes", limit, peak_rss_bytes, "memory_too_high", words),), ())


def _limits(gates: Gates, kind: OutputKind, measured: Measured) -> Limits:
    return resolve_gates(gates, kind, labelled=measured.lost is not None, doubtful=measured.labels_doubtful)


def _judgement(findings: tuple[_Finding | None, ...], warnings: tuple[str, ...]) -> Judgement:
    judged = [finding for finding in findings if finding is not None]
    failed = next((finding for finding in judged if not finding.gate.passed), None)
    gates = tuple(finding.gate for finding in judged)
    return Judgement(gates, failed.code if failed else "", failed.message if failed else "", warnings)


def _only_raw_failed(kind: OutputKind, judgement: Judgement, measured: Measured) -> bool:
    return kind == "raw" and not judgement.passed and measured.argmax_disagreements is not None


def _by_argmax(measured: Measured) -> Measured:
    return replace(
        measured,
        disagreements=measured.argmax_disagreements,
        lost=None,
        won=None,
        float_right=None,
        commonest_label=None,
    )


def _kind_needed(judgement: Judgement, as_classes: Judgement) -> Judgement:
    if not as_classes.passed:
        return judgement
    message = (
        f'{judgement.message}. Judged as a classifier it would pass: if it is one, set kind = "classes" under [output]'
    )
    return Judgement(judgement.gates, "output_kind_needed", message, judgement.warnings)


def _agreement_proved(limits: Limits, measured: Measured) -> _Finding | None:
    limit, wrong = limits.min_agreement, measured.disagreements
    if not limit or wrong is None:
        return None
    effect, n = measured.design_effect, measured.windows_effective
    bound = agreement_lower(wrong / effect, n)
    gate = GateResult("min_agreement", limit, bound, bound >= limit)
    if limit >= 1.0:
        message = "no number of windows proves an agreement of 100 %; set min_agreement below 1, or to 0 for no gate"
        return _Finding(gate, "too_few_windows", message)
    allowed = allowed_failures(n, limit, per_window=1.0 / effect)
    if allowed < 0:
        return _Finding(
            gate, "too_few_windows", _too_few(measured, windows_needed(limit), f"{_percent(limit)} agreement")
        )
    message = f"{wrong} of {measured.windows_text} disagree; to prove {_percent(limit)} at most {allowed} may"
    return _Finding(gate, "agreement_too_low", message)


def _agreement_warning(limits: Limits, measured: Measured) -> tuple[str, ...]:
    limit, wrong = limits.warn_agreement, measured.disagreements
    if not limit or wrong is None:
        return ()
    if agreement_lower(wrong / measured.design_effect, measured.windows_effective) >= limit:
        return ()
    against = f"which does not prove {_percent(limit)}; the labels decide, so this only warns"
    return (f"{wrong} of {measured.windows_text} disagree with float, {against}",)


def _label_warning(gates: Gates, measured: Measured) -> tuple[str, ...]:
    if measured.lost is None:
        asked = gates.max_accuracy_drop
        return ("the held-out windows have no labels, so max_accuracy_drop was not judged",) if asked else ()
    if not measured.labels_doubtful:
        return ()
    text = (
        f"float has {measured.float_right} of {measured.windows} labels right, a constant answer would have "
        f"{measured.commonest_label}; check labels and output, as agreement with float decides instead"
    )
    return (text,)


def _eval_warning(kind: OutputKind, labelled: Measured | None) -> tuple[str, ...]:
    if labelled is None:
        return ()
    if labelled.lost is None:
        return (f"the labelled set does not decide: labels say nothing about {kind} outputs; check [output] kind",)
    if not labelled.labels_doubtful:
        return ()
    text = (
        f"the labelled set does not decide: float has {labelled.float_right} of its {labelled.windows} labels right, "
        f"a constant answer would have {labelled.commonest_label}; check its labels and arrays"
    )
    return (text,)


def _agreement_estimated(limit: float, measured: Measured) -> _Finding | None:
    wrong = measured.disagreements
    if not limit or wrong is None:
        return None
    share = 1.0 - wrong / measured.windows if measured.windows else None
    gate = GateResult("min_agreement", limit, share, share is not None and share >= limit - 1e-12)
    if share is None:
        return _Finding(gate, "too_few_windows", "there is no search window; give more calibration data")
    allowed = math.floor((1.0 - limit) * measured.windows + 1e-9)
    message = f"{wrong} of {measured.windows} search windows disagree; to go on at most {allowed} may"
    return _Finding(gate, "agreement_too_low", message)


def _accuracy_of_eval(gates: Gates, kind: OutputKind, labelled: Measured | None) -> _Finding | None:
    """The gate of accuracy on the labelled set; None if there is none, or float itself does not fit its labels."""
    if labelled is None or labelled.labels_doubtful:
        return None
    finding = _accuracy_proved(_limits(gates, kind, labelled), labelled)
    if finding is None:
        return None
    gate = msgspec.structs.replace(finding.gate, on="eval")
    return _Finding(gate, finding.code, f"on the labelled set {finding.message}")


def _accuracy_proved(limits: Limits, measured: Measured) -> _Finding | None:
    limit, lost, won = limits.max_accuracy_drop, measured.lost, measured.won
    if not limit or lost is None or won is None:
        return None
    effect, n = measured.design_effect, measured.windows_effective
    bound = tango_upper(lost / effect, won / effect, n)
    gate = GateResult("max_accuracy_drop", limit, bound, bound <= limit)
    needed = pairs_needed(limit)
    if n < needed and not gate.passed:
        return _Finding(
            gate, "too_few_windows", _too_few(measured, needed, f"an accuracy drop of at most {_percent(limit)}")
        )
    message = (
        f"int8 loses {lost} labelled windows that float has right and wins {won}, of {measured.windows_text}: "
        f"a drop of {_percent((lost - won) / measured.windows)}, and up to {_percent(bound)} is not excluded; "
        f"at most {_percent(limit)} may be"
    )
    return _Finding(gate, "accuracy_too_low", message)


def _accuracy_estimated(limits: Limits, measured: Measured) -> _Finding | None:
    lost, won = measured.lost, measured.won
    if not limits.max_accuracy_drop or lost is None or won is None:
        return None
    limit = limits.max_accuracy_drop / 2.0
    drop = (lost - won) / measured.windows if measured.windows else None
    gate = GateResult("max_accuracy_drop", limit, drop, drop is not None and drop <= limit + 1e-12)
    if drop is None:
        return _Finding(gate, "too_few_windows", "there is no search window; give more calibration data")
    message = (
        f"int8 loses {lost} labelled search windows of {measured.windows} that float has right and wins {won}: "
        f"a drop of {_percent(drop)}; to go on at most {_percent(limit)} may be"
    )
    return _Finding(gate, "accuracy_too_low", message)


def _sqnr(limit: float, measured: Measured) -> _Finding | None:
    value = measured.sqnr_db
    if not limit or value is None:
        return None
    message = f"int8's signal is only {value:.1f} dB above its error; {limit:.4g} dB are needed"
    return _Finding(GateResult("min_sqnr_db", limit, value, value >= limit), "sqnr_too_low", message)


def _size(limits: Limits, measured: Measured) -> _Finding | None:
    words = "the int8 file is {value:.3g} times as large as the float file; at most {limit:.4g} is allowed"
    return _at_most("max_size_ratio", limits.max_size_ratio, measured.size_ratio, "size_too_large", words)


def _latency_proved(limits: Limits, measured: Measured) -> _Finding | None:
    limit, lower, upper = limits.max_latency_ratio, measured.latency_ratio_lower, measured.latency_ratio_upper
    if not limit or lower is None or upper is None:
        return None
    gate = GateResult("max_latency_ratio", limit, upper, upper <= limit)
    if lower > limit:
        message = f"int8 takes at least {lower:.3g} times as long as float here; at most {limit:.4g} is allowed"
        return _Finding(gate, "latency_too_high", message)
    message = (
        f"int8 takes {lower:.3g} to {upper:.3g} times as long as float here: no proof that it is at most {limit:.4g}"
    )
    return _Finding(gate, "latency_inconclusive", message)


def _latency_screened(limits: Limits, measured: Measured) -> _Finding | None:
    words = "int8 takes {value:.3g} times as long as float here; at most {limit:.4g} is allowed"
    return _at_most("max_latency_ratio", limits.max_latency_ratio, measured.latency_ratio, "latency_too_high", words)


def _at_most(name: str, limit: float, value: float | None, code: str, words: str) -> _Finding | None:
    if not limit or value is None:
        return None
    return _Finding(GateResult(name, limit, value, value <= limit), code, words.format(value=value, limit=limit))


def _too_few(measured: Measured, needed: int, what: str) -> str:
    windows = math.ceil(needed * measured.design_effect)
    return f"{measured.windows_text} cannot prove {what} even without an error; give at least {windows}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
