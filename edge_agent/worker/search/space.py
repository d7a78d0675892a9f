"""What there is to choose from for one model: the recipe's freedom, the model's operators, the format's integers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge_agent.backends import Method, Scheme
from edge_agent.wire.manifest import Recipe


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What candidates are made of.

    Attributes:
        recipe: what may be tried.
        present: the operator types of the layers that static int8 can hold; none if no layer of these multiplies, as
            there is nothing to win then.
        weighted: the operator types of the layers with weights.
        core: those of this format that carry the work (convolutions, matrix products).
        products: those that are matrix products.
        schemes: which integers are worth trying of a method here.
    """

    recipe: Recipe
    present: Collection[str]
    weighted: Collection[str]
    core: Sequence[str]
    products: Sequence[str]
    schemes: Callable[[Method], Sequence[Scheme]]
