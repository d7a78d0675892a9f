"""The inputs and the output of a trial: guessed from the model file, or read from a corrected manifest."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, get_args

from edge_agent.cli.trial.request import Request
from edge_agent.draft.guess import Guess, Stated, guess
from edge_agent.draft.manifest import draft, model_name
from edge_agent.draft.outputs import KindGuess
from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.jobs.data_summary import OutputKindFound
from edge_agent.model_file.signature import read_signature
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.recipe import RecipeFile, read_recipe
from edge_agent.state.durable import write_durably
from edge_agent.strict import read_toml
from edge_agent.wire.manifest import InputContract, OutputKind

_FOUND_FROM_DATA = ("binary", "regression")
_ON_DATA = "found on your data: "
_FOUND = re.compile(rf"^## guessed: output is (?P<kind>\w+); {_ON_DATA}(?P<found>.*)$", re.MULTILINE)
_UNNAMED = "(not named yet)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trial does.

    Attributes:
        contracts: of every input that is no carried state.
        recipe: the output's meaning, the state, the gates and what may be tried.
        channels: of a sample as the model wants it; 0: unknown.
        stated: the guesses, for a person to check; none where a manifest says it.
    """

    contracts: list[InputContract]
    recipe: RecipeFile
    channels: int
    stated: list[Stated]

    @property
    def sensed(self) -> list[InputContract]:
        """The inputs that windows feed."""
        return [one for one in self.contracts if one.constant is None]

    @property
    def constants(self) -> list[InputContract]:
        """The inputs that take a fixed value."""
        return [one for one in self.contracts if one.constant is not None]


class Ended(Protocol):
    """An input or output of a model."""

    @property
    def name(self) -> str:
        """As the model calls it."""
        ...

    @property
    def dtype(self) -> str:
        """As numpy calls it."""
        ...

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes of the axes; None: it may change."""
        ...


class Draft:
    """The guesses about a model, and the file for them."""

    def __init__(self, request: Request, known: ModelTensors) -> None:
        """Make the guesses; ``known`` holds the engine's tensors if the file cannot be read here."""
        self._file = request.model.name
        self._name = model_name(request.model.stem)
        self._out = request.out
        self._force = request.force
        self._signature = read_signature(request.model) or known
        self._at_first = self.guessed = _decided(guess(self._signature))

    def fed_by(self, source: str, channels: tuple[str, ...], frame: tuple[int, int] | None) -> None:
        """Put a known sensor into the draft, with its channels if their number fits."""
        wanted = self.guessed.feed.channels
        self.guessed = self.guessed.fed_by(source, channels if wanted in (0, len(channels)) else (), frame)

    def check_place(self) -> None:
        """Raise ``ConfigError`` (usage) for a file that somebody has edited, or a folder that cannot be written to."""
        if not os.access(self._out.parent, os.W_OK | os.X_OK):
            raise ConfigError("usage", f"cannot write into {self._out.parent}; give --out FILE.toml elsewhere")
        try:
            text = self._out.read_text(encoding="utf-8") if self._out.exists() else ""
        except (OSError, UnicodeDecodeError):
            text = "(somebody else's)"
        if text and not self._force and text not in self._drafts(text):
            what = f"{self._out} exists already; to try what it says give --manifest {self._out}"
            raise ConfigError("usage", f"{what}; to write another draft give --out FILE.toml, or --force to replace it")

    def write(self, found: OutputKindFound | None = None) -> None:
        """Write the manifest, with what the engine has ``found`` of the output on real data.

        Raises:
            ConfigError: ``usage``: the file cannot be written, or somebody has edited it meanwhile.
        """
        self.check_place()
        try:
            write_durably(self._out, self._text(self.guessed, found).encode())
        except OSError as error:
            raise ConfigError("usage", f"cannot write {self._out}: {error.strerror}; give another --out") from None

    def _drafts(self, text: str) -> Iterator[str]:
        """Drafts that a former trial may have written: with the sensor and the output in ``text``, and without them."""
        found = _found_in(text)
        for guessed in (self._at_first, self.guessed, *_fed_as(self._at_first, text)):
            yield self._text(guessed, None)
            yield self._text(guessed, found)

    def _text(self, guessed: Guess, found: OutputKindFound | None) -> str:
        guessed = guessed if found is None else _with_found(guessed, found)
        return draft(self._file, self._name, self._signature, guessed)

    def plan(self) -> Plan:
        """The guesses as a plan."""
        recipe = RecipeFile(output=self.guessed.output, state=self.guessed.state)
        return Plan(self.guessed.contracts, recipe, self.guessed.feed.channels, list(self.guessed.stated()))


def read_plan(path: Path, *, needs_source: bool) -> Plan:
    """The plan that a manifest describes; ``source`` may still be empty there unless the data come from it.

    Raises:
        ConfigError: ``usage``: it says what no manifest may say.
    """
    tables = read_toml(path)
    if not needs_source:
        for table in [tables.get("input"), *_tables(tables.get("inputs"))]:
            if isinstance(table, dict) and not table.get("source") and "constant" not in table:
                table["source"] = _UNNAMED
    try:
        contracts = read_inputs(path, tables)
    except EdgeAgentError as error:
        raise ConfigError("usage", error.message) from None
    sensed = next(one for one in contracts if one.constant is None)
    return Plan(contracts, read_recipe(path), len(sensed.channels), [])


def tensors(specs: Iterable[Ended]) -> tuple[Tensor, ...]:
    """Inputs or outputs as the engine found them."""
    return tuple(Tensor(one.name, one.shape, one.dtype) for one in specs)


def _decided(guessed: Guess) -> Guess:
    """The guess with a definite kind, unless the engine finds that kind from the data."""
    if guessed.kind is None or guessed.kind.kind in _FOUND_FROM_DATA:
        return guessed
    return replace(guessed, kind=guessed.kind._replace(sure=True))


def _with_found(guessed: Guess, found: OutputKindFound) -> Guess:
    """The guess with the kind that the engine found, if the guess left it open; raw means that it found none."""
    kinds: dict[str, OutputKind] = {kind: kind for kind in get_args(OutputKind)}
    if found.kind not in kinds or found.kind == "raw" or (guessed.kind is not None and guessed.kind.sure):
        return guessed
    return replace(guessed, kind=KindGuess(kinds[found.kind], f"{_ON_DATA}{found.found}", sure=True))


def _found_in(text: str) -> OutputKindFound | None:
    """The output kind in a draft that a trial found from data."""
    match = _FOUND.search(text)
    return None if match is None else OutputKindFound(match["kind"], match["found"])


def _fed_as(guessed: Guess, text: str) -> Iterator[Guess]:
    """The guess, fed by the sensor that a draft names; nothing if it names none, or is no manifest."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for table in [tables.get("input"), *_tables(tables.get("inputs"))]:
        if isinstance(table, dict) and table.get("source"):
            yield guessed.fed_by(str(table["source"]), [str(one) for one in _tables(table.get("channels"))], None)


def _tables(value: object) -> list[object]:
    return value if isinstance(value, list) else []
