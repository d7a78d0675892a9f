"""What rows are made for from an operator's files: the model, and how it is fed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.backends import ModelInfo
from edge_agent.wire.manifest import InputContract, Window


@dataclass(frozen=True, slots=True)
class Asked:
    """What rows are made for.

    Attributes:
        contracts: of the inputs that windows feed; they share window, rate and frame.
        info: the model.
        channels: of a sample, as the model wants it; 0: unknown.
        most_rows: as many are made at most.
        manifest: the file that the contracts are in, for messages.
        in_order: rows that follow each other are of one recording, as the model carries state.
    """

    contracts: Sequence[InputContract]
    info: ModelInfo
    channels: int
    most_rows: int
    manifest: str
    in_order: bool = False

    @property
    def window(self) -> Window:
        """Samples in a window, and from one to the next."""
        return self.contracts[0].window or Window(1, 1)


def evenly(count: int, most: int) -> list[int]:
    """Places of at most ``most`` things, evenly over ``count``."""
    return list(range(count)) if count <= most else [place * count // most for place in range(most)]
