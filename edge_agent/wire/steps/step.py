"""The base of all steps: options that are checked on reading, and the shape of the result. Pure."""

from typing import Annotated, Self

import msgspec

Shape = tuple[int, ...]
Finite = Annotated[float, msgspec.Meta(ge=-3.4e38, le=3.4e38)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=3.4e38)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=3.4e38)]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step's options; a wrong value raises ``ValueError`` on construction."""

    def shape(self, given: Shape) -> Shape:
        """Return the shape of a tensor of shape ``given`` after the step.

        Raises:
            ValueError: the step does not accept such a tensor; the message gives the reason.
        """
        return given

    def at_rate(self, rate_hz: float | None) -> Self:
        """Return the step for windows of ``rate_hz`` samples per second; None if the contract gives no rate.

        Raises:
            ValueError: the step needs a rate, or has a different one.
        """
        del rate_hz
        return self
