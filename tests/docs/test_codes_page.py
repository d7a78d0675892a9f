"""``docs/codes.md`` is made from ``edge_agent/errors.py``.

After a change there: PYTHONPATH=. python tests/docs/test_codes_page.py
"""

from pathlib import Path

from edge_agent.errors import CODES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "codes.md"
HEAD = """\
# Every code

```text
refused: channel 'az' stood still for 2800 samples while others moved; check that channel's sensor (stuck_channel)
  to do: check that channel's sensor
```

Each job, refusal and failed command ends with one of these codes, a sentence about this case, and what to do. Codes are
stable: programs may compare them. The former model stays active, whatever the code.

This page is generated from [`edge_agent/errors.py`](../edge_agent/errors.py).
"""
SECTIONS = {
    "rejected": ("Rejected", "The model ran, and a gate or the data said no."),
    "failed": ("Failed", "Something is broken, missing or not allowed."),
    "succeeded": ("Succeeded", "The job ended with a new active release."),
    "canceled": ("Canceled", "The job ended before its verdict."),
    "warning": ("Warnings", "The code stands in `data.findings` of the result, and the job goes on."),
    "error": ("Errors", "These are not about a job: a message, a command or the daemon itself."),
}


def page() -> str:
    """The page."""
    lines = [HEAD]
    for status, (title, meaning) in SECTIONS.items():
        lines += [f"## {title}", "", meaning, "", "| code | meaning | what to do |", "|---|---|---|"]
        lines += [
            f'| <a id="{name}"></a>`{name}` | {code.meaning} | {code.remedy} |'
            for name, code in CODES.items()
            if code.status == status
        ]
        lines.append("")
    return "\n".join(lines)


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/docs/test_codes_page.py"


def test_every_code_is_on_the_page_once() -> None:
    assert [page().count(f'id="{name}"') for name in CODES] == [1] * len(CODES)


def test_every_code_is_raised_somewhere() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for top in ("edge_agent", "host_tools")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "errors.py"
    )

    assert [code for code in CODES if f'"{code}"' not in sources] == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
