"""The conformance set: every row ends as it must, but for those that are known not to."""

from pathlib import Path

import pytest
from verdicts.case import Case, ended_right
from verdicts.harness import judge
from verdicts.known_failures import KNOWN, why
from verdicts.table import CASES


def _parameter(case: Case) -> object:
    reason = why(case)
    known = () if reason is None else (pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason),)
    return pytest.param(case, id=case.name.replace(" ", "-"), marks=known)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_it_ends_as_it_must(case: Case, tmp_path: Path) -> None:
    end = judge(case, tmp_path)

    assert ended_right(case.right, end), f"{end.code or 'accepted'}: {end.message}; said: {list(end.warnings)}"


def test_names_are_not_used_twice() -> None:
    names = [case.name for case in CASES]

    assert len(names) == len(set(names))
    assert len(names) >= 40


def test_what_is_known_to_fail_is_in_the_table() -> None:
    assert {name for names in KNOWN.values() for name in names} <= {case.name for case in CASES}


def test_the_page_counts_what_is_known_to_fail() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")

    for line in [line for line in page.splitlines() if line.startswith("| all |")]:
        rows, *wrong = map(int, line.strip("| ").split(" | ")[1:])
        assert rows == len(CASES), "paste what `make verdicts` prints"
        assert sum(wrong) == sum(why(case) is not None for case in CASES), "paste what `make verdicts` prints"
