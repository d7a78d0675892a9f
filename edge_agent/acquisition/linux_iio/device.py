"""A device of Linux's industrial I/O: finds it, reads its channels, and sets up its buffer.

Settings that are already correct are not written, so a service without write access to ``/sys`` can read a buffer that
an administrator has set up.
"""

from dataclasses import dataclass
from pathlib import Path

from edge_agent.acquisition.linux_iio.scan import Element, Scan, parse_type
from edge_agent.errors import SourceError
from edge_agent.strict import did_you_mean, why

TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel whose value in its unit is ``(raw + offset) * scale``."""

    name: str
    offset: float
    scale: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of an enabled buffer.

    Attributes:
        scan: the format of one sample.
        places: index of each channel's element.
        stamped: whether the last element is a time stamp, in ns.
    """

    scan: Scan
    places: list[int]
    stamped: bool


class Device:
    """The folder of one device."""

    def __init__(self, root: Path, wanted: str) -> None:
        """Find the device ``wanted`` (``iio:device0``, or the content of its ``name``); raise ``SourceError``."""
        folders = {folder.name: folder for folder in sorted(root.glob("iio:device*"))}
        names = {_text(folder / "name"): folder for folder in reversed(folders.values()) if (folder / "name").is_file()}
        found = folders.get(wanted) or names.get(wanted)
        if found is None:
            there = did_you_mean(wanted, [*folders, *names]) or "; there is none: check wiring and driver"
            raise SourceError("source_unavailable", f"no industrial I/O device {wanted!r} in {root}{there}")
        self.folder = found

    def channel(self, name: str) -> Channel:
        """Return the channel ``in_<name>_raw``; raise ``SourceError`` with the existing channels."""
        if not (self.folder / f"in_{name}_raw").is_file():
            there = [path.name[3:-4] for path in self.folder.glob("in_*_raw")]
            raise SourceError("source_unavailable", f"{self.folder} has no channel {name!r}{did_you_mean(name, there)}")
        return Channel(name, self._shared(name, "offset", 0.0), self._shared(name, "scale", 1.0))

    def raw(self, name: str) -> float:
        """Return the current raw number of a channel; raise ``OSError`` or ``ValueError``."""
        return float(_text(self.folder / f"in_{name}_raw"))

    def sampling_frequency(self) -> float | None:
        """Return the driver's samples per second; None if it does not report them."""
        try:
            return float(_text(self.folder / "sampling_frequency"))
        except (OSError, ValueError):
            return None

    def set_up(self, names: list[str], rate_hz: float, length: int) -> "Layout":
        """Enable the buffer for ``names`` at ``rate_hz``, with room for ``length`` samples.

        Raises:
            SourceError: a setting cannot be read or written, or a type is unknown.
        """
        scan = self.folder / "scan_elements"
        try:
            indices = {path.name[3:-6]: int(_text(path)) for path in scan.glob("in_*_index")}
        except (OSError, ValueError) as error:
            raise SourceError("source_unavailable", f"{scan}: {why(error)}; check the driver") from None
        stamped = TIMESTAMP in indices
        enabled = sorted([*names, *([TIMESTAMP] if stamped else [])], key=lambda name: indices.get(name, -1))
        for name in names:
            if name not in indices:
                hint = did_you_mean(name, set(indices) - {TIMESTAMP})
                raise SourceError("source_unavailable", f"{scan} has no channel {name!r}{hint}")
        wishes = {scan / f"in_{name}_en": str(int(name in enabled)) for name in indices}
        if (self.folder / "sampling_frequency").is_file():
            wishes[self.folder / "sampling_frequency"] = f"{rate_hz:g}"
        if any(not _is(path, value) for path, value in wishes.items()):
            _write(self.folder / "buffer" / "enable", "0")
        for path, value in wishes.items():
            _write(path, value)
        if not _is(self.folder / "buffer" / "enable", "1"):
            _write(self.folder / "buffer" / "length", str(length))
            _write(self.folder / "buffer" / "enable", "1")
        elements: list[Element] = []
        for name in enabled:
            path = scan / f"in_{name}_type"
            try:
                elements.append(parse_type(_text(path)))
            except (OSError, ValueError) as error:
                raise SourceError("source_unavailable", f"{path}: {why(error)}; check the driver") from None
        places = [enabled.index(name) for name in names]
        return Layout(Scan(elements), places, stamped=stamped and enabled[-1] == TIMESTAMP)

    def _shared(self, name: str, what: str, default: float) -> float:
        """Return a channel's own ``scale`` or ``offset``, else that of its kind: ``accel`` for ``accel_x``."""
        kind = name.partition("_")[0].rstrip("0123456789")
        for prefix in (name, name.rpartition("_")[0], kind):
            path = self.folder / f"in_{prefix}_{what}"
            if prefix and path.is_file():
                try:
                    return float(_text(path))
                except (OSError, ValueError) as error:
                    raise SourceError("source_unavailable", f"{path}: {why(error)}; check the driver") from None
        return default


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _is(path: Path, value: str) -> bool:
    """Return whether a setting has ``value``; numbers are compared as numbers."""
    try:
        return float(_text(path)) == float(value)
    except (OSError, ValueError):
        return False


def _write(path: Path, value: str) -> None:
    if _is(path, value):
        return
    try:
        path.write_text(value, encoding="ascii")
    except OSError as error:
        text = f'{path} cannot be set to {value}: {error.strerror}; set it as root beforehand, or use mode = "poll"'
        raise SourceError("source_unavailable", text) from None
