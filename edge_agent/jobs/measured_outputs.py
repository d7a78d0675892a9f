"""What a result object says of each output of a model, and of a detector's boxes. Values only."""

from typing import Any

import msgspec

MOST_CLASSES = 20


class GroupError(msgspec.Struct, frozen=True, kw_only=True):
    """Channels of like scale, which are judged apart."""

    channels: str
    """Their places along the axis: ``0-3``."""
    peak: float | None = None
    """The largest absolute value of float's."""
    sqnr_db: float | None = None
    """None: nothing to judge by."""
    why_not: str = ""
    """Why it is not judged; empty: it is."""


class ClassKept(msgspec.Struct, frozen=True):
    """What int8 keeps of one class that float gives, rightly where there are labels."""

    label: Any
    windows: int
    """To which float gives it."""
    recall: float
    """The share of them that int8 keeps."""
    recall_lower: float
    """What so many independent windows prove, at 95 %."""


class OutputSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One output of the model: what it means, and what int8 makes of it. The first one is what the gates are about."""

    name: str
    kind: str
    found: str
    windows: int = 0
    disagreements: int = 0
    agreement: float | None = None
    sqnr_db: float | None = None
    """Of the worst group."""
    groups: list[GroupError] = []
    """Empty: all channels are of one scale."""
    classes: list[ClassKept] = []
    """The classes that float gives, at most ``MOST_CLASSES``, those that int8 keeps least of first."""
    code: str = ""
    """Why it refuses the model; empty: it does not. ``output_ruined`` of one that nobody named."""
    message: str = ""

    @property
    def lost_classes(self) -> list[ClassKept]:
        """The classes of which int8 does not keep all."""
        return [one for one in self.classes if one.recall < 1.0]


class ClassBoxes(msgspec.Struct, frozen=True):
    """The boxes of one class, as in :class:`DetectionsKept`."""

    number: int
    reference: int
    found: int
    target: int
    confirmed: int


class DetectionsKept(msgspec.Struct, frozen=True, kw_only=True):
    """What int8 keeps of the boxes that float finds at its threshold, over all windows of a set."""

    reference: int
    """float's boxes."""
    found: int
    """Of these int8 has."""
    recall: float | None = None
    recall_lower: float | None = None
    """What the windows in which float sees something prove, at 95 %."""
    target: int
    """int8's boxes."""
    confirmed: int
    """Of these float has."""
    precision: float | None = None
    precision_lower: float | None = None
    classes: list[ClassBoxes] = []
