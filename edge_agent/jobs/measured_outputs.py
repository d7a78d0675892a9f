"""What a result object says of each output of a model, and of a detector's boxes. Values only."""

import msgspec


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
    code: str = ""
    """Why it refuses the model; empty: it does not. ``output_ruined`` of one that nobody named."""
    message: str = ""


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
