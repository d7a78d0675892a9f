"""The runtime's own plain recipes: the result of one call of its quantizer, which a search must at least match.

Most of them are planned anyway. They are tried again by name if no passing candidate is likely to pass on the held-out
set. The plan may exclude them (it leaves a detector's tail float, and dynamic candidates are seldom faster than static
ones), or the budget may have ended before them.
"""

from edge_agent.backends import CandidateSpec
from edge_agent.worker.search.policy import range_methods
from edge_agent.worker.search.space import SearchSpace

KEPT_SHARE = 0.15
"""The part of a search's budget reserved for these recipes if nothing has passed."""
OVERRUN_SHARE = 0.15
"""The part of the budget by which these recipes may exceed it."""
_PLAIN_RANGES = "minmax"
"""The default of every runtime's quantizer."""


def plain_recipes(space: SearchSpace) -> list[CandidateSpec]:
    """The plain recipes that the recipe of ``space`` allows; those without ranges come first.

    dynamic: matrix products and recurrent layers. static: core operators, then every operator. Each comes per channel
    and per tensor, as ``schemes`` lists them. static uses minmax ranges first, as the runtimes do, and then each other
    range method.
    """
    recipe, core, products = space.recipe, space.core, space.products
    ranges = sorted(range_methods(recipe) if space.present else (), key=lambda method: method != _PLAIN_RANGES)
    operators = [tuple(core), ()] if set(space.present) - set(core) else [()]
    static = [
        CandidateSpec("static", method, some, scheme.per_channel, (), scheme.types, recipe.io)
        for method in ranges
        for some in operators
        for scheme in space.schemes("static")
    ]
    dynamic = [
        CandidateSpec("dynamic", "", tuple(products), scheme.per_channel, (), scheme.types)
        for scheme in space.schemes("dynamic")
        if not set(space.weighted).isdisjoint(products)
    ]
    match recipe.method:
        case _ if "int8" not in recipe.accept:
            return []
        case "dynamic":
            return dynamic
        case "auto" if recipe.calibration == "auto" and recipe.io == "float":
            return [*dynamic, *static]
        case _:
            return static  # empty if no layer has ranges
