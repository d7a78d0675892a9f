"""One release in memory: verified, opened on the runtime it was proved with, and fed according to its manifest.

Raw windows go through the same steps, constants and carried state as in capture and validation. This module does not
know whether the release is the active one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from edge_agent.backends import Array, Feeds
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.feeding import fixed_feeds, sensor_inputs, window_maker
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import ContractError, StoreError, WireError
from edge_agent.serving.opening import open_release
from edge_agent.state.release import MANIFEST_FILE, Release, intact_manifest, read_release
from edge_agent.strict import counted, did_you_mean, why
from edge_agent.wire.manifest import InputContract, Manifest, Output, decode_manifest, read_output

Windows = ArrayLike | Mapping[str, ArrayLike]


class Loaded:
    """A release that is ready to answer. Not thread-safe.

    Attributes:
        release: the release's description.
        session: the release's model on its runtime.
        inputs: model input → its contract, with the channels and the number of samples of its raw windows.
        judged: extracts the judged output from the model's outputs.
        meaning: the options of the judged output, as resolved when the release was judged.
        runtime_version: version of the runtime in this process.
        form_problem: why the model file answers in place of the release's optimised form, as a predicate that follows
            a subject; empty: the form answers, or there is none.
        form_failed: whether the form fits this process, and is damaged or refused.
    """

    def __init__(self, folder: Path) -> None:
        """Load the release in ``folder``.

        Raises:
            StoreError: ``release_corrupt``.
            ModelError: ``format_unsupported`` if its runtime is not installed here; or the runtime rejects the model.
            ContractError, RecipeError: model and manifest do not fit each other.
        """
        self.release = read_release(folder)
        manifest = _read_manifest(folder, self.release)
        opened = open_release(folder, manifest.format, self.release)
        self.session, self.runtime_version, self.form_problem, self.form_failed = opened
        self.inputs = sensor_inputs(self.session, manifest)
        self.judged = ScoredOutput(self.session, manifest)
        self.meaning = _read_meaning(self.release, first_output(manifest))
        self._fixed = fixed_feeds(self.session, manifest)
        self._carried = CarriedState(manifest.state, self.session)
        self._recording = 0
        specs = {spec.name: spec for spec in self.session.inputs}
        self._makers = {
            name: window_maker(contract, specs[name], contract.channels) for name, contract in self.inputs.items()
        }
        for name, contract in self.inputs.items():
            if contract.window is not None and contract.channels:  # a mismatch shows here, before the release serves
                shape = contract.shape(contract.window.size, len(contract.channels))
                self._makers[name](np.zeros(shape, np.uint8 if contract.frame else np.float32))

    @property
    def stale(self) -> bool:
        """Whether the verdict's numbers do not apply to this process.

        Either the runtime here has another version, or the release's optimised form is damaged or does not fit this
        runtime or processor, so that the model file answers.
        """
        return self.runtime_changed or bool(self.form_problem)

    @property
    def runtime_changed(self) -> bool:
        """Whether the runtime here has another version than the one of the verdict."""
        return self.runtime_version != self.release.runtime_version

    def feeds(self, windows: Windows) -> dict[str, Array]:
        """The model's feeds for raw windows, without carried state.

        Args:
            windows: one ``[size, channels]`` for all inputs that a source feeds, or a mapping with one per input.

        Raises:
            ContractError: ``shape_mismatch``, ``dtype_mismatch``, ``non_finite`` or ``input_missing``.
        """
        given = windows if isinstance(windows, Mapping) else self._for_all(windows)
        for name in given:
            if name not in self.inputs:
                hint = did_you_mean(str(name), self.inputs)
                raise ContractError("input_missing", f"{self.release.model} takes no windows for {name!r}{hint}")
        for name in self.inputs:
            if name not in given:
                raise ContractError("input_missing", f"give a window for {self.release.model}'s input {name!r}, too")
        return {**self._fixed, **{name: make(self._raw(name, given[name])) for name, make in self._makers.items()}}

    def run(self, feeds: Feeds) -> tuple[Feeds, list[Array]]:
        """Run the model once with its carried state; returns the complete feeds, and all outputs in order."""
        full = self._carried.feeds(_Call(feeds, self._recording))
        outputs = self.session.run(full)
        self._carried.keep(outputs)
        return full, outputs

    @property
    def carried(self) -> tuple[CarriedState, int]:
        """The carried state, and the number of the recording."""
        return self._carried, self._recording

    def go_on_with(self, carried: tuple[CarriedState, int]) -> None:
        """Continue with the state of the same release in another form, which answers alike."""
        self._carried, self._recording = carried

    def reset(self) -> None:
        """Start a new recording: carried state returns to its initial value, unless declared ``reset = "never"``."""
        self._recording += 1

    def _for_all(self, window: ArrayLike) -> dict[str, ArrayLike]:
        if len({tuple(contract.channels) for contract in self.inputs.values()}) > 1:
            names = ", ".join(map(repr, self.inputs))
            raise ContractError("input_missing", f"the inputs {names} have different channels; give {{name: window}}")
        return dict.fromkeys(self.inputs, window)

    def _raw(self, name: str, window: ArrayLike) -> Array:
        """A window in the form of a captured one: float32 ``[size, channels]``, finite, of the contract's size."""
        samples = samples_of(window, pictures=self.inputs[name].frame is not None)
        if not _fits(samples.shape, self.inputs[name]):
            raise ContractError(
                "shape_mismatch",
                f"{self.release.model} {self.release.version} wants windows of {_described(self.inputs[name])} for "
                f"input {name!r}, not of shape {'x'.join(map(str, samples.shape)) or 'a single value'}",
            )
        if not np.isfinite(samples).all():
            raise ContractError("non_finite", f"the window for {name!r} holds NaN or Inf; check the sensor")
        return samples


def samples_of(given: ArrayLike, *, pictures: bool) -> Array:
    """Samples in a source's types: numbers as float32, pictures as uint8; raises ``ContractError`` (dtype_mismatch)."""
    if pictures:
        samples = np.asarray(given)
        if samples.dtype != np.uint8:
            raise ContractError("dtype_mismatch", f"pictures must be uint8, 0 to 255, not {samples.dtype.name}")
        return samples
    try:
        with np.errstate(over="ignore"):  # an overflow becomes Inf, which a later check rejects
            return np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise ContractError("dtype_mismatch", "samples must be an array of numbers [samples, channels]") from None


class _Call(NamedTuple):
    feeds: Feeds
    group: int


def _read_manifest(folder: Path, release: Release) -> Manifest:
    content = intact_manifest(folder, release)
    try:
        return decode_manifest(content)
    except WireError as error:
        text = f"{folder / MANIFEST_FILE} cannot be read ({why(error)}); push the model again"
        raise StoreError("release_corrupt", text) from None


def _read_meaning(release: Release, declared: Output) -> Output:
    """The resolved options of the judged output; ``declared`` for a release of a version that did not store them."""
    if not release.output_found:
        return declared
    try:
        return read_output(release.output_found)
    except WireError as error:
        text = f"output_found of {release.model} {release.version} cannot be read ({error}); push the model again"
        raise StoreError("release_corrupt", text) from None


def _fits(shape: tuple[int, ...], contract: InputContract) -> bool:
    if len(shape) != len(contract.shape(1, 1)):
        return False
    size = contract.window.size if contract.window else shape[0]
    return shape == contract.shape(size, len(contract.channels) or shape[-1])


def _described(contract: InputContract) -> str:
    size = counted(contract.window.size, "sample") if contract.window else "samples"
    if contract.frame:
        size += f" x {contract.frame[0]} x {contract.frame[1]}"
    rate = f" at {contract.rate_hz:g} Hz" if contract.rate_hz else ""
    return (
        f"{size} x {len(contract.channels) or 'all'} channels ({', '.join(contract.channels) or 'of the source'}){rate}"
    )
