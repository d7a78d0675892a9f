"""What pip writes down of where a package came from, read in one place."""

import ast
import json
from pathlib import Path

import pytest

from edge_agent.advice.direct_url import Origin, read_origin

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("record", "origin"),
    [
        (None, None),
        ("", None),
        ({"url": "https://example.org/x.whl", "archive_info": {}}, Origin("https://example.org/x.whl")),
        ({"url": "file:///x", "dir_info": {}}, Origin("file:///x")),
        ({"url": "file:///x", "dir_info": {"editable": True}}, Origin("file:///x", editable=True)),
        (
            {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            Origin("git+https://example.org/x.git@c0ffee"),
        ),
    ],
)
def test_an_origin_is_read(record: object, origin: Origin | None) -> None:
    assert read_origin(json.dumps(record) if isinstance(record, dict) else None) == origin


def test_nothing_else_reads_that_record() -> None:
    readers = [
        path.name for path in (ROOT / "edge_agent").rglob("*.py")
        if any(
            isinstance(node, ast.Constant) and node.value in ("vcs_info", "direct_url.json")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]  # fmt: skip

    assert readers == ["direct_url.py"]
