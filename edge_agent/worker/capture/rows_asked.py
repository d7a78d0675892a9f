"""The request for rows from an operator's files: the model, and the contracts that feed it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.backends import ModelInfo
from edge_agent.wire.manifest import InputContract, Window


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for rows.

    Attributes:
        contracts: contracts of the inputs that windows feed; they share window, rate and frame.
        info: the model.
        channels: number of channels in a sample that the model takes; 0: unknown.
        most_rows: the most rows to make.
        manifest: the file with the contracts, for messages.
        in_order: whether rows must be consecutive within a recording, because the model carries state.
    """

    contracts: Sequence[InputContract]
    info: ModelInfo
    channels: int
    most_rows: int
    manifest: str
    in_order: bool = False

    @property
    def window(self) -> Window:
        """Samples in a window, and from one window to the next."""
        return self.contracts[0].window or Window(1, 1)


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` indices, evenly spaced over ``count``."""
    return list(range(count)) if count <= most else [place * count // most for place in range(most)]
