"""What a manifest says of a model's ends, applied: how it is fed, what state it carries, what of its outputs counts.

Stages of a job and :mod:`edge_agent.serving` share it, so an application gets what was judged.

    feeding          a contract's windows and constants become the model's inputs
    carried_state    state that a model hands from one call to the next
    scored_output    what is taken out of the model's outputs
"""

from typing import Protocol

from edge_agent.wire.manifest import InputContract, Output, State


def first_output(asked: "Contract") -> Output:
    """The output that the gates are about: the one of ``[output]``, or the first of ``[[outputs]]``."""
    return asked.outputs[0] if asked.outputs else asked.output


class Contract(Protocol):
    """What is said of a model's ends; a manifest says it, and so does a job's task."""

    @property
    def inputs(self) -> list[InputContract]:
        """How each input is fed, state apart."""
        ...

    @property
    def output(self) -> Output:
        """What the one output that is judged means, where there is one."""
        ...

    @property
    def outputs(self) -> list[Output]:
        """What each of several outputs means; empty: there is one."""
        ...

    @property
    def state(self) -> list[State]:
        """What is handed from one call to the next."""
        ...
