"""The first look at a labelled set: what is wrong with it has a code, whatever somebody put into the file."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy_format
from support.captures import context, model_info

from edge_agent.backends import ModelInfo
from edge_agent.errors import CODES, EdgeAgentError
from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Gates, Output, State
from edge_agent.worker.capture import labelled_set
from edge_agent.worker.capture.labelled_set import LabelledSummary, check_labelled_set, open_labelled

FLAT = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 3))})
FREE = model_info({"x": ("float32", (None, None))}, {"y": ("float32", (1, 3))})
STATEFUL = model_info({"x": ("float32", (1, 4)), "h": ("float32", (1, 2))}, {"y": ("float32", (1, 3))})
VALUES = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
LABELS = np.arange(120) % 3
CLASSES = Output(kind="classes")
_npy: Any = npy_format


def asked(folder: Path, **fields: Any) -> Any:
    task = Task(job="j", name="m", version=1, format="onnx", model="model.onnx", eval="eval.npz", **fields)
    return context(folder, task)


def checked(folder: Path, info: ModelInfo = FLAT, **fields: Any) -> LabelledSummary:
    """Look at ``eval.npz`` in ``folder``; it is a job of classes unless ``fields`` say otherwise."""
    return check_labelled_set(asked(folder, **{"output": CLASSES, **fields}), info)


def refused(folder: Path, info: ModelInfo = FLAT, **fields: Any) -> EdgeAgentError:
    with pytest.raises(EdgeAgentError) as error:
        checked(folder, info, **fields)
    return error.value


def save(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "eval.npz", **arrays)


def test_a_sound_set_is_read_as_it_was_given(tmp_path: Path) -> None:
    save(tmp_path, x=VALUES, labels=LABELS, groups=np.arange(120) // 40)

    said = checked(tmp_path)

    rows = list(open_labelled(asked(tmp_path), FLAT).rows("eval"))
    assert said == LabelledSummary(120, [], ["classes"])
    assert all(np.array_equal(row.feeds["x"], VALUES[row.index][None]) for row in rows)
    assert [row.label for row in rows] == LABELS.tolist()
    assert [row.group for row in rows] == (np.arange(120) // 40).tolist()


def test_arrays_that_are_fed_as_another_type_or_not_at_all_are_warned_of(tmp_path: Path) -> None:
    save(tmp_path, x=(VALUES * 9).astype(np.int16), labels=LABELS, ids=LABELS)

    warnings = checked(tmp_path).warnings

    assert warnings == [
        "the labelled set: array 'x' holds int16 and is fed as float32",
        "the labelled set: arrays that feed no input are not used: 'ids'",
    ]


@pytest.mark.parametrize(("rows", "few"), [(55, True), (87, True), (88, False)])
def test_rows_that_prove_accuracy_only_with_luck_are_warned_of_before_the_capture(
    tmp_path: Path, rows: int, *, few: bool
) -> None:
    save(tmp_path, x=VALUES[:rows], labels=LABELS[:rows])

    said = (
        f"the labelled set has few windows, {rows}: without an error it takes 88 to prove max_accuracy_drop, and fewer "
        "prove it only if int8 has rows right that float has wrong; give 88 rows or more"
    )
    assert checked(tmp_path).warnings == ([said] if few else [])
    assert checked(tmp_path, gates=Gates(max_accuracy_drop=0.0)).warnings == []


def _objects(folder: Path) -> None:
    save(folder, x=VALUES, labels=np.array([{}] * 120, dtype=object))


def _no_zip(folder: Path) -> None:
    (folder / "eval.npz").write_bytes(b"\x93NUMPY nothing of the kind")


def _no_file(folder: Path) -> None:
    (folder / "eval.npz").unlink(missing_ok=True)


def _no_labels(folder: Path) -> None:
    save(folder, x=VALUES)


def _no_input(folder: Path) -> None:
    save(folder, first=VALUES, second=VALUES, labels=LABELS)


def _wrong_shape(folder: Path) -> None:
    save(folder, x=VALUES[:, :3], labels=LABELS)


def _wrong_count(folder: Path) -> None:
    save(folder, x=VALUES, labels=LABELS[:-1])


def _wrong_type(folder: Path) -> None:
    save(folder, x=VALUES.astype(np.complex64), labels=LABELS)


def _nan(folder: Path) -> None:
    values = VALUES.copy()
    values[[7, 9], 2] = np.nan
    save(folder, x=values, labels=LABELS)


def _infinite_label(folder: Path) -> None:
    save(folder, x=VALUES, labels=np.where(LABELS == 2, np.inf, LABELS))


def _strange_label(folder: Path) -> None:
    save(folder, x=VALUES, labels=LABELS + 1)


def _words(folder: Path) -> None:
    save(folder, x=VALUES, labels=np.array(["cat", "dog", "hen"])[LABELS])


def _negative_label(folder: Path) -> None:
    save(folder, x=VALUES, labels=LABELS - 1)


def _not_a_number(folder: Path) -> None:
    save(folder, x=VALUES, labels=np.where(LABELS == 2, np.nan, LABELS))


def _between_numbers(folder: Path) -> None:
    save(folder, x=VALUES, labels=LABELS + 0.5)


def _no_text(folder: Path) -> None:
    text = np.full(120, 0x7FFFFFFF, np.uint32).view("<U1")
    save(folder, x=VALUES, labels=text)


def _no_rows(folder: Path) -> None:
    save(folder, x=VALUES[:0], labels=LABELS[:0])


def _single_values(folder: Path) -> None:
    save(folder, x=np.float32(1), labels=np.int64(1))


def _member(shape: tuple[int, ...], data: bytes = b"", descr: str = "<f4") -> bytes:
    """An ``.npy`` whose header says ``shape``, whatever follows it."""
    out = io.BytesIO()
    _npy.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


def _zip(folder: Path, **members: bytes) -> None:
    with zipfile.ZipFile(folder / "eval.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def _promises_more_than_it_has(folder: Path) -> None:
    _zip(folder, x=_member((10**15, 4), bytes(64)), labels=_member((10**15,), bytes(64), "<i8"))


def _negative(folder: Path) -> None:
    _zip(folder, x=_member((-120, -4), bytes(1920)), labels=_member((-120,), bytes(960), "<i8"))


def _rows_of_nothing(folder: Path) -> None:
    _zip(folder, x=_member((10**15, 0)), labels=_member((10**15,), descr="<U0"))


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (_objects, "data_unreadable"),
        (_no_zip, "data_unreadable"),
        (_no_file, "data_unreadable"),
        (_no_labels, "input_missing"),
        (_no_input, "input_missing"),
        (_wrong_shape, "shape_mismatch"),
        (_wrong_count, "shape_mismatch"),
        (_wrong_type, "dtype_mismatch"),
        (_nan, "non_finite"),
        (_infinite_label, "non_finite"),
        (_strange_label, "shape_mismatch"),
        (_words, "shape_mismatch"),
        (_negative_label, "shape_mismatch"),
        (_between_numbers, "shape_mismatch"),
        (_not_a_number, "non_finite"),
        (_no_text, "data_unreadable"),
        (_no_rows, "data_unreadable"),
        (_single_values, "shape_mismatch"),
        (_promises_more_than_it_has, "data_unreadable"),
        (_negative, "data_unreadable"),
        (_rows_of_nothing, "data_unreadable"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, write: Callable[[Path], None], code: str) -> None:
    write(tmp_path)

    error = refused(tmp_path, FREE if write is _rows_of_nothing else FLAT)

    assert error.code == code, error.message
    assert "labelled set" in error.message or "eval.npz" in error.message or "label" in error.message
    assert CODES[code].status in ("failed", "rejected")


def test_the_first_wrong_row_is_named(tmp_path: Path) -> None:
    _nan(tmp_path)

    assert refused(tmp_path).message == (
        "2 of 120 rows of the labelled set hold NaN or Inf; the first is row 7 of 'x'; remove them"
    )
    _strange_label(tmp_path)
    assert refused(tmp_path).message.startswith(
        "row 2 of the labelled set: a label [3.0] fits no output of kind classes"
    )


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 64 MiB of zeros in 64 KiB of zip; the limit stands for the real one, which would take minutes to write.
    monkeypatch.setattr(labelled_set, "MAX_UNPACKED_BYTES", 32 << 20)
    _zip(tmp_path, x=_member((1 << 22, 4), bytes(64 << 20)), labels=_member((1 << 22,), bytes(32 << 20), "<i8"))
    monkeypatch.setattr("edge_agent.worker.data.npz_rows._exactly", lambda *_: pytest.fail("it was unpacked"))

    error = refused(tmp_path)

    assert (tmp_path / "eval.npz").stat().st_size < 1 << 18
    assert error.code == "data_unreadable"
    assert "unpacks to 101 MB" in error.message


def test_more_rows_than_anybody_labels_are_not_read(tmp_path: Path) -> None:
    save(tmp_path, x=np.zeros((100_001, 4), np.int8), labels=np.zeros(100_001, np.int8))

    assert "give 1 to 100000" in refused(tmp_path).message


def test_a_row_that_no_memory_holds_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_set, "MAX_ROW_BYTES", 1 << 20)
    save(tmp_path, x=np.zeros((1, 1 << 19), np.float32), labels=np.zeros(1))

    assert (
        "takes 2.1 MB, and the limit is 1.05 MB; give smaller rows" in refused(tmp_path, FREE, output=Output()).message
    )


def test_transposed_arrays_are_unpacked_only_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, x=np.asfortranarray(VALUES), labels=LABELS)
    assert checked(tmp_path).windows == 120
    usage = type("Usage", (), {"free": labelled_set._RESERVE_BYTES + 100})
    monkeypatch.setattr(labelled_set.shutil, "disk_usage", lambda _: usage)

    assert refused(tmp_path).code == "no_space"


def test_the_sum_in_the_zip_is_checked(tmp_path: Path) -> None:
    save(tmp_path, x=VALUES, labels=LABELS)
    data = bytearray((tmp_path / "eval.npz").read_bytes())
    data[data.index(VALUES[60].tobytes()) + 2] ^= 8
    (tmp_path / "eval.npz").write_bytes(data)

    assert refused(tmp_path).code == "data_unreadable"


def test_broken_bytes_anywhere_end_with_a_code(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", x=VALUES[:20], labels=LABELS[:20])
    whole = (tmp_path / "whole.npz").read_bytes()
    seeded = random.Random(3)  # noqa: S311  # no secret
    codes = set()
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(seeded.randint(1, 4)):
            data[seeded.randrange(len(data))] = seeded.randrange(256)
        (tmp_path / "eval.npz").write_bytes(data[: seeded.choice([len(data), seeded.randrange(len(data))])])
        try:
            checked(tmp_path, gates=Gates(max_accuracy_drop=0))
        except EdgeAgentError as error:
            codes.add(error.code)

    assert "data_unreadable" in codes


@pytest.mark.parametrize(
    ("gates", "output", "code"),
    [
        (Gates(), CLASSES, "too_few_windows"),
        (Gates(), Output(kind="binary"), "too_few_windows"),
        (Gates(max_accuracy_drop=0.03), Output(kind="regression"), "too_few_windows"),
        (Gates(max_accuracy_drop=0.03), Output(), "too_few_windows"),
        (Gates(max_accuracy_drop=0), CLASSES, ""),
        (Gates(max_accuracy_drop=0.1), CLASSES, ""),
        (Gates(), Output(), ""),
        (Gates(), Output(kind="regression"), ""),
    ],
)
def test_too_few_to_prove_anything_is_said_before_the_capture(
    tmp_path: Path, gates: Gates, output: Output, code: str
) -> None:
    info = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 3 if output.kind in (None, "classes") else 1))})
    save(tmp_path, x=VALUES[:54], labels=LABELS[:54] % 2)
    if not code:
        assert checked(tmp_path, info, gates=gates, output=output).windows == 54
        return

    error = refused(tmp_path, info, gates=gates, output=output)

    assert error.code == code
    assert "has 54 windows" in error.message
    assert "needs 88" in error.message
    save(tmp_path, x=VALUES[:55], labels=LABELS[:55] % 2)
    assert checked(tmp_path, info, gates=gates, output=output).windows == 55


def test_carried_state_wants_recordings_in_one_piece(tmp_path: Path) -> None:
    save(tmp_path, x=VALUES, labels=LABELS, groups=LABELS)
    state = [State("h", "y")]

    assert refused(tmp_path, STATEFUL, state=state).code == "data_unreadable"
    save(tmp_path, x=VALUES, labels=LABELS, groups=np.sort(LABELS))
    assert checked(tmp_path, STATEFUL, state=state).windows == 120


ONE = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 1))})
MAP = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 3, 8, 8))})
STRINGS = np.array(["ab", "ba", "b"])[LABELS]
SPELLED = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 5, 3))})


@pytest.mark.parametrize(
    ("labels", "info", "output", "fits"),
    [
        (LABELS, FLAT, CLASSES, ["classes"]),
        (LABELS, FLAT, Output(), ["classes"]),
        (np.eye(3)[LABELS], FLAT, Output(kind="binary"), ["binary"]),
        (LABELS % 2, ONE, Output(), ["binary", "regression"]),
        (LABELS % 2 == 1, ONE, Output(kind="anomaly"), ["anomaly"]),
        (LABELS * 0.7, ONE, Output(), ["regression"]),
        (LABELS * 0.7, ONE, Output(kind="regression"), ["regression"]),
        (STRINGS, SPELLED, Output(kind="sequence", alphabet="ab"), ["sequence"]),
    ],
)
def test_the_kinds_that_labels_fit_are_known(
    tmp_path: Path, labels: Any, info: ModelInfo, output: Output, fits: list[str]
) -> None:
    save(tmp_path, x=VALUES, labels=labels)

    assert checked(tmp_path, info, output=output).fits == fits


@pytest.mark.parametrize(
    ("labels", "info", "output", "code", "key"),
    [
        (LABELS + 1, FLAT, CLASSES, "shape_mismatch", 'correct [output] kind = "classes"'),
        (LABELS + 1, FLAT, Output(), "output_kind_needed", "set [output] kind"),
        (LABELS + 1, FLAT, Output(), "output_kind_needed", "give one class number from 0 to 2 a row"),
        (LABELS - 1, FLAT, Output(), "output_kind_needed", "row 0 of the labelled set"),
        (LABELS - 1, FLAT, Output(), "output_kind_needed", "give one class number from 0 to 2 a row"),
        (
            np.eye(3)[LABELS],
            FLAT,
            Output(),
            "output_kind_needed",
            "give one class number per row (labels.argmax(axis=1))",
        ),
        (STRINGS, FLAT, Output(), "output_kind_needed", 'kind = "sequence" and alphabet'),
        (STRINGS, ONE, Output(kind="regression"), "shape_mismatch", "'ab' is no number; give a number"),
        (STRINGS, SPELLED, Output(kind="sequence"), "output_kind_needed", "set [output] alphabet"),
        (
            STRINGS,
            SPELLED,
            Output(kind="sequence", alphabet="xb"),
            "shape_mismatch",
            "what [output] alphabet lacks, 'a'; add it",
        ),
        (LABELS, ONE, Output(kind="anomaly"), "shape_mismatch", '[output] kind = "anomaly"'),
        (LABELS, FLAT, Output(kind="embedding"), "output_kind_needed", '("classes", "binary", "regression"'),
        (LABELS, FLAT, Output(kind="raw"), "output_kind_needed", "or leave the set out"),
        (LABELS, MAP, Output(), "output_kind_needed", "fit no kind for an output of shape 1x3x8x8"),
        (np.zeros((120, 3)), FLAT, Output(), "output_kind_needed", 'set [output] kind = "binary"'),
    ],
)
def test_labels_that_could_decide_nothing_are_refused_with_the_key_to_set(
    tmp_path: Path, labels: Any, info: ModelInfo, output: Output, code: str, key: str
) -> None:
    save(tmp_path, x=VALUES, labels=labels)

    error = refused(tmp_path, info, output=output)

    assert error.code == code
    assert key in error.message


DETECTOR = model_info({"x": ("float32", (1, 4))}, {"y": ("float32", (1, 7, 84))})
BOXES = np.tile(np.array([[0, 0, 9, 9, 2], [0, 0, 0, 0, -1]], np.float32), (120, 1, 1))


def test_labels_of_a_detector_are_boxes(tmp_path: Path) -> None:
    """Though nobody has said how its output is laid out: that shows when float has run."""
    save(tmp_path, x=VALUES, labels=BOXES)

    assert checked(tmp_path, DETECTOR, output=Output(kind="detection_head")).fits == ["detection_head"]


@pytest.mark.parametrize(
    "labels", [LABELS, BOXES[:, 0], BOXES[..., :4], BOXES + 0.5], ids=["class", "row", "4", "half"]
)
def test_other_labels_say_nothing_about_a_detector(tmp_path: Path, labels: Any) -> None:
    save(tmp_path, x=VALUES, labels=labels)

    error = refused(tmp_path, DETECTOR, output=Output(kind="detection_head"))

    assert error.code == "shape_mismatch"
    assert "row 0 of the labelled set: a label of shape" in error.message
