"""Judges the conformance set and prints its counts: ``python -m tests.verdicts [--all] [WORD...]`` (``make verdicts``).

With words, only rows whose name holds one of them; ``--all`` also tells each row's end. Exit 1 if a row is accepted
that must not be.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from verdicts.case import Case  # noqa: E402  # after the path above
from verdicts.counts import Finding, compare, table  # noqa: E402
from verdicts.harness import judge  # noqa: E402
from verdicts.table import CASES  # noqa: E402


def main(arguments: list[str]) -> int:
    """Judge, print, and say whether something was accepted that must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.verdicts", description="Judge the conformance set.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only rows whose name holds one of these")
    parser.add_argument("--all", action="store_true", help="tell of every row, not only of those that end wrong")
    options = parser.parse_args(arguments)
    wanted = [case for case in CASES if not options.words or any(word in case.name for word in options.words)]
    found = [_judged(case, tell_all=options.all) for case in wanted]
    for by in ("kind", "wrong"):
        print("", *table(found, by=by), sep="\n")
    return int(any(finding is Finding.FALSE_ACCEPT for _, finding in found))


def _judged(case: Case, *, tell_all: bool) -> tuple[Case, Finding]:
    with tempfile.TemporaryDirectory() as folder:
        end = judge(case, Path(folder))
    finding = compare(case, end)
    if tell_all or finding is not Finding.RIGHT:
        right = " or ".join(sorted(code or "accepted" for code in case.right.codes))
        told = ", and told of" if case.right.said else ""
        print(f"{finding}: {case.name}: {end.code or 'accepted'}; right: {right}{told}", flush=True)
    return case, finding


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
