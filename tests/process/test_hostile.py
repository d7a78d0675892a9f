"""What a model can do that has taken over its worker, and that SECURITY.md says so: each act is really tried.

``python tests/process/test_hostile.py`` prints the table for SECURITY.md.
"""

import os
import sys
from functools import cache
from pathlib import Path

import pytest
from support import hostile
from support.acts import ACTS
from support.hostile import Setting

from edge_agent.process import landlock, seccomp

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
SETTINGS = {
    "unit, Landlock": Setting(unit=True, landlock=True),
    "unit, none": Setting(unit=True, landlock=False),
    "no unit, Landlock": Setting(unit=False, landlock=True),
    "no unit, none": Setting(unit=False, landlock=False),
}
_LANDLOCK = "yes: needs Landlock"
_EITHER = "yes: needs Landlock, or the unit's user"
ALLOWED = {
    ("write another model's release", "unit, none"): _LANDLOCK,
    ("write another model's release", "no unit, none"): _LANDLOCK,
    ("read the configuration, keys, other jobs' data", "unit, none"): _LANDLOCK,
    ("read the configuration, keys, other jobs' data", "no unit, none"): _LANDLOCK,
    ("write to a device", "unit, none"): _LANDLOCK,
    ("write to a device", "no unit, none"): _LANDLOCK,
    ("write into a person's home", "no unit, none"): _EITHER,
}

needs_seccomp = pytest.mark.skipif(not seccomp.available(), reason="this kernel has no seccomp filters")
tried = cache(hostile.run)


def table() -> list[str]:
    """The lines of the table."""
    rows = [[act, *(ALLOWED.get((act, setting), "no") for setting in SETTINGS)] for act in ACTS]
    head = [["a model that took over its worker can", *SETTINGS], ["---"] * (1 + len(SETTINGS))]
    return [f"| {' | '.join(cells)} |" for cells in (*head, *rows)]


@needs_seccomp
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("named", SETTINGS)
def test_what_is_refused_is_refused_and_what_is_not_is_said(named: str, act: str) -> None:
    setting = SETTINGS[named]
    if setting.landlock and not landlock.abi():
        pytest.skip("this kernel has no Landlock")
    if setting.unit and os.getuid() != 0:  # nobody else's home can be made
        pytest.skip("needs root, to be a user of its own")

    done = tried(setting)[act]

    assert done is ((act, named) in ALLOWED)


def test_the_page_says_it() -> None:
    lines = SECURITY.read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line in table()] == table()


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
