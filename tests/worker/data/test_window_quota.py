import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.worker.data.window_quota import WindowQuota


def taken(folder: Path, size: Callable[[int], int], *, windows: int = 100, most: int | None = 1000) -> list[int]:
    quota = WindowQuota(folder, windows, most)
    for number in range(windows):
        quota.take(number, size(number))
    return sorted(quota.taken)


def test_all_that_fit_are_kept(tmp_path: Path) -> None:
    assert len(taken(tmp_path, lambda _: 10)) == len(taken(tmp_path, lambda _: 0)) == 100


def test_of_more_every_nth_is_kept(tmp_path: Path) -> None:
    assert taken(tmp_path, lambda _: 50) == list(range(0, 100, 5))


@pytest.mark.parametrize("size", [lambda number: 1 if number == 0 else 100, lambda number: 1 + number])
def test_a_first_window_that_is_small_does_not_fill_the_disk(tmp_path: Path, size: Callable[[int], int]) -> None:
    kept = taken(tmp_path, size)

    assert sum(map(size, kept)) <= 1000
    assert len(kept) > 5
    assert kept[-1] > 50, "windows from the whole set"


def test_one_is_kept_whatever_it_takes(tmp_path: Path) -> None:
    assert taken(tmp_path, lambda _: 5000) == [0]


def test_a_disk_with_little_free_leaves_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    assert taken(tmp_path, lambda _: 100, most=None) == list(range(0, 100, 10))
