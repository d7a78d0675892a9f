"""The runtime's own plain recipes: what one call of its quantizer gives, and so the least that a search owes.

Most of them are planned anyway. They are asked again by name where nothing has passed that is likely to stand before
the held-out set. A plan may have left them out (a detector's tail stays float in it, and dynamic candidates are seldom
faster than static ones), or a budget may have ended before them.
"""

from edge_agent.backends import CandidateSpec
from edge_agent.worker.search.policy import range_methods
from edge_agent.worker.search.space import SearchSpace

KEPT_SHARE = 0.15
"""Of a search's budget, kept for these recipes where nothing has passed."""
OVERRUN_SHARE = 0.15
"""Of the budget, by which they may exceed it."""
_PLAIN_RANGES = "minmax"
"""The default of every runtime's quantizer."""


def plain_recipes(space: SearchSpace) -> list[CandidateSpec]:
    """The plain recipes that the recipe of ``space`` allows, what needs no ranges first.

    dynamic: matrix products and recurrent layers; static: core operators, then every operator. Each per channel and per
    tensor, as ``schemes`` has them; static with the ends of what calibration saw first, as the runtimes do, and then
    with each other range method.
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
            return static  # none where nothing has ranges
