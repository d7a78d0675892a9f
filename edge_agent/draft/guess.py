"""Collects the guesses about a model's manifest. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from edge_agent.draft.inputs import Feed, constant_of, feed_of, is_fixed
from edge_agent.draft.outputs import KindGuess, kind_of
from edge_agent.draft.states import carried
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.wire.manifest import InputContract, Output, State

Constant = tuple[int | float | bool, str]
"""A fixed value and its reason."""


class Stated(NamedTuple):
    """A guess in words: its subject, its content and its reason."""

    about: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class InputGuess:
    """How one input is fed: from windows, or by a fixed value."""

    tensor: Tensor | None
    """None: unknown from the file."""
    feed: Feed | None
    constant: Constant | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess at the model's whole manifest.

    Attributes:
        inputs: those that are no carried state; at least one has a feed.
        states: input that takes at a call what an output gave at the call before.
        kind: of the output; None: nothing suggests one.
        source: the sensor that feeds the windows; empty: not known.
        channels: of that source, in the model's order; empty: all of them.
    """

    inputs: tuple[InputGuess, ...]
    states: dict[str, str]
    kind: KindGuess | None
    source: str = ""
    channels: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether inputs must be told apart by their names."""
        return len(self.inputs) > 1 or bool(self.states)

    @property
    def feed(self) -> Feed:
        """The feed of the windows, which all sensor inputs share."""
        return next(one.feed for one in self.inputs if one.feed is not None)

    @property
    def contracts(self) -> list[InputContract]:
        """The inputs as a manifest has them."""
        return [self._contract(one) for one in self.inputs]

    @property
    def output(self) -> Output:
        """The output options for the device. A guess from the shape alone is left out."""
        return Output(kind=self.kind.kind) if self.kind is not None and self.kind.sure else Output()

    @property
    def state(self) -> list[State]:
        """The carried state as a manifest has it."""
        return [State(entry, exit_) for entry, exit_ in self.states.items()]

    def fed_by(self, source: str, channels: Sequence[str], frame: tuple[int, int] | None) -> "Guess":
        """The guess with a known sensor. Pictures of another size are resized."""
        inputs = tuple(
            one if one.feed is None else replace(one, feed=_from_frame(one.feed, frame)) for one in self.inputs
        )
        return replace(self, inputs=inputs, source=source, channels=tuple(channels))

    def stated(self) -> Iterator[Stated]:
        """Every guess, each with its reason."""
        for one in self.inputs:
            name = one.tensor.name if one.tensor is not None else "input"
            if one.feed is not None and one.feed.why:
                yield Stated(f"input {name}", one.feed.what, one.feed.why)
            elif one.feed is not None:
                yield Stated(
                    f"input {name}", "unknown", "its shape fits no series, picture or sound; write window and steps"
                )
            elif one.constant is not None:
                yield Stated(f"input {name}", f"the constant {one.constant[0]}", one.constant[1])
        for entry, exit_ in self.states.items():
            yield Stated(f"input {entry}", f"carried state, from output {exit_}", "the two have one type and shape")
        if self.kind is not None:
            yield Stated("output", self.kind.kind, self.kind.why)
        else:
            yield Stated("output", "left to the device", "its shape suggests no kind")

    def _contract(self, one: InputGuess) -> InputContract:
        name = one.tensor.name if one.tensor is not None and self.named else ""
        if one.feed is None:
            return InputContract(name=name, constant=one.constant[0] if one.constant else 0.0)
        return one.feed.contract(name=name, source=self.source, channels=self.channels)


def guess(model: ModelTensors | None) -> Guess:
    """The guesses for a file; without tensors the window is an example."""
    if model is None or not model.inputs:
        return Guess((InputGuess(None, feed_of(None)),), {}, None)
    states = carried(model)
    fed = [tensor for tensor in model.inputs if tensor.name not in states]
    sensed = [tensor for tensor in fed if not is_fixed(tensor)] or fed[:1]
    first = feed_of(sensed[0], model)
    inputs = [_input(tensor, model, first, from_windows=tensor in sensed) for tensor in fed]
    if states:  # what is carried goes on where the window before has ended
        inputs = [
            one if one.feed is None else replace(one, feed=replace(one.feed, hop=one.feed.size)) for one in inputs
        ]
    return Guess(tuple(inputs), states, kind_of(model))


def _input(tensor: Tensor, model: ModelTensors, first: Feed, *, from_windows: bool) -> InputGuess:
    feed = feed_of(tensor, model) if from_windows else None
    if feed is not None and feed.alike(first):
        return InputGuess(tensor, feed)
    return InputGuess(tensor, None, constant_of(tensor))


def _from_frame(feed: Feed, frame: tuple[int, int] | None) -> Feed:
    if feed.frame is None or frame is None or frame == feed.frame:
        return feed
    height, width = feed.frame
    resize = {"op": "resize", "height": height, "width": width}
    return replace(feed, frame=frame, steps=(resize, *feed.steps))
