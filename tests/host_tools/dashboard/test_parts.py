"""What a browser is sent of a page that has changed."""

import pytest

from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.live.parts import Differ, Rows


def rows(**cells: str) -> Rows:
    return Rows({name: element("tr", element("td", cell), id=name) for name, cell in cells.items()})


def test_only_what_differs_is_sent() -> None:
    differ = Differ()
    assert differ.changes({"a": element("b", "1"), "c": Markup("x")}).count("hx-partial hx-target") == 2
    assert differ.changes({"a": element("b", "1"), "c": Markup("x")}) == ""

    changed = differ.changes({"a": element("b", "2"), "c": Markup("x")})
    assert changed == '<hx-partial hx-target="#a" hx-swap="innerMorph"><b>2</b></hx-partial>'


def test_of_rows_those_are_sent_that_differ_and_all_where_one_came_or_moved() -> None:
    differ = Differ()
    first = differ.changes({"rows": rows(r1="a", r2="b")})
    assert 'hx-target="#rows" hx-swap="innerMorph"' in first

    assert differ.changes({"rows": rows(r1="a", r2="c")}) == (
        '<hx-partial hx-target="#r2" hx-swap="outerMorph"><tr id="r2"><td>c</td></tr></hx-partial>'
    )
    for moved in (rows(r2="c", r1="a"), rows(r2="c"), rows(r2="c", r3="d")):
        assert differ.changes({"rows": moved}).startswith('<hx-partial hx-target="#rows"')


def test_a_browser_that_comes_back_gets_everything() -> None:
    parts = {"rows": rows(r1="a"), "a": Markup("x")}
    Differ().changes(parts)

    assert Differ().changes(parts).count("innerMorph") == 2


@pytest.mark.parametrize("name", ["a, body", "a<b>", "", "1", "a b", "a\n", "a.b"])
def test_no_part_has_a_name_that_a_browser_would_take_for_something_else(name: str) -> None:
    with pytest.raises(ValueError, match="no element's id"):
        Differ().changes({name: Markup("x")})
