"""What an address asks for, and which rows that gives."""

import pytest

from host_tools.dashboard.selection import FILTERS, PER_PAGE, Query, all_of, select
from host_tools.fleet.row import Row

ROWS = [
    Row(device="pi-1", online=True, board="Pi 4", model="har", version=3, latency_ms=2.0, float_ms=4.0, seen=100.0),
    Row(device="pi-1", online=True, board="Pi 4", model="kws", version=1, progress=0.5, stage="capture", seen=100.0),
    Row(device="pi-2", online=False, board="Orin", model="har", version=2, outdated=True, quiet=True),
    Row(device="pi-3", online=True, model="har", status="rejected", code="no_gain", temperature_c=85.0, throttled=True),
]  # fmt: skip


def devices(address: str) -> list[tuple[str, str]]:
    query = Query.parse(dict(part.split("=") for part in address.split("&") if part))
    return [(row.device, row.model) for row in select(ROWS, query).rows]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("online", ["pi-1", "pi-1", "pi-3"]), ("working", ["pi-1"]), ("rejected", ["pi-3"]), ("outdated", ["pi-2"]),
        ("hot", ["pi-3"]), ("throttled", ["pi-3"]), ("stale", []), ("quiet", ["pi-2"]), ("failed", []),
    ],
)  # fmt: skip
def test_each_counter_is_a_filter_and_counts_devices(state: str, expected: list[str]) -> None:
    found = select(ROWS, Query(state=state))

    assert [row.device for row in found.rows] == expected
    assert found.counts == select(ROWS, Query()).counts
    assert found.counts[state] == len(set(expected))
    assert set(found.counts) == set(FILTERS)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", ["pi-1 har", "pi-1 kws", "pi-2 har", "pi-3 har"]),
        ("q=HAR", ["pi-1 har", "pi-2 har", "pi-3 har"]),
        ("q=har pi-1", ["pi-1 har"]),
        ("q=no_gain", ["pi-3 har"]),
        ("q=har&state=online", ["pi-1 har", "pi-3 har"]),
        ("sort=version", ["pi-1 kws", "pi-2 har", "pi-1 har", "pi-3 har"]),
        ("sort=-version", ["pi-1 har", "pi-2 har", "pi-1 kws", "pi-3 har"]),
        ("sort=latency", ["pi-1 har", "pi-1 kws", "pi-2 har", "pi-3 har"]),
        ("sort=-board", ["pi-1 har", "pi-1 kws", "pi-2 har", "pi-3 har"]),
        ("sort=state", ["pi-1 kws", "pi-3 har", "pi-2 har", "pi-1 har"]),
    ],
)
def test_words_filter_and_order_of_an_address(address: str, expected: list[str]) -> None:
    assert [f"{device} {model}" for device, model in devices(address)] == expected


def test_what_makes_no_sense_in_an_address_is_left_out() -> None:
    nonsense = {"q": "x" * 5000, "state": "evil", "sort": "__class__", "page": "-1", "other": "1"}

    assert Query.parse(nonsense) == Query(words="x" * 200)
    assert Query.parse({"page": "9" * 400}).page == 100_000
    assert Query.parse({"page": "²"}).page == 1


def test_an_address_says_what_was_asked_and_nothing_else() -> None:
    query = Query(words="a b&c", state="hot", sort="-seen", page=3)

    assert query.address(page=4) == "/?q=a+b%26c&state=hot&sort=-seen&page=4"
    assert query.address(sort="seen") == "/?q=a+b%26c&state=hot&sort=seen"
    assert Query().address() == "/"
    assert (query.other_way("seen"), Query(sort="seen").other_way("seen")) == ("seen", "-seen")


def test_a_page_has_a_hundred_rows_and_the_last_one_the_rest() -> None:
    many = [Row(device=f"pi-{number:04}", online=True) for number in range(250)]

    assert [len(select(many, Query(page=page)).rows) for page in (1, 2, 3, 99)] == [PER_PAGE, PER_PAGE, 50, 50]
    assert select(many, Query()).pages == 3
    assert select(many, Query(page=2)).rows[0].device == "pi-0100"
    assert len(all_of(many, Query(words="pi-02"))) == 50
    assert select([], Query()).pages == 1
