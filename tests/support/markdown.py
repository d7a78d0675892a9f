"""The project's pages as a reader sees them: links, anchors, blocks of code, tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md")])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, and what is in it."""

    language: str
    text: str


class Link(NamedTuple):
    """A link within the project: a path, or nothing for the page itself, and an anchor or nothing."""

    path: str
    anchor: str


def name(page: Path) -> str:
    """What a test calls a page."""
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    """The page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks, of some languages or of all."""
    found = [Block(*match) for match in _BLOCK.findall(text(page))]
    return [block for block in found if not languages or block.language in languages]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", text(page))


def links(page: Path) -> Iterator[Link]:
    """The links and pictures of a page that lead to files of the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "``", prose(page))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield Link(path, anchor)


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub names them, and elements with an id."""
    found: set[str] = set(re.findall(r'<a id="([^"]+)">', prose(page)))
    for title in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(next(one for one in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if one not in found))
    return found


def section(page: Path, heading: str) -> str:
    """From a heading to the next one of its level or a higher one."""
    level = heading.split(" ", 1)[0]
    found = re.search(
        rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text(page), re.MULTILINE | re.DOTALL
    )
    assert found, f"{name(page)} has no {heading!r}"
    return found[1]


def rows(part: str) -> Iterator[list[str]]:
    """The rows of the tables in a part of a page, cell by cell, without their heads."""
    before: list[str] = []
    for line in part.splitlines():
        if not line.startswith("|"):
            before = []
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if set(cells[0]) <= set("-: "):
            before = cells
        elif before:
            yield cells


def code(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)
