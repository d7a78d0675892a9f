"""Strict tables: an unknown key is an error that names the nearest known one. Pure."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.errors import ConfigError
from edge_agent.permission import not_permitted

T = TypeVar("T", bound=msgspec.Struct)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to append to an error: ``; did you mean 'x'?`` or the known words."""
    from difflib import get_close_matches  # noqa: PLC0415  # only a mistake pays for it

    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def counted(number: int, what: str) -> str:
    """A number of things in words: ``1 layer``, ``2 layers``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises ``ConfigError`` that names the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise ConfigError("usage", f"cannot read {not_permitted(path)}") from None
    except OSError as error:
        raise ConfigError("usage", f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("usage", f"{path} is no TOML: {error}") from None


def strict(table: Mapping[str, Any], kind: type[T], where: str, *, also: Collection[str] = ()) -> T:
    """``table`` as a struct of ``kind``; raises ``ConfigError`` for an unknown key or a wrong value.

    Keys in ``also`` are somebody else's to read, and may be what an unknown one was meant to be.
    """
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in known:
            raise ConfigError("usage", f"{where}: unknown key {key!r}{did_you_mean(key, {*known, *also})}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError("usage", f"{where}: {error}") from None
