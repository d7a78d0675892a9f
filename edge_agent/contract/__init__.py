"""Applies a manifest's contract of a model's inputs and outputs: feeding, carried state, and scored output.

The stages of a job and :mod:`edge_agent.serving` share it, so an application gets exactly the outputs that were judged.

    feeding          a contract's windows and constants become the model's inputs
    carried_state    state that one call of a model hands to the next
    scored_output    the part of the model's outputs that is judged
"""

from typing import Protocol

from edge_agent.wire.manifest import InputContract, Output, State


def first_output(asked: "Contract") -> Output:
    """Return the output that the gates apply to: that of ``[output]``, or the first of ``[[outputs]]``."""
    return asked.outputs[0] if asked.outputs else asked.output


class Contract(Protocol):
    """The contract of a model's inputs and outputs, which both a manifest and a job's task contain."""

    @property
    def inputs(self) -> list[InputContract]:
        """The contract of each input, except for state."""
        ...

    @property
    def output(self) -> Output:
        """The contract of the judged output, if there is only one."""
        ...

    @property
    def outputs(self) -> list[Output]:
        """The contracts of several outputs; empty: there is one."""
        ...

    @property
    def state(self) -> list[State]:
        """The tensors that one call hands to the next."""
        ...
