"""The choices for one model: the recipe's freedom, the model's operators, the format's integers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge_agent.backends import Method, Scheme
from edge_agent.wire.manifest import Recipe


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The choices that candidates are made from.

    Attributes:
        recipe: the recipe that limits the choices.
        present: the operator types of the layers that static int8 supports; empty if none of these layers multiplies,
            because int8 gains nothing then.
        weighted: the operator types of the layers with weights.
        core: the operator types of this format that do most of the work (convolutions, matrix products).
        products: the operator types that are matrix products.
        schemes: method → the integer schemes worth trying on this device.
    """

    recipe: Recipe
    present: Collection[str]
    weighted: Collection[str]
    core: Sequence[str]
    products: Sequence[str]
    schemes: Callable[[Method], Sequence[Scheme]]
