"""Checks whether a labelled set can decide anything, by ``[output]`` or the first of ``[[outputs]]``. Pure.

Without a named kind, a device finds it from float's outputs after the capture, and the labels may not fit that kind. So
a labelled set is not sent without the kind of its labels.
"""

from edge_agent.draft.outputs import kind_of
from edge_agent.errors import ContractError, Refusal
from edge_agent.jobs.labelled_rows import labelled_rows_needed
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.wire.manifest import LABELLED_KINDS, Gates, Output


def check_labelled(output: Output, signature: ModelTensors | None, table: str = "[output]") -> None:
    """Raise ``ContractError`` (output_kind_needed), with the key to set, unless labels can describe ``output``.

    Args:
        output: the manifest's output.
        signature: the model's inputs and outputs; None: not known here.
        table: the manifest's table that holds ``output``.
    """
    if output.kind is None:
        trouble = "a labelled set needs the kind of output that its labels describe"
        guess = kind_of(signature.alone(output.name)) if signature is not None else None
        if guess is not None and guess.kind in LABELLED_KINDS:
            remedy = f'set {table} kind = "{guess.kind}" ({guess.why})'
        else:
            remedy = f"set {table} kind to one of {_all_kinds()}"
    elif output.kind not in LABELLED_KINDS:
        trouble = f'labels say nothing about {table} kind = "{output.kind}"'
        remedy = f"set the kind that they describe ({_all_kinds()}), or leave the labelled set out"
    elif output.kind == "sequence" and not output.alphabet:
        trouble = 'labels of kind = "sequence" are strings'
        remedy = f"set {table} alphabet, the characters in the output's order"
    else:
        return
    raise ContractError("output_kind_needed", f"{trouble}; {remedy}")


def check_labelled_rows(output: Output, gates: Gates, rows: int | None, file: str) -> None:
    """Raise ``Refusal`` (too_few_windows) if the rows are too few to prove the ``gates``.

    Args:
        output: the output that the labels describe.
        gates: the manifest's gates.
        rows: the rows of the labelled set; None: not known here.
        file: the labelled set's name.
    """
    needed = labelled_rows_needed(gates, output.kind)
    if rows is not None and needed is not None and rows < needed.fewest:
        raise Refusal(
            "too_few_windows",
            f"{file} has {rows} rows; to prove max_accuracy_drop it needs {needed.enough}: give {needed.enough} rows "
            "or more, or set [gates] max_accuracy_drop = 0, and it will not decide",
        )


def _all_kinds() -> str:
    return ", ".join(f'"{kind}"' for kind in LABELLED_KINDS)
