"""What a user who may not open something is told: the group only where joining it would let them do what they want."""

import grp
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.unprivileged import open_folder

from edge_agent.advice import permission
from edge_agent.advice.permission import not_permitted

MEMBERS = grp.getgrall()[-1]


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file whose group is one that this process is not of."""
    monkeypatch.setattr(permission, "_mine", list)
    with open_folder() as folder:
        path = folder / "file"
        path.touch()
        if os.getuid() == 0:
            os.chown(path, 0, MEMBERS.gr_gid)
            os.chown(folder, 0, MEMBERS.gr_gid)
        yield path


def group_of(path: Path) -> str:
    return grp.getgrgid(path.stat().st_gid).gr_name


@pytest.mark.parametrize(
    ("bits", "mode", "helps"),
    [
        (0o640, os.R_OK, True),
        (0o640, os.W_OK, False),
        (0o640, os.R_OK | os.W_OK, False),
        (0o660, os.R_OK | os.W_OK, True),
        (0o600, os.R_OK, False),
    ],
)
def test_the_group_is_named_where_it_may_do_what_is_wanted(owned: Path, bits: int, mode: int, *, helps: bool) -> None:
    owned.chmod(bits)

    assert (f"join the group {group_of(owned)}" in not_permitted(owned, mode=mode)) is helps
    assert "join" not in not_permitted(owned, mode=mode, owner=True)


@pytest.mark.parametrize(
    ("bits", "mode", "helps"),
    [(0o750, os.R_OK, True), (0o740, os.R_OK, False), (0o750, os.W_OK, False), (0o770, os.W_OK, True)],
)
def test_a_folder_must_let_its_group_through(owned: Path, bits: int, mode: int, *, helps: bool) -> None:
    folder = owned.parent
    folder.chmod(bits)
    try:
        assert ("join the group" in not_permitted(folder, mode=mode)) is helps
        assert ("join the group" in not_permitted(folder / "new", mode=mode)) is helps
    finally:
        folder.chmod(0o755)


def test_a_group_that_the_user_is_of_already_is_no_advice(owned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned.chmod(0o640)
    monkeypatch.setattr(permission, "_mine", lambda: [group_of(owned), "dialout"])

    assert not_permitted(owned).endswith("; use sudo")
    assert not_permitted(owned, "dialout", mode=os.W_OK).endswith("; use sudo")
