"""The rows of a fleet page, selected by the words, filter, order and page number in its address. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlencode

from host_tools.fleet.row import Row

PER_PAGE = 100
_MOST_WORDS = 20
_MOST_CHARACTERS = 200
_FAR = 100_000
HOT_C = 80.0
"""From this temperature a processor counts as hot: a Pi throttles from 80 °C, a Jetson slightly later."""


class Filter(NamedTuple):
    """A filter over rows, with a counter of the devices that pass it."""

    title: str
    meaning: str
    passes: Callable[[Row], bool]


FILTERS: Mapping[str, Filter] = {
    "online": Filter("online", "connected to the broker", lambda row: row.online),
    "working": Filter("working", "a job is under way", lambda row: row.progress is not None),
    "failed": Filter("failed", "the newest job failed", lambda row: row.status == "failed"),
    "rejected": Filter("rejected", "the newest version did not pass its gates", lambda row: row.status == "rejected"),
    "outdated": Filter("outdated", "another device runs a newer version of the model", lambda row: row.outdated),
    "hot": Filter("hot", f"{HOT_C:g} °C or more", lambda row: (row.temperature_c or 0.0) >= HOT_C),
    "throttled": Filter("throttled", "the processor is slowed down", lambda row: row.throttled),
    "stale": Filter("stale", "another runtime is installed than the measured one", lambda row: row.stale),
    "quiet": Filter("gone quiet", "offline, or its samples stopped", lambda row: row.quiet),
}
_ORDERS: Mapping[str, Callable[[Row], object]] = {
    "device": lambda row: row.device,
    "board": lambda row: row.board.lower() or None,
    "model": lambda row: row.model or None,
    "version": lambda row: row.version or None,
    "state": lambda row: (row.concern, row.state),
    "latency": lambda row: row.latency_ms,
    "ratio": lambda row: row.latency_ratio,
    "agreement": lambda row: row.agreement,
    "temperature": lambda row: row.temperature_c,
    "seen": lambda row: None if row.seen is None else -row.seen,
}
SORTABLE = frozenset(_ORDERS)


@dataclass(frozen=True, slots=True)
class Query:
    """The query in an address.

    Attributes:
        words: words in small letters, each of which must occur in a row.
        state: the name of a filter; empty: none.
        sort: a column, with "-" for descending order; empty: by device and model.
        page: page number, from 1.
    """

    words: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "Query":
        """The query of an address, without invalid values."""
        words = given.get("q", "")[:_MOST_CHARACTERS]
        state, sort = given.get("state", ""), given.get("sort", "")
        number = given.get("page", "")
        page = int(number[:6]) if number.isascii() and number.isdecimal() else 1
        return cls(
            words=words,
            state=state if state in FILTERS else "",
            sort=sort if sort.removeprefix("-") in SORTABLE else "",
            page=max(1, min(page, _FAR)),
        )

    def address(self, path: str = "/", **changes: object) -> str:
        """The address of this query with ``changes``; another order or filter starts on the first page."""
        one = replace(self, **({"page": 1} | changes))  # type: ignore[arg-type]  # of the fields above
        asked = {"q": one.words, "state": one.state, "sort": one.sort, "page": "" if one.page == 1 else str(one.page)}
        text = urlencode({key: value for key, value in asked.items() if value})
        return f"{path}?{text}" if text else path

    def other_way(self, column: str) -> str:
        """The value of ``sort`` for a click on the head of ``column``."""
        return f"-{column}" if self.sort == column else column


@dataclass(frozen=True, slots=True)
class Selection:
    """The result of a query.

    Attributes:
        rows: rows of the page.
        found: number of rows on all pages.
        devices: number of devices in these rows.
        pages: number of pages.
        counts: filter → number of devices that pass it, among all that contain the words.
    """

    rows: Sequence[Row]
    found: int
    devices: int
    pages: int
    counts: Mapping[str, int]


def select(rows: Iterable[Row], query: Query) -> Selection:
    """The rows for ``query``, from rows that are ordered by device and model."""
    words = query.words.lower().split()[:_MOST_WORDS]
    worded = [row for row in rows if row.has(words)] if words else list(rows)
    counts = {name: len({row.device for row in worded if one.passes(row)}) for name, one in FILTERS.items()}
    found = [row for row in worded if FILTERS[query.state].passes(row)] if query.state else worded
    pages = max(1, -(-len(found) // PER_PAGE))
    first = (min(query.page, pages) - 1) * PER_PAGE
    ordered = _ordered(found, query.sort)
    return Selection(ordered[first : first + PER_PAGE], len(found), len({row.device for row in found}), pages, counts)


def all_of(rows: Iterable[Row], query: Query) -> list[Row]:
    """The rows for ``query`` on all pages."""
    words = query.words.lower().split()[:_MOST_WORDS]
    passes = FILTERS[query.state].passes if query.state else lambda _row: True
    return _ordered([row for row in rows if row.has(words) and passes(row)], query.sort)


def _ordered(rows: list[Row], sort: str) -> list[Row]:
    """The sorted rows; unknown values come last in either direction."""
    if not sort:
        return rows
    key = _ORDERS[sort.removeprefix("-")]
    known = [(value, row) for row in rows if (value := key(row)) is not None]
    unknown = [row for row in rows if key(row) is None]
    known.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))  # type: ignore[return-value,arg-type]  # alike
    return [row for _, row in known] + unknown
