"""``sets.json``: the location of each set's rows, left by capture."""

import msgspec

SETS_FILE = "sets.json"


class RowSet(msgspec.Struct, frozen=True):
    """One set as rows of an ``.npz``."""

    file: str
    rows: list[int]

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.rows)


class Shard(msgspec.Struct, frozen=True):
    """A block of one set: float32 ``[samples, channels]`` without a gap, in a file of the capture folder.

    The block holds ``windows`` windows of ``size`` samples, ``step`` samples apart, after resampling. It may be a part
    of the file: ``samples`` samples from ``first`` on. Blocks of one ``group`` count as one recording.
    """

    file: str
    windows: int
    size: int
    step: int
    first: int = 0
    samples: int | None = None
    """None: to the end of the file."""
    group: int | None = None
    """None: a recording of its own."""


class ArraySets(msgspec.Struct, frozen=True, tag="arrays", tag_field="kind"):
    """``sets.json`` of an operator's files."""

    calibration: RowSet
    search: RowSet
    heldout: RowSet
    eval: RowSet = RowSet("", [])
    """Set only by :func:`edge_agent.worker.capture.labelled_set.open_labelled`; a capture leaves it empty."""


class ShardSets(msgspec.Struct, frozen=True, tag="shards", tag_field="kind"):
    """``sets.json`` of a capture; ``channels`` are the columns of every shard.

    Shards hold raw samples at the source's rate. Windows have ``ratio`` times that rate: a block is resampled as a
    whole when it is read, and then cut into windows.
    """

    channels: list[str]
    calibration: list[Shard]
    search: list[Shard]
    heldout: list[Shard]
    ratio: tuple[int, int] = (1, 1)
