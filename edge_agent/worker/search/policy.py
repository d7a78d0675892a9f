"""What to try, in which order, what is best, and what to say if nothing is. Pure: no file, no model, no clock.

A candidate's *structure* is all that its speed depends on: the method, which operators are int8, of which types and
per channel or per tensor, which layers stay float. The range method of a static one changes numbers only. So latency is
screened once a structure, the fastest structure is scored first, each with one range method before any with another,
and a structure that is slower than one that already passes is not scored at all: no faster candidate can be.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.backends import CandidateSpec, Method
from edge_agent.errors import RecipeError
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.prospect import Prospect
from edge_agent.strict import counted
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.search.space import SearchSpace
from edge_agent.worker.search.tail import NO_TAIL, Tail

RANGE_METHODS = ("mse", "percentile", "minmax")
"""What ``auto`` tries, in this order: the one that most often is the best first, as the budget may end early. Entropy
is tried where it is asked for by name."""

SAME_SPEED = 0.03
"""Screened ratios closer than this fraction are one speed: a screening spreads about that much."""

COARSE = 0.1
"""By what part of itself a ratio of one process alone may be off: enough to know what is worth scoring."""

SAME_SIZE = 0.05
"""Files closer in size than this fraction are one size: a scale more or less decides nothing."""

SCREEN_SLACK = 1.1
"""A screened ratio up to this multiple of the gate still earns the full statistic, which decides."""

SURE = 0.85
"""The chance that earns a candidate the verdict before faster ones: the held-out set is opened once, and what fails
there ends the job."""

_SPEED_CODES = ("latency_too_high", "latency_inconclusive", "too_noisy")

_NO_FASTER = " of such a model run in float, at float's speed: what it gives is its size"
_ALLOW_IT = ", and [gates] max_latency_ratio = 1.1 allows it"

_NO_BUDGET = "the search budget is too small; raise [recipe] search_budget_s, or set it to 0 for the default"

Structure = tuple[str, tuple[str, ...], str, bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class EvaluatedCandidate:
    """A candidate that was rewritten, screened and scored on the search set (or failed at one of these)."""

    spec: CandidateSpec
    record: MeasuredModel
    passed: bool
    """Every gate of the search set; at speed the screen needs only to come near."""
    chance: float = 1.0
    """That it stands before the held-out set, as one of all that were tried (:mod:`.freezing`)."""
    prospect: Prospect | None = None
    """What that chance is made of; None where the agreement does not decide."""
    outputs: Sequence[OutputSummary] = ()
    """What became of every output of the model."""

    @property
    def likely_to_pass(self) -> bool:
        """Whether it passed and is likely to stand before the held-out set, too."""
        return self.passed and self.chance >= SURE


def structure(spec: CandidateSpec) -> Structure:
    """What the candidate's speed depends on."""
    return spec.method, spec.operators, spec.types, spec.per_channel, spec.float_layers


def check_recipe(recipe: Recipe) -> None:
    """Raise ``RecipeError`` (``recipe_unsupported``) for a recipe that contradicts itself."""
    if recipe.method in ("dynamic", "uniform") and recipe.calibration != "auto":
        raise RecipeError(
            "recipe_unsupported",
            f"method {recipe.method!r} has no ranges, so calibration {recipe.calibration!r} means nothing to it; "
            "leave calibration out, or use method static",
        )
    if recipe.io == "int8" and recipe.method not in ("auto", "static"):
        raise RecipeError(
            "recipe_unsupported",
            f"method {recipe.method!r} computes on floats, so io 'int8' means nothing to it; use method static",
        )


def range_methods(recipe: Recipe) -> tuple[str, ...]:
    """The range methods that may be tried, in this order; none where no candidate has ranges."""
    if recipe.method not in ("auto", "static"):
        return ()
    return RANGE_METHODS if recipe.calibration == "auto" else (recipe.calibration,)


def plan(space: SearchSpace, tail: Tail = NO_TAIL) -> list[CandidateSpec]:
    """The candidates of a recipe.

    static: {every operator, core only} x schemes x range methods; where there is a tail, every operator but the tail
    comes first, and every operator with one range method is enough, as it seldom does. dynamic: the matrix products,
    and if asked for by name convolutions too, which it nearly always makes slower than float. uniform: one; it makes
    nothing but products faster, but what else fails to do what float did, it does. ``auto`` is all of them; a named
    calibration leaves only what has ranges.

    Args:
        space: what there is to choose from.
        tail: the layers to leave float from the start, where int8 is known to lose what they tell.

    Raises:
        RecipeError: ``recipe_unsupported`` for a recipe that contradicts itself.
    """
    recipe, core, products = space.recipe, space.core, space.products
    check_recipe(recipe)

    def of(
        method: Method, operators: Sequence[str] = (), ranges: Sequence[str] = ("",), floats: tuple[str, ...] = ()
    ) -> list[CandidateSpec]:
        return [
            CandidateSpec(method, calibration, tuple(operators), per_channel, floats, types, recipe.io)
            for types, per_channel in space.schemes(method)
            for calibration in ranges
        ]

    ranges = range_methods(recipe)
    if tail.layers and recipe.io == "float":  # the ends of an int8 model are in its tail
        static = [*of("static", (), ranges, tail.layers), *of("static", (), ranges[:1])]
        others = tail.rest - set(core)  # without any, core is what is before the tail
    else:
        static = of("static", (), ranges)
        others = frozenset(space.present) - set(core)
    if others:
        static += of("static", core, ranges)
    some = of("dynamic", products) if set(space.weighted) & set(products) else []
    uniform = of("uniform")
    match recipe.method:
        case "static":
            return static
        case "dynamic":
            return some if some and set(space.weighted) <= set(products) else [*some, *of("dynamic")]
        case "uniform":
            return uniform
        case "auto" if recipe.calibration != "auto" or recipe.io == "int8":
            return static
        case "auto":
            return [*static, *some, *uniform]


def describe(record: MeasuredModel) -> str:
    """A candidate in a few words."""
    if record.method == "uniform":
        return "uniform: int8 weights only"
    integers = "" if record.types in (None, "u8s8") else f", {record.types}"
    integers += ", per tensor" if record.per_channel is False else ""
    ranges = f", {record.calibration} ranges" if record.calibration else ""
    floats = f", {counted(len(record.float_layers), 'layer')} float" if record.float_layers else ""
    return f"{record.method}, {record.operators} operators{integers}{ranges}{floats}"


def by_speed(
    ratios: dict[Structure, float], specs: Iterable[CandidateSpec], limit: float = math.inf
) -> list[CandidateSpec]:
    """``specs`` that could be screened: the first of each structure, from the fastest on, then the second of each.

    So whatever the budget, every structure is known before one is known in all its ranges. What leaves layers float
    from the start comes before the others: it is planned only where these are known to fail. What is slower than
    ``limit`` comes last, and of each structure only one if any other is not so slow: it can only explain a refusal.
    """
    rounds: dict[Structure, int] = {}
    hopeful = any(ratio <= limit for ratio in ratios.values())
    order: list[tuple[bool, int, bool, float, CandidateSpec]] = []
    for spec in specs:
        key = structure(spec)
        if key not in ratios:
            continue
        rounds[key] = rounds.get(key, 0) + 1
        slow = ratios[key] > limit
        if not (slow and hopeful and rounds[key] > 1):
            order.append((slow, rounds[key], not spec.float_layers, ratios[key], spec))
    return [spec for *_, spec in sorted(order, key=lambda item: item[:4])]


def most_time(gates: Gates) -> float:
    """The largest screened ratio with which the full statistic may still say that the gate of latency is met."""
    return gates.max_latency_ratio * SCREEN_SLACK or math.inf


def worth_scoring(ratio: float, tried: Iterable[EvaluatedCandidate]) -> bool:
    """Whether a candidate of this coarsely screened ratio can still win: nothing that passes is clearly faster."""
    return all(ratio <= _ratio(other) * (1 + COARSE) for other in tried if other.likely_to_pass)


def finalists(tried: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """The candidates that passed, best first: the fastest, and among those of one speed the closest to float.

    Among those that are no faster than float, the smallest: that is all that they have to offer; and where sizes are
    alike, the closest. Those whose verdict is doubtful come last: the likeliest of those that are faster than float,
    then the likeliest of the others.
    """
    passed = [item for item in tried if item.passed]
    doubtful = [item for item in passed if not item.likely_to_pass]
    likeliest_first = sorted(doubtful, key=lambda item: (not _is_faster(item), -item.chance))
    return [*_fastest_first([item for item in passed if item.likely_to_pass]), *likeliest_first]


def _fastest_first(items: list[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    classes: dict[int, list[EvaluatedCandidate]] = {}
    for number, item in zip(speed_classes(items), items, strict=True):
        classes.setdefault(number, []).append(item)
    order: list[EvaluatedCandidate] = []
    for _, equals in sorted(classes.items()):
        faster = _is_faster(min(equals, key=_ratio))
        order += sorted(equals, key=lambda item: (faster or -_size_class(item), item.record.closeness), reverse=True)
    return order


def speed_classes(items: Sequence[EvaluatedCandidate]) -> list[int]:
    """Of each item how many speeds are faster; ratios that a screening does not tell apart are one speed."""
    classes: dict[int, int] = {}
    fastest, number = -math.inf, -1
    for place in sorted(range(len(items)), key=lambda place: _ratio(items[place])):
        if _ratio(items[place]) > fastest * (1 + SAME_SPEED) or number < 0:
            fastest, number = _ratio(items[place]), number + 1
        classes[place] = number
    return [classes[place] for place in range(len(items))]


def closest(tried: Iterable[EvaluatedCandidate]) -> EvaluatedCandidate | None:
    """The candidate nearest to float of all that ran, passed or not."""
    ran = [item for item in tried if item.record.agreement is not None]
    return max(ran, key=lambda item: item.record.closeness, default=None)


def why_none(tried: Sequence[EvaluatedCandidate], in_float: Iterable[str] = ()) -> tuple[str, str]:
    """The most telling code and sentence when no candidate is left.

    ``in_float``: the operators of this model that compute in float where only weights are int8.

    Speed before all: a candidate that failed only there did everything else right. Else the candidate closest to float.
    """
    late = [item for item in tried if item.record.code in _SPEED_CODES]
    if late:
        quickest = min(late, key=_ratio).record
        floats = " and ".join(sorted(in_float)) if quickest.method == "uniform" else ""
        advice = f"; {floats}{_NO_FASTER}" if floats else ""
        if quickest.method == "uniform" and "[gates]" not in (quickest.message or ""):
            advice += _ALLOW_IT
        return quickest.code or "no_candidate", f"int8 refused: {quickest.message} ({describe(quickest)}){advice}"
    best = closest(tried)
    if best is not None and best.record.code is not None:
        return best.record.code, f"{best.record.message} (the closest candidate: {describe(best.record)})"
    reasons = "; ".join(sorted({item.record.message for item in tried if item.record.message}))
    return "no_candidate", f"no int8 candidate could be tried: {reasons or _NO_BUDGET}"


def _size_class(item: EvaluatedCandidate) -> int:
    """Sizes of about one class differ by less than :data:`SAME_SIZE`."""
    return round(math.log(item.record.size_bytes or 1) / math.log1p(SAME_SIZE))


def _is_faster(item: EvaluatedCandidate) -> bool:
    """Whether its screened ratio is below float's by more than a screening spreads."""
    return _ratio(item) * (1 + SAME_SPEED) < 1


def _ratio(item: EvaluatedCandidate) -> float:
    return float("inf") if item.record.ratio_p50 is None else item.record.ratio_p50
