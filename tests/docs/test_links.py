"""Every link of every page leads somewhere, every page is found from the index, and none is a book."""

import re
from pathlib import Path

import pytest
from support.markdown import DOCS, PAGES, ROOT, anchors, links, name, prose, text

GENERATED = {"docs/codes.md", "docs/inputs.md", "docs/protocol.md"}
LONGEST = 300
SOURCES = sorted(
    path
    for top in ("edge_agent", "host_tools", "systemd", "docs/examples")
    for path in (ROOT / top).rglob("*")
    if path.suffix in {".py", ".toml", ".service", ".md"}
)

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        target = (page.parent / link.path) if link.path else page
        assert target.exists(), link
        if link.anchor:
            assert link.anchor in anchors(target), link


@each_page
def test_paths_in_code_style_exist(page: Path) -> None:
    tops = "worker|host_tools|edge_agent|backends|sources|calibration|quant|tests|docs|systemd"
    for path in re.findall(rf"`((?:{tops})/[\w/.-]*)`", prose(page)):
        if re.search(r"/(?:KIND|METHOD|NAME)\.py$", path):  # what a newcomer is to write
            continue
        assert any((base / path).exists() for base in (ROOT, ROOT / "edge_agent")), path


@each_page
def test_a_page_is_not_a_book(page: Path) -> None:
    if name(page) not in GENERATED:
        assert len(text(page).splitlines()) <= LONGEST


@pytest.mark.parametrize("page", [page for page in DOCS.glob("*.md") if page.name != "README.md"], ids=name)
def test_a_page_starts_with_an_example(page: Path) -> None:
    assert "\n```" in text(page).partition("\n## ")[0]


def test_the_index_has_every_page_once() -> None:
    index = DOCS / "README.md"
    listed = [(index.parent / link.path).resolve() for link in links(index)]

    wanted = [page for page in PAGES if page not in (index, ROOT / "README.md") and page.parent.name != "adr"]
    assert [name(page) for page in wanted if listed.count(page) != 1] == []


def test_the_index_of_decisions_has_every_decision() -> None:
    index = DOCS / "adr" / "README.md"

    assert {link.path for link in links(index)} >= {path.name for path in index.parent.glob("0*.md")}


def test_pages_that_the_code_speaks_of_exist() -> None:
    spoken = {
        (name(path), page)
        for path in SOURCES
        for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.(?:md|yaml|json|py|toml)\b", text(path))
    }

    assert len(spoken) > 10
    assert [pair for pair in spoken if not (ROOT / pair[1]).is_file()] == []
