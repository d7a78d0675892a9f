"""The words that a shell completes for a command."""

from dataclasses import dataclass
from typing import Literal

Names = Literal["", "sources", "models"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its long name, without the dashes."""

    name: str
    about: str
    takes_value: bool


@dataclass(frozen=True, slots=True)
class Words:
    """A command.

    Attributes:
        command: its word.
        about: what it does.
        options: those that it takes.
        names: what its first word names; empty: something else, or a file.
        choices: the words that its first word may be; empty: others.
    """

    command: str
    about: str
    options: tuple[Option, ...]
    names: Names
    choices: tuple[str, ...]
