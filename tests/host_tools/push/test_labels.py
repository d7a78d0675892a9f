"""A labelled set is sent only where its labels can decide."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.errors import ContractError, Refusal
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.wire.manifest import LABELLED_KINDS, Gates, Output
from host_tools.push.labelled_file import labelled_rows
from host_tools.push.labels import check_labelled, check_labelled_rows

X = (Tensor("x", (1, 128, 6), "float32"),)
SEVEN = ModelTensors(X, (Tensor("y", (1, 7), "float32"),))
ONE = ModelTensors(X, (Tensor("y", (1, 1), "float32"),))
PICTURE = ModelTensors(X, (Tensor("y", (1, 9, 9, 3), "float32"),))
EVERY = ", ".join(f'"{kind}"' for kind in LABELLED_KINDS)


@pytest.mark.parametrize(
    ("output", "signature", "remedy"),
    [
        (Output(), SEVEN, 'set [output] kind = "classes" (7 values: or regression, or embedding)'),
        (Output(), ONE, 'set [output] kind = "binary" (one value: or regression, or anomaly)'),
        (Output(), PICTURE, f"set [output] kind to one of {EVERY}"),
        (Output(), None, f"set [output] kind to one of {EVERY}"),
        (Output(kind="mask"), PICTURE, f"set the kind that they describe ({EVERY}), or leave the labelled set out"),
        (Output(kind="sequence"), SEVEN, "set [output] alphabet, the characters in the output's order"),
    ],
)
def test_labels_that_can_decide_nothing_are_refused_with_the_key_to_set(
    output: Output, signature: ModelTensors | None, remedy: str
) -> None:
    with pytest.raises(ContractError) as caught:
        check_labelled(output, signature)

    assert caught.value.code == "output_kind_needed"
    assert caught.value.message.endswith(f"; {remedy}")


def test_of_several_outputs_labels_are_of_the_first() -> None:
    outputs = (Tensor("map", (1, 9, 9, 3), "float32"), Tensor("class", (1, 7), "float32"))

    with pytest.raises(ContractError) as caught:
        check_labelled(Output(name="class"), ModelTensors(X, outputs), "[[outputs]] 1")

    assert caught.value.message.endswith('set [[outputs]] 1 kind = "classes" (7 values: or regression, or embedding)')


@pytest.mark.parametrize(
    ("output", "gates", "rows", "needed"),
    [
        (Output(kind="classes"), Gates(), 54, 88),
        (Output(kind="classes"), Gates(), 55, None),
        (Output(kind="binary"), Gates(), 10, 88),
        (Output(kind="regression"), Gates(max_accuracy_drop=0.1), 14, 25),
        (Output(kind="classes"), Gates(), 88, None),
        (Output(kind="classes"), Gates(max_accuracy_drop=0), 1, None),
        (Output(kind="regression"), Gates(), 1, None),
        (Output(kind="classes"), Gates(), None, None),
    ],
)
def test_rows_that_can_never_prove_it_are_refused_before_anything_is_sent(
    output: Output, gates: Gates, rows: int | None, needed: int | None
) -> None:
    if needed is None:
        check_labelled_rows(output, gates, rows, "e.npz")
        return
    with pytest.raises(Refusal, match=f"e.npz has {rows} rows; .* needs {needed}: give {needed}") as caught:
        check_labelled_rows(output, gates, rows, "e.npz")
    assert caught.value.code == "too_few_windows"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_counted_by_the_header_alone(tmp_path: Path, save: Any) -> None:
    for name, labels in {"one": np.arange(7), "two": np.zeros((9, 4, 5)), "text": np.array(["a", "b"])}.items():
        save(tmp_path / f"{name}.npz", x=np.zeros((3, 2)), labels=labels)
        assert labelled_rows(tmp_path / f"{name}.npz") == len(labels)


def test_what_does_not_tell_its_rows_is_left_to_the_device(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", x=np.zeros(3))
    np.savez(tmp_path / "single.npz", labels=np.float32(1))
    (tmp_path / "broken.npz").write_bytes((tmp_path / "none.npz").read_bytes()[:50])
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("labels.npy", b"\x93NUMPY\x01\x00\x10\x00" + b"[" * 16)

    np.savez_compressed(tmp_path / "damaged.npz", labels=np.arange(500))
    content = bytearray((tmp_path / "damaged.npz").read_bytes())
    first = 30 + len("labels.npy") + int.from_bytes(content[28:30], "little")
    content[first : first + 8] = b"\xff" * 8  # no deflate stream begins like this
    (tmp_path / "damaged.npz").write_bytes(content)

    files = [tmp_path / f"{name}.npz" for name in ("none", "single", "broken", "odd", "gone", "damaged")]
    assert [labelled_rows(file) for file in files] == [None] * 6


@pytest.mark.parametrize("kind", LABELLED_KINDS)
def test_a_kind_that_labels_are_of_will_do(kind: str) -> None:
    check_labelled(Output(kind=kind, alphabet="ab" if kind == "sequence" else ""), None)  # type: ignore[arg-type]
