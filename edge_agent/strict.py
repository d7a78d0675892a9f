"""Strict tables: an unknown key or word is an error that names the nearest known one. Pure.

A library message about a wrong value is rewritten in the terms of the file: the key, the allowed values, and the
written value.
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of decoding arbitrary bytes as JSON: they may be invalid UTF-8, or thousands of brackets."""

_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kind>[^`]*)`(?: (?P<bound>(?!, got).*?))?(?:, got .*)?")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_LARGEST = "1.797693134862315"
"""The library's text for the limit that excludes inf and nan."""
_KINDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
    "object": "a table",
}  # fmt: skip


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a clause to append to an error: ``; did you mean 'x'?`` or the known words."""
    from difflib import get_close_matches  # noqa: PLC0415  # imported only for a mistake

    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def counted(number: int, what: str) -> str:
    """Return a number with its noun: ``1 layer``, ``2 layers``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def why(error: BaseException) -> str:
    """Return the message of an error, without the number and the path of a system error."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or ("it ends early" if isinstance(error, EOFError) else type(error).__name__)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raise ``ConfigError`` that names the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise ConfigError("usage", f"cannot read {not_permitted(path)}") from None
    except OSError as error:
        raise ConfigError("usage", f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("usage", f"{path} is not valid TOML: {error}") from None


def strict(table: Mapping[str, Any], kind: type[T], where: str, *, also: Collection[str] = ()) -> T:
    """Return ``table`` as a struct of ``kind``; raise ``ConfigError`` for an unknown key or a wrong value.

    Keys in ``also`` are read elsewhere; they only serve as suggestions for an unknown key.
    """
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in known:
            raise ConfigError("usage", f"{where}: unknown key {key!r}{did_you_mean(key, {*known, *also})}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError("usage", explain(error, table, kind, where)) from None


def explain(error: Exception, table: Mapping[str, Any], kind: type[msgspec.Struct], where: str) -> str:
    """Return what is wrong with ``table`` as a struct of ``kind``, in the terms of its file.

    Args:
        error: the error of the library, or of the struct itself.
        table: the table as written.
        kind: the expected struct.
        where: the name of the table, such as ``M.toml: [recipe]``.
    """
    fault = _FAULT.fullmatch(str(error))
    what, path = (fault["what"], fault["path"] or "") if fault else (str(error), "")
    key = path.removeprefix(".")
    at = where if not key else f"{where} {key}" if "[" in where else f"{where}: {key}"
    if what.startswith("Invalid enum value"):
        word = _found(table, path)
        return f"{at}: {word!r} is unknown{did_you_mean(str(word), _words(kind, path))}"
    if field := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{at}: {field[1]} is missing"
    if field := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return f"{at}: unknown key {field[1]!r}{did_you_mean(field[1], _keys(kind, path))}"
    if expected := _EXPECTED.fullmatch(what):
        stands = "" if "[...]" in path else f", not {_shown(_found(table, path))}"
        return f"{at}: must be {_meaning(expected['kind'], expected['bound'] or '')}{stands}"
    return f"{at}: {what}"


def _meaning(kind: str, bound: str) -> str:
    """Translate the library's words for an expected value."""
    if _LARGEST in bound:
        return "a finite number"
    words = " or ".join(_KINDS.get(name, name) for name in kind.split(" | ") if name != "null")
    return f"{words} {bound}".rstrip()


def _found(table: Any, path: str) -> Any:
    """Return the value at one of the library's paths; None if the path is ambiguous."""
    for name, index in _STEP.findall(path):
        try:
            table = table[name] if name else table[int(index)]
        except (LookupError, TypeError):
            return None
    return table


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  # enough to recognize it


def _words(kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    """Yield the allowed words at a path."""
    from msgspec import inspect  # noqa: PLC0415  # imported only for a mistake

    for there in _types(kind, path):
        if isinstance(there, inspect.LiteralType):
            yield from map(str, there.values)
        elif isinstance(there, inspect.EnumType):
            yield from (str(member.value) for member in there.cls)


def _keys(kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    """Yield the allowed keys of a table at a path."""
    from msgspec import inspect  # noqa: PLC0415

    for there in _types(kind, path):
        if isinstance(there, inspect.StructType):
            yield from (field.encode_name for field in there.fields)


def _types(kind: type[msgspec.Struct], path: str) -> list[Any]:
    """Return the allowed types at one of the library's paths, unions split."""
    from msgspec import inspect  # noqa: PLC0415

    def each(one: Any) -> Iterator[Any]:
        if isinstance(one, inspect.UnionType):
            for inner in one.types:
                yield from each(inner)
        else:
            yield from each(one.type) if isinstance(one, inspect.Metadata) else (one,)

    def inside(one: Any, name: str, index: str) -> Iterator[Any]:
        match one:
            case inspect.StructType(fields=fields) if name:
                for field in fields:
                    if field.encode_name == name:
                        yield from each(field.type)
            case inspect.DictType(value_type=inner) | inspect.ListType(item_type=inner):
                yield from each(inner)
            case inspect.VarTupleType(item_type=inner):
                yield from each(inner)
            case inspect.TupleType(item_types=several) if index:
                yield from each(several[int(index)])

    found = list(each(inspect.type_info(kind)))
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", path):
        found = [deeper for one in found for deeper in inside(one, name, index)]
    return found
