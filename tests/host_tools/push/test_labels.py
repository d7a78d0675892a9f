"""A labelled set is sent only where its labels can decide."""

import pytest

from edge_agent.errors import ContractError
from edge_agent.wire.manifest import LABELLED_KINDS, Output
from host_tools.model.tensors import ModelTensors, Tensor
from host_tools.push.labels import check_labelled

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
        (Output(kind="mask"), PICTURE, f"set the kind that they are of ({EVERY}), or leave the labelled set out"),
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


@pytest.mark.parametrize("kind", LABELLED_KINDS)
def test_a_kind_that_labels_are_of_will_do(kind: str) -> None:
    check_labelled(Output(kind=kind, alphabet="ab" if kind == "sequence" else ""), None)  # type: ignore[arg-type]
