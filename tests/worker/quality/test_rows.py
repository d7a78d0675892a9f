import numpy as np
import pytest
from support.captures import motion

from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import SPLITS, split_rows
from edge_agent.worker.quality.rows import Rows


def look(rows: np.ndarray, *, fixed: np.ndarray | None = None, groups: np.ndarray | None = None) -> list[Finding]:
    """All findings of rows that were split as an ``.npz`` is."""
    parts = split_rows(len(rows), seed=0, heldout_apart=False, groups=groups)
    watch = Rows({split: len(parts[split]) for split in SPLITS})
    for split in SPLITS:
        for index in parts[split]:
            feeds = {"x": rows[index]} | ({} if fixed is None else {"gain": fixed})
            watch.add(split, feeds)
    return watch.findings()


def codes(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.code, finding.refuse) for finding in findings]


def cut(size: int, hop: int, count: int = 120) -> np.ndarray:
    """Windows ``[count, size, 3]`` of one recording."""
    samples = motion(size + hop * (count - 1))
    return np.stack([samples[start : start + size] for start in range(0, hop * count, hop)])


def test_windows_that_share_nothing_raise_nothing() -> None:
    assert look(cut(40, 40)) == []


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("hop", [1, 20, 35])
def test_overlapping_windows_in_two_sets_are_one_burst(hop: int, axes: tuple[int, ...]) -> None:
    found = look(np.ascontiguousarray(cut(40, hop).transpose(axes)))

    assert ("same_burst", False) in codes(found)
    assert any("held-out rows overlap rows of the other sets" in finding.message for finding in found)


def test_groups_keep_overlapping_windows_together() -> None:
    rows = np.concatenate([cut(40, 20, 30) + np.float32(0.0001 * recording) for recording in range(6)])

    assert "same_burst" not in [code for code, _ in codes(look(rows, groups=np.repeat(np.arange(6), 30)))]


def test_silence_in_all_rows_is_no_overlap() -> None:
    rows = cut(40, 40)
    rows[:, 10:] = 0

    assert "same_burst" not in [code for code, _ in codes(look(rows))]


def test_an_input_that_never_changes_is_refused_if_there_is_no_other() -> None:
    rows = np.zeros((60, 8), np.float32)

    assert ("constant_channel", True) in codes(look(rows))
    assert codes(look(cut(40, 40), fixed=np.float32([1, 1]))) == [("constant_channel", False)]


def test_repeated_rows_are_said() -> None:
    rows = np.concatenate([cut(40, 40, 20)] * 6)

    messages = [finding.message for finding in look(rows) if finding.code == "duplicate_windows"]

    assert any("held-out rows are also in calibration or search" in message for message in messages)
    assert any("calibration rows repeat another one" in message for message in messages)


def test_held_out_rows_of_another_scale_are_said() -> None:
    rows = cut(40, 40)
    heldout = split_rows(len(rows), seed=0, heldout_apart=False)["heldout"]
    rows[heldout] *= 4

    assert codes(look(rows)) == [("sets_unlike", False)]
