"""Matches an operator's names with the channels of a recording. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from edge_agent.acquisition.recordings import Unreadable
from edge_agent.acquisition.shown import listed
from edge_agent.strict import counted


class Named(NamedTuple):
    """Channels: their positions in the file, and their names."""

    places: list[int]
    names: list[str]


def named_channels(own: Sequence[str], wanted: Sequence[str], columns: int) -> Named:
    """Return the channels that the operator's names refer to.

    Names that the file has select among its channels, in any order. Other names rename all of its channels.

    Args:
        own: the file's names of its channels; empty if it has none.
        wanted: the operator's names; empty: all channels, with their own names or else ``c0``, ``c1``, ...
        columns: number of channels in the file.

    Raises:
        Unreadable: there are too few or too many names, or some belong to other channels in the file.
    """
    if len(own) not in (0, columns):
        raise Unreadable(
            f"it has {counted(columns, 'channel')} and {len(own)} names for them; correct it, or name them in channels"
        )
    everything = list(range(columns))
    if not wanted:
        return Named(everything, list(own) or [f"c{place}" for place in everything])
    if list(wanted) == list(own):
        return Named(everything, list(own))
    if all(list(own).count(name) == 1 for name in wanted):
        return Named([own.index(name) for name in wanted], list(wanted))
    if len(wanted) != columns:
        there = f" ({listed(own)})" if own else ""
        raise Unreadable(
            f"it has {counted(columns, 'channel')}{there}, not {len(wanted)}; correct channels in the config"
        )
    check_renaming(own, wanted)
    return Named(everything, list(wanted))


def check_renaming(own: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise ``Unreadable`` if a new name of a channel is the file's name of another one."""
    for place, (now, name) in enumerate(zip(own, wanted, strict=False)):
        if name != now and name in own:
            text = f"channels names column {place + 1} {name!r}, but the file names it {now!r} and another one {name!r}"
            raise Unreadable(f"{text}; correct channels in the config")
