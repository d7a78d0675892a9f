"""Gates: the limits that a candidate must meet, and a sentence with numbers for each one that it misses.

Numbers in, verdict out. A measurement that is None has not been made, and its gate is not judged: validation supplies
the measurements of outputs, the benchmark those of this device. Held-out windows are judged by what they *prove*:
one-sided bounds over the effective windows, at 95 %, or at 97.5 % where two candidates share them. Search windows are
judged by the point estimate against half the allowance, so that most candidates that pass the search pass the proof.

A labelled set that came with the model takes over ``max_accuracy_drop``: the gate is then proved on that set, and its
record says so. The held-out set is judged as well. Labels of which float itself gets fewer right than a constant answer
must be wrong, and reject the candidate: whoever supplied them wanted them to decide.

Invariants:
    * ``code`` and ``message`` are those of the first failed gate, in the order agreement or accuracy, SQNR, size,
      latency, gain; both are empty exactly when every gate passed. Memory is measured last; the gain is then judged
      again with it.
    * A gate that these windows could not prove even without an error is ``too_few_windows``, with the number needed.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec

from edge_agent.jobs.digits import apart
from edge_agent.jobs.labelled_rows import MAX_ACCURACY_DROP
from edge_agent.jobs.result import GateResult
from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.class_recall import Counts, class_recall, recall_of_labelled, recall_warnings, unlabelled_warnings
from edge_agent.quant.findings import (
    GateFinding,
    Measured,
    accuracy_estimated,
    accuracy_proved,
    agreement_estimated,
    agreement_proved,
    at_most,
    latency_proved,
    latency_screened,
    memory_at_most,
    percent,
    room_for,
    size_kept,
    sqnr_reached,
)
from edge_agent.quant.gain import Gain, gain_findings, gains
from edge_agent.quant.judgement import Judgement
from edge_agent.quant.limits import GateLimits, resolve_gates
from edge_agent.wire.manifest import Gates, OutputKind

_BOXES_ARE = "labels are x1, y1, x2, y2 and class, in the unit of the model's boxes"
_LABELS_ARE: Mapping[OutputKind, str] = MappingProxyType(
    {
        "anomaly": "1 stands for an anomaly and 0 for usual",
        "regression": "labels have the output's unit and order",
        "sequence": "[output] alphabet and blank are the model's",
        "detection": _BOXES_ARE,
        "detection_head": _BOXES_ARE,
    }
)
_HALF_DB = 10.0 * math.log10(2.0)
_MIB = 2**20


def evaluate_heldout(gates: Gates, kind: OutputKind, measured: Measured, labelled: Measured | None = None) -> Judgement:
    """The verdict, from what the held-out windows and the full latency statistic prove.

    Args:
        gates: the manifest's gates.
        kind: kind of the judged output.
        measured: measurements on the held-out set.
        labelled: measurements on the labelled set that came with the model, if there is one.
    """
    limits = _limits(gates, kind, measured)
    accuracy = _accuracy_of_eval(gates, kind, labelled)
    findings = (
        agreement_proved(limits, measured),
        accuracy or accuracy_proved(limits, measured),
        class_recall(_classes(limits, measured), gates.min_class_recall),
        recall_of_labelled(labelled.classes, gates.min_class_recall) if labelled is not None and accuracy else None,
        sqnr_reached(limits.min_sqnr_db, measured),
        size_kept(limits, measured),
        latency_proved(limits, measured),
        *gain_findings(_gained(measured), limits.min_gain),
    )
    warnings = (
        *_agreement_warning(limits, measured),
        *recall_warnings(_classes(limits, measured), gates.min_class_recall),
        *unlabelled_warnings(_classes(limits, measured), measured.classes_given, gates.min_class_recall),
        *(() if accuracy else _label_warning(gates, measured)),
        *_eval_warning(gates, kind, labelled),
    )
    judgement = _judgement(findings, warnings)
    if accuracy is not None and accuracy.code == "labels_unfit" != judgement.code:
        judgement = replace(judgement, warnings=(*warnings, accuracy.message))
    if _only_raw_failed(kind, judgement, measured):
        return _kind_needed(judgement, evaluate_heldout(gates, "classes", _by_argmax(measured)))
    return judgement


def evaluate_search(gates: Gates, kind: OutputKind, measured: Measured, *, labels_follow: bool = False) -> Judgement:
    """Whether a candidate deserves the proof: point estimates against half of each allowance.

    ``labels_follow``: the held-out windows have labels. If these labels will decide and the search windows have none,
    the candidate must only reach the agreement below which the verdict warns: a disagreement need not be an error.
    """
    limits = _limits(gates, kind, measured)
    softer = _warns_of(gates, kind, measured, labels_follow=labels_follow)
    findings = (
        agreement_estimated(_agreement_to_go_on(limits, softer), measured),
        accuracy_estimated(limits, measured),
        class_recall(_classes(limits, measured), gates.min_class_recall),
        sqnr_reached(_sqnr_to_go_on(limits), measured),
        size_kept(limits, measured),
        latency_screened(limits, measured),
    )
    judgement = _judgement(findings, ())
    if _only_raw_failed(kind, judgement, measured):
        as_classes = evaluate_search(gates, "classes", _by_argmax(measured), labels_follow=labels_follow)
        return _kind_needed(judgement, as_classes)
    return judgement


def _classes(limits: GateLimits, measured: Measured) -> Counts:
    """The classes that int8 keeps: of those that float gets right where labels decide, otherwise of all."""
    return measured.classes if limits.max_accuracy_drop or not measured.classes_given else measured.classes_given


def _agreement_to_go_on(limits: GateLimits, softer: float) -> float:
    """The agreement required on the search set; 0: no gate.

    It permits half of the disagreements that the verdict permits; or it is ``softer``, where the verdict only warns.
    """
    if not limits.min_agreement:
        return 0.0
    return softer or (1.0 + limits.min_agreement) / 2.0


def _sqnr_to_go_on(limits: GateLimits) -> float:
    """The SQNR required on the search set, which permits half of the permitted error; 0: no gate."""
    return limits.min_sqnr_db + _HALF_DB if limits.min_sqnr_db else 0.0


def agreement_to_prove(gates: Gates, kind: OutputKind, measured: Measured, *, labels_follow: bool = False) -> float:
    """The agreement that the held-out windows must prove; 0: it does not decide.

    Args:
        gates: the manifest's gates.
        kind: kind of the judged output.
        measured: measurements on the search set.
        labels_follow: whether the held-out windows have labels.
    """
    if _warns_of(gates, kind, measured, labels_follow=labels_follow):
        return 0.0
    return _limits(gates, kind, measured).min_agreement


def drop_to_exclude(gates: Gates, kind: OutputKind, measured: Measured) -> float:
    """The drop in accuracy that the held-out windows must exclude; 0: it does not decide. Arguments as above."""
    return _limits(gates, kind, measured).max_accuracy_drop


def evaluate_measured(gates: Gates, peak_rss_bytes: int, memory_ratio: float, gain: Gain) -> Judgement:
    """The last judgement, on measurements of a process with the candidate alone.

    Args:
        gates: the manifest's gates.
        peak_rss_bytes: peak memory of that process.
        memory_ratio: its memory as a share of float's.
        gain: the gains over float.
    """
    limit = gates.max_peak_rss_bytes
    needed, allowed = apart(peak_rss_bytes / _MIB, limit / _MIB)
    words = (
        f"int8 needs {needed} MiB of memory; at most {allowed} MiB are allowed; "
        f"[gates] max_peak_rss_bytes = {math.ceil(room_for(peak_rss_bytes / _MIB)) * _MIB} allows it"
    )
    memory = at_most("max_peak_rss_bytes", limit, peak_rss_bytes, "memory_too_high", words)
    kept = memory_at_most(gates.max_memory_ratio or 0.0, memory_ratio)
    return _judgement((memory, kept, *gain_findings(gain, gates.min_gain, final=True)), ())


def evaluate_gain(gates: Gates, gain: Gain) -> Judgement:
    """The judgement on the gain over float; no rejection while an axis with a limit is unknown."""
    return _judgement(gain_findings(gain, gates.min_gain), ())


def _gained(measured: Measured) -> Gain:
    """The gains that are known before memory is measured."""
    return gains(time_ratio=measured.latency_ratio_upper, size_ratio=measured.size_ratio)


def _warns_of(gates: Gates, kind: OutputKind, measured: Measured, *, labels_follow: bool) -> float:
    """The agreement below which the verdict only warns, where only held-out windows have labels; 0: it decides."""
    lacking = measured.lost is None and labels_follow
    return resolve_gates(gates, kind, labelled=True).warn_agreement if lacking else 0.0


def _limits(gates: Gates, kind: OutputKind, measured: Measured) -> GateLimits:
    return resolve_gates(gates, kind, labelled=measured.lost is not None, doubtful=measured.labels_doubtful)


def _judgement(findings: tuple[GateFinding | None, ...], warnings: tuple[str, ...]) -> Judgement:
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
        worse_than_constant="",
    )


def _kind_needed(judgement: Judgement, as_classes: Judgement) -> Judgement:
    if not as_classes.passed:
        return judgement
    message = f'{judgement.message}. Judged as a classifier it would pass: if it is one, set [output] kind = "classes"'
    return Judgement(judgement.gates, "output_kind_needed", message, judgement.warnings)


def _agreement_warning(limits: GateLimits, measured: Measured) -> tuple[str, ...]:
    limit, wrong = limits.warn_agreement, measured.disagreements
    if not limit or wrong is None:
        return ()
    if agreement_lower(wrong / measured.design_effect, measured.windows_effective, measured.confidence) >= limit:
        return ()
    against = f"which does not prove {percent(limit)}; the labels decide, so this only warns"
    return (f"{wrong} of {measured.windows_text} disagree with float, {against}",)


def _label_warning(gates: Gates, measured: Measured) -> tuple[str, ...]:
    if measured.lost is None:
        asked = gates.max_accuracy_drop
        return ("the held-out windows have no labels, so max_accuracy_drop was not judged",) if asked else ()
    if not measured.labels_doubtful:
        return ()
    return (f"{measured.misfit}; check labels and output, as agreement with float decides instead",)


def _eval_warning(gates: Gates, kind: OutputKind, labelled: Measured | None) -> tuple[str, ...]:
    """Why the labelled set does not decide, and how to let it decide."""
    if labelled is None:
        return ()
    if labelled.lost is None:
        text = f"labels cannot check {kind} outputs; set [output] kind to the kind that they describe"
    elif resolve_gates(gates, kind, labelled=True).max_accuracy_drop:
        return ()
    elif labelled.labels_doubtful:
        text = f"{_misfit(labelled, kind)}; its gate is off as well"
    else:
        text = f"its gate is off; set [gates] max_accuracy_drop = {MAX_ACCURACY_DROP} to let it"
    return (f"the labelled set does not decide: {text}",)


def _accuracy_of_eval(gates: Gates, kind: OutputKind, labelled: Measured | None) -> GateFinding | None:
    """The accuracy gate on the labelled set; None without such a gate."""
    if labelled is None:
        return None
    limits = resolve_gates(gates, kind, labelled=labelled.lost is not None)
    finding = accuracy_proved(limits, labelled)
    if finding is None:
        return None
    if labelled.labels_doubtful:
        gate = GateResult("max_accuracy_drop", limits.max_accuracy_drop, None, passed=False, on="eval")
        way_out = "or set [gates] max_accuracy_drop = 0, and it will not decide"
        return GateFinding(gate, "labels_unfit", f"on the labelled set {_misfit(labelled, kind)}, {way_out}")
    gate = msgspec.structs.replace(finding.gate, on="eval")
    return GateFinding(gate, finding.code, f"on the labelled set {finding.message}")


def _misfit(labelled: Measured, kind: OutputKind) -> str:
    """The evidence that the labels are wrong, and what to check."""
    what = _LABELS_ARE.get(kind, "labels count from 0 in the output's order")
    return (
        f'{labelled.misfit}; check that {what}, that its arrays are what the model is fed, and [output] kind = "{kind}"'
    )
