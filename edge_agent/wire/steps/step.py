"""What every step has: options that are checked when they are read, and a shape that follows from a shape. Pure."""

from typing import Annotated, Self

import msgspec

Shape = tuple[int, ...]
Finite = Annotated[float, msgspec.Meta(ge=-3.4e38, le=3.4e38)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=3.4e38)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=3.4e38)]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step's options; a wrong one raises ``ValueError`` where it is made."""

    def shape(self, given: Shape) -> Shape:
        """The shape that a tensor of shape ``given`` has after the step.

        Raises:
            ValueError: the step cannot be done to such a tensor; says why.
        """
        return given

    def at_rate(self, rate_hz: float | None) -> Self:
        """The step for windows of ``rate_hz`` samples a second, None where the contract does not say.

        Raises:
            ValueError: the step needs a rate, or has another.
        """
        del rate_hz
        return self
