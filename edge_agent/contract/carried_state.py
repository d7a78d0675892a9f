"""State that one call of a model hands to the next: each model carries its own, in the order of the rows.

If the data themselves contain a state input, it is used as given and not carried. The manifest declares which inputs
are state; nothing here guesses.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_agent.backends import Array, Feeds, Signature
from edge_agent.errors import ModelError
from edge_agent.wire.manifest import State


class Row(Protocol):
    """The data of one call: model input → array of full shape, and the number of its recording."""

    @property
    def feeds(self) -> Feeds:
        """The arrays."""
        ...

    @property
    def group(self) -> int | None:
        """The recording, or None if the rows are independent."""
        ...


class CarriedState:
    """The state of one model while it runs over rows."""

    def __init__(self, states: Sequence[State], info: Signature) -> None:
        """Check the declared states against the model.

        Raises:
            ModelError: ``model_unsupported`` if a declared state names no input or output of the model, or if the two
                are incompatible.
        """
        inputs = {spec.name: spec for spec in info.inputs}
        self._positions = {spec.name: index for index, spec in enumerate(info.outputs)}
        for state in states:
            if state.input not in inputs or state.output not in self._positions:
                raise ModelError(
                    "model_unsupported",
                    f"[[state]] names {state.input!r} and {state.output!r}; the model has the inputs "
                    f"{', '.join(inputs)} and the outputs {', '.join(self._positions)}; correct [[state]]",
                )
            want, have = inputs[state.input], info.outputs[self._positions[state.output]]
            if want.dtype != have.dtype or not _fits(want.shape, have.shape):
                raise ModelError(
                    "model_unsupported",
                    f"[[state]] output {state.output!r} ({have.dtype} {list(have.shape)}) cannot be handed to input "
                    f"{state.input!r} ({want.dtype} {list(want.shape)}); name the output that becomes that input",
                )
        self._states = tuple(states)
        self._initial = {
            state.input: np.full(
                [size or 1 for size in inputs[state.input].shape], state.initial, dtype=inputs[state.input].dtype
            )
            for state in states
        }
        self._current = dict(self._initial)
        self._group: int | None = None

    def feeds(self, row: Row) -> Feeds:
        """Return the model's inputs for ``row``: its arrays and the current state."""
        if row.group != self._group:
            self._group = row.group
            for state in self._states:
                if state.reset == "recording":
                    self._current[state.input] = self._initial[state.input]
        return {**self._current, **row.feeds}

    def keep(self, outputs: Sequence[Array]) -> None:
        """Store the state from the model's outputs."""
        for state in self._states:
            self._current[state.input] = outputs[self._positions[state.output]]


def _fits(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Return whether two shapes can be equal; None is an unknown dimension, and an empty shape an unknown rank."""
    return not other or (
        len(one) == len(other) and all(None in (a, b) or a == b for a, b in zip(one, other, strict=True))
    )
