"""Plans the candidates, their order and their ranking. Pure: no file, no model, no clock.

The *structure* of a candidate determines its speed: the method, the int8 operators, their types, per channel or per
tensor, and the layers that stay float. The range method of a static candidate changes only numbers. So latency is
screened once per structure, and a structure clearly worse than one that passes and gains is not scored at all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.backends import CandidateSpec, Method
from edge_agent.errors import RecipeError
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.limits import latency_limit
from edge_agent.quant.prospect import Prospect
from edge_agent.strict import counted
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.search.preference import tied
from edge_agent.worker.search.space import SearchSpace
from edge_agent.worker.search.tail import NO_TAIL, Tail

RANGE_METHODS = ("mse", "percentile", "minmax")
"""The range methods of ``auto``, most often best first, because the budget may end early. Entropy is tried only if the
recipe names it."""

SAME_SPEED = 0.03
"""Screened ratios closer than this fraction count as one speed: a screening spreads about that much."""

COARSE = 0.1
"""The relative error of a ratio from a single process: good enough to decide what is worth scoring."""

SAME_SIZE = 0.05
"""Files closer in size than this fraction count as one size: a scale more or less is worth no accuracy."""

SCREEN_SLACK = 1.1
"""A screened ratio up to this multiple of the gate still earns the full statistic, which decides."""

SURE = 0.85
"""The chance that puts a candidate before faster ones: the held-out set is opened once, and a failure there ends the
job."""

SAME_CHANCE = 0.05
"""Chances closer than this count as equal: they are estimates from few windows."""

FINALISTS = 3
"""The number of structures that may still win when the search is over."""

FLOAT16 = CandidateSpec("float16")
"""The one candidate in 16-bit floats."""

Structure = tuple[str, tuple[str, ...], str, bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class EvaluatedCandidate:
    """A candidate that was rewritten, screened and scored on the search set (or failed at one of these)."""

    spec: CandidateSpec
    record: MeasuredModel
    passed: bool
    """Whether it meets every gate of the search set; for speed, the screening only has to come near the limit."""
    chance: float = 1.0
    """The chance to pass on the held-out set, as one of all tried candidates (:mod:`.freezing`)."""
    prospect: Prospect | None = None
    """The evidence for that chance; None if the agreement does not decide."""
    outputs: Sequence[OutputSummary] = ()
    """The summary of every output of the model."""
    gains: bool = True
    """Whether it saves enough time, size or memory over float, as far as measured."""
    speed_error: float = SAME_SPEED
    """The relative error of its ratio."""
    penalty: float = 0.0
    """The addition to its preference for the windows that it is expected to lose (:mod:`.closeness`)."""

    @property
    def standing(self) -> float:
        """Its preference number plus the penalty for its expected loss; lower is better."""
        return standing(self.record) + self.penalty

    @property
    def too_slow(self) -> bool:
        """Whether its ratio is above the limit by more than its error."""
        return bool(self._limit) and _ratio(self) > self._limit * (1 + self.speed_error)

    @property
    def fast_enough(self) -> bool:
        """Whether its ratio is below the limit, if any, by at least its error."""
        return not self._limit or _ratio(self) * (1 + self.speed_error) <= self._limit

    @property
    def _limit(self) -> float:
        """The largest ratio to accept; 0: any."""
        limits = [gate.limit for gate in self.record.gates if gate.name == "max_latency_ratio"]
        return next(iter(limits), None) or 0.0

    @property
    def likely_to_pass(self) -> bool:
        """Whether it passed and is likely to pass on the held-out set as well."""
        return self.passed and self.chance >= SURE

    @property
    def worth_it(self) -> bool:
        """Whether it passed and gains something, as far as measured."""
        return self.passed and self.gains


def structure(spec: CandidateSpec) -> Structure:
    """The parts of a candidate that its speed depends on."""
    return spec.method, spec.operators, spec.types, spec.per_channel, spec.float_layers


def check_recipe(recipe: Recipe) -> None:
    """Raise ``RecipeError`` (``recipe_unsupported``) for a recipe that contradicts itself."""
    if recipe.io == "int8" and "fp16" in recipe.accept:
        raise RecipeError(
            "recipe_unsupported", "io 'int8' and fp16 exclude each other: a float16 model takes and gives floats"
        )
    if "int8" not in recipe.accept:
        for key in ("method", "calibration"):
            if getattr(recipe, key) != getattr(Recipe(), key):
                raise RecipeError(
                    "recipe_unsupported",
                    f"[recipe] {key} = {getattr(recipe, key)!r} applies only to int8, which accept excludes; remove "
                    f'{key}, or set accept = ["int8", "fp16"]',
                )
    if recipe.method in ("dynamic", "uniform") and recipe.calibration != "auto":
        raise RecipeError(
            "recipe_unsupported",
            f"method {recipe.method!r} has no ranges, so calibration {recipe.calibration!r} does not apply; "
            "remove calibration, or use method static",
        )
    if recipe.io == "int8" and recipe.method not in ("auto", "static"):
        raise RecipeError(
            "recipe_unsupported",
            f"method {recipe.method!r} computes on floats, so io 'int8' does not apply; use method static",
        )


def range_methods(recipe: Recipe) -> tuple[str, ...]:
    """The range methods to try, in this order; empty if no candidate has ranges."""
    if recipe.method not in ("auto", "static") or "int8" not in recipe.accept:
        return ()
    return RANGE_METHODS if recipe.calibration == "auto" else (recipe.calibration,)


def plan(space: SearchSpace, tail: Tail = NO_TAIL) -> list[CandidateSpec]:
    """The candidates of a recipe.

    static: {every operator, core only} x schemes x range methods. If there is a tail, every operator except the tail
    comes first, and every operator gets only one range method, because it seldom passes. dynamic: the matrix products;
    if the recipe names dynamic, also convolutions, which nearly always become slower than float. uniform: one
    candidate, which speeds up only products but agrees with float where the others fail. ``auto`` plans all methods;
    with a named calibration, only those with ranges. A method without an int8 form of this model's layers plans
    nothing. If ``accept`` has fp16, the float16 candidate comes last, whatever the method; without int8 it is alone.

    Args:
        space: the choices for this model.
        tail: the layers to leave float from the start, because int8 is known to destroy their output.

    Raises:
        RecipeError: ``recipe_unsupported`` for a recipe that contradicts itself.
    """
    check_recipe(space.recipe)
    int8 = _plan_int8(space, tail) if "int8" in space.recipe.accept else []
    return [*int8, *([FLOAT16] if "fp16" in space.recipe.accept else [])]


def _plan_int8(space: SearchSpace, tail: Tail) -> list[CandidateSpec]:
    recipe, core, products = space.recipe, space.core, space.products

    def of(
        method: Method, operators: Sequence[str] = (), ranges: Sequence[str] = ("",), floats: tuple[str, ...] = ()
    ) -> list[CandidateSpec]:
        return [
            CandidateSpec(method, calibration, tuple(operators), per_channel, floats, types, recipe.io)
            for types, per_channel in space.schemes(method)
            for calibration in ranges
        ]

    ranges = range_methods(recipe) if space.present else ()
    if tail.layers and recipe.io == "float":  # an int8 output would lie in the tail
        static = [*of("static", (), ranges, tail.layers), *of("static", (), ranges[:1])]
        others = tail.rest - set(core)  # if empty, core equals everything before the tail
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
            return [*some, *(of("dynamic") if set(space.weighted) - set(products) else [])]
        case "uniform":
            return uniform
        case "auto" if recipe.calibration != "auto" or recipe.io == "int8":
            return static
        case "auto":
            return [*static, *some, *uniform]


def describe(record: MeasuredModel) -> str:
    """A short description of a candidate."""
    if record.method == "uniform":
        return "uniform: int8 weights only"
    if record.method == "float16":
        return record.method
    integers = "" if record.types in (None, "u8s8") else f", {record.types}"
    integers += ", per tensor" if record.per_channel is False else ""
    ranges = f", {record.calibration} ranges" if record.calibration else ""
    floats = f", {counted(len(record.float_layers), 'layer')} float" if record.float_layers else ""
    return f"{record.method}, {record.operators} operators{integers}{ranges}{floats}"


def most_time(gates: Gates) -> float:
    """The largest screened ratio with which the full statistic may still prove the latency gate."""
    return latency_limit(gates) * SCREEN_SLACK or math.inf


def standing(record: MeasuredModel) -> float:
    """The preference number of a candidate, lower is better; based on time if nothing else is known."""
    if record.preference is not None:
        return record.preference
    return math.log(record.ratio_p50) if record.ratio_p50 else math.inf


def worth_scoring(screened: MeasuredModel, tried: Iterable[EvaluatedCandidate], apart: float = SAME_SPEED) -> bool:
    """Whether a screened candidate can still win: no candidate that is likely to pass is clearly better.

    The candidate may be as close as float itself, so it gets no penalty. ``apart``: the difference that is clear.
    """
    best = [item.standing for item in tried if item.passed and not any(rank_of(item))]
    return standing(screened) <= min(best, default=math.inf) + apart


def finalists(tried: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """The passing candidates by :func:`in_order`: first the one closest to float of each structure, then the others.

    A screening does not resolve differences below :data:`SAME_SPEED`.
    """
    passed = [item for item in tried if item.passed]
    best: dict[Structure, EvaluatedCandidate] = {}
    for item in passed:
        key = structure(item.spec)
        best[key] = max(best.get(key, item), item, key=_within_structure)
    foremost = {id(item) for item in best.values()}
    rest = [item for item in passed if id(item) not in foremost]
    return [*in_order(list(best.values()), SAME_SPEED), *in_order(rest, SAME_SPEED)]


def best_of_structures(tried: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """The finalist of each structure that passed, best first. The first :data:`FINALISTS` of them may still win."""
    first: dict[Structure, EvaluatedCandidate] = {}
    for item in finalists(tried):
        first.setdefault(structure(item.spec), item)
    return list(first.values())


def in_order(items: Sequence[EvaluatedCandidate], apart: float) -> list[EvaluatedCandidate]:
    """``items``, best first: by gain, sufficient speed and likely verdict, and then by preference.

    Candidates no more than ``apart`` from each other are ranked by fewest bytes, then closeness to float, then fewest
    float layers, then name. Candidates with a doubtful verdict are ranked by their chance, and equal chances by
    closeness to float: counts over few windows say little, and the size of the errors says more.
    """
    order: list[EvaluatedCandidate] = []
    for rank in sorted({rank_of(item) for item in items}):
        equals = [item for item in items if rank_of(item) == rank]
        if equals[0].likely_to_pass:
            for alike in tied(equals, lambda item: item.standing, apart):
                order += _by_size(alike)
        else:
            for alike in tied(equals, lambda item: -item.chance, SAME_CHANCE):
                order += sorted(alike, key=farness)
    return order


def rank_of(item: EvaluatedCandidate) -> tuple[bool, bool, bool]:
    """The rank before any preference, lower is better: no gain, too slow, a doubtful verdict."""
    return not item.gains, item.too_slow, not item.likely_to_pass


def _within_structure(item: EvaluatedCandidate) -> tuple[bool, float, float, tuple[float, float]]:
    return item.likely_to_pass, 1.0 if item.likely_to_pass else item.chance, -item.penalty, item.record.closeness


def _by_size(items: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    groups = tied(items, lambda item: math.log(item.record.size_bytes or 1), math.log1p(SAME_SIZE))
    return [item for alike in groups for item in sorted(alike, key=farness)]


def farness(item: EvaluatedCandidate) -> tuple[float, float, float, int, str]:
    """Sort key, closest to float first: the expected loss, agreement, error, float layers, then the name."""
    agreement, sqnr_db = item.record.closeness
    return item.penalty, -agreement, -sqnr_db, len(item.record.float_layers), describe(item.record)


def closest(tried: Iterable[EvaluatedCandidate]) -> EvaluatedCandidate | None:
    """The candidate closest to float of all that ran, passed or not."""
    ran = [item for item in tried if item.record.agreement is not None]
    return max(ran, key=lambda item: item.record.closeness, default=None)


def _ratio(item: EvaluatedCandidate) -> float:
    return float("inf") if item.record.ratio_p50 is None else item.record.ratio_p50
