"""The message for a recipe whose method has no int8 form of any layer of the model. Pure."""

from collections.abc import Collection, Iterable

from edge_agent.backends import Node
from edge_agent.backends.nothing_left import listed
from edge_agent.wire.manifest import Recipe

_DOES = {
    "static": "static int8 covers convolutions and matrix products",
    "dynamic": "dynamic int8 covers convolutions and products by constant weights",
}


def why_unplanned(recipe: Recipe, nodes: Iterable[Node], bound: Collection[str]) -> str:
    """The reason why no candidate of ``recipe`` is planned.

    Args:
        recipe: a recipe that allows only static or only dynamic candidates.
        nodes: the whole graph.
        bound: the layers that stay float because a tensor next to them fits no int8 grid.
    """
    method = "dynamic" if recipe.method == "dynamic" else "static"
    weighted = [node for node in nodes if node.weights]
    names = listed([f"{node.operator} {node.name!r}" for node in weighted])
    has = f"this model's weights are in {names}" if names else "this model has no weights"
    held = [node.name for node in weighted if node.name in bound]
    why = f", and {held[0]!r} stays float because of a tensor next to it (see the warnings)" if held else ""
    other = "'auto'" if recipe.method != "auto" else "'auto' without calibration and io"
    return (
        f"nothing can be int8 with this recipe: {_DOES[method]}, and {has}{why}; with [recipe] method = {other} "
        "weights are stored in int8 and the computation stays in float"
    )
