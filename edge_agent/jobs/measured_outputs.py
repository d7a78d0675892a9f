"""The result object's part about each output of a model, and about a detector's boxes. Values only."""

from typing import Any

import msgspec

MOST_CLASSES = 20


class GroupError(msgspec.Struct, frozen=True, kw_only=True):
    """A group of channels with similar scale, judged separately."""

    channels: str
    """Their indices along the axis: ``0-3``."""
    peak: float | None = None
    """The largest absolute value of the float output."""
    sqnr_db: float | None = None
    """None: no basis to judge by."""
    why_not: str = ""
    """Why it is not judged; empty if it is."""


class ClassKept(msgspec.Struct, frozen=True):
    """Recall by int8 of one class that float predicts; with labels, only of correct predictions."""

    label: Any
    windows: int
    """Windows for which float predicts the class."""
    recall: float
    """Share of these windows for which int8 predicts it as well."""
    recall_lower: float
    """Lower 95 % bound of the recall, for the number of independent windows."""


class OutputSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One output of the model: its kind and the error of int8 in it. The gates judge the first output."""

    name: str
    kind: str
    found: str
    windows: int = 0
    disagreements: int = 0
    agreement: float | None = None
    sqnr_db: float | None = None
    """SQNR of the worst group."""
    groups: list[GroupError] = []
    """Empty: all channels have a similar scale."""
    classes: list[ClassKept] = []
    """Classes that float predicts, at most ``MOST_CLASSES``, in order of increasing recall."""
    code: str = ""
    """Why it rejects the model; empty: it does not. ``output_ruined`` for an output that the manifest does not name."""
    message: str = ""

    @property
    def lost_classes(self) -> list[ClassKept]:
        """The classes with a recall below 1."""
        return [one for one in self.classes if one.recall < 1.0]


class ClassBoxes(msgspec.Struct, frozen=True):
    """The boxes of one class, as in :class:`DetectionsKept`."""

    number: int
    reference: int
    found: int
    target: int
    confirmed: int


class DetectionsKept(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of int8's boxes with float's boxes at float's threshold, over all windows of a set."""

    reference: int
    """Boxes of float."""
    found: int
    """Boxes of float that int8 finds as well."""
    recall: float | None = None
    recall_lower: float | None = None
    """Lower 95 % bound of the recall, from the windows in which float finds a box."""
    target: int
    """Boxes of int8."""
    confirmed: int
    """Boxes of int8 that float finds as well."""
    precision: float | None = None
    precision_lower: float | None = None
    classes: list[ClassBoxes] = []
