"""What a strict table says of a mistake: the key, what it must be, what stands there; never the library's words."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from edge_agent import sources
from edge_agent.errors import ConfigError, RecipeError
from edge_agent.settings.device import Config, parse_config
from edge_agent.settings.source_kinds import own_kinds
from edge_agent.strict import counted, strict
from edge_agent.wire.manifest import Gates, InputContract, Output, Recipe, State
from edge_agent.wire.steps import STEPS, read_steps
from host_tools.broker.settings import Settings
from host_tools.push.manifest_file import EvalTable

TABLES = (Recipe, Gates, Output, State, InputContract, EvalTable, Config, Settings)


def literals(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Each key of a struct that holds one of a few words, with one of the words; keys of inner tables by their path."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for one in types:
            if isinstance(one, inspect.LiteralType) and isinstance(one.values[0], str):
                yield field.encode_name, max(map(str, one.values), key=len)
            elif isinstance(one, inspect.StructType):
                yield from ((f"{field.encode_name}.{key}", word) for key, word in literals(one.cls))


def required(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Something that fits for each key that has no default."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: fitting(field.type) for field in described.fields if field.required}


def fitting(kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return fitting(inner)
        case inspect.ListType(item_type=inner):
            return [fitting(inner)]
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.IntType() | inspect.FloatType():
            return 1
    return "x"


def misspelt(word: str) -> str:
    return word[:-1] + ("x" if word[-1] != "x" else "y")


OF_TABLES = [(kind, key, word) for kind in TABLES for key, word in literals(kind)]
OF_STEPS = [(name, key, word) for name, kind in STEPS.items() for key, word in literals(kind)]
OF_SOURCES = [
    (name, key, word)
    for name in own_kinds()
    for key, word in literals(sources.import_module(f"edge_agent.sources.{name}").Options)
]


def test_there_are_words_to_misspell() -> None:
    assert {key for _, key, _ in OF_TABLES} >= {"method", "kind", "reset", "io", "activation.on_rejected"}
    assert {key for _, key, _ in OF_STEPS} >= {"dtype", "from", "mel_scale"}
    assert {key for _, key, _ in OF_SOURCES} >= {"framing", "rate"}


@pytest.mark.parametrize(("kind", "key", "word"), OF_TABLES, ids=[f"{k.__name__}.{key}" for k, key, _ in OF_TABLES])
def test_a_misspelt_word_is_named_with_the_one_that_was_meant(kind: type[msgspec.Struct], key: str, word: str) -> None:
    outer, _, inner = key.rpartition(".")
    table = {inner: misspelt(word)}
    with pytest.raises(ConfigError) as caught:
        strict(required(kind) | ({outer: table} if outer else table), kind, "M.toml: [here]")

    assert caught.value.message == f"M.toml: [here] {key}: {misspelt(word)!r} is unknown; did you mean {word!r}?"


@pytest.mark.parametrize(("op", "key", "word"), OF_STEPS, ids=[f"{op}.{key}" for op, key, _ in OF_STEPS])
def test_a_misspelt_word_of_a_step(op: str, key: str, word: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_steps(InputContract(steps=[{"op": op, **required(STEPS[op]), key: misspelt(word)}], rate_hz=100))

    assert f"steps 1: {op}: {key}: {misspelt(word)!r} is unknown; did you mean" in caught.value.message


@pytest.mark.parametrize(("kind", "key", "word"), OF_SOURCES, ids=[f"{kind}.{key}" for kind, key, _ in OF_SOURCES])
def test_a_misspelt_word_of_a_source(kind: str, key: str, word: str) -> None:
    options = sources.import_module(f"edge_agent.sources.{kind}").Options
    with pytest.raises(ConfigError) as caught:
        strict(required(options) | {key: misspelt(word)}, options, "[sources.imu]")

    assert f"[sources.imu] {key}: {misspelt(word)!r} is unknown; did you mean" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "table", "said"),
    [
        (Recipe, {"method": "magic"}, "[t] method: 'magic' is unknown; known: auto, dynamic, static, uniform"),
        (Recipe, {"method": 3}, "[t] method: must be text, not 3"),
        (Recipe, {"threads": []}, "[t] threads: must be a list of length >= 1, not []"),
        (Recipe, {"threads": [1, 0]}, "[t] threads[1]: must be a whole number >= 1, not 0"),
        (Recipe, {"heldout_windows": True}, "[t] heldout_windows: must be a whole number, not true"),
        (Gates, {"min_agreement": 1.5}, "[t] min_agreement: must be a number <= 1.0, not 1.5"),
        (Gates, {"min_agreement": "x" * 99}, f"[t] min_agreement: must be a number, not '{'x' * 56}..."),
        (InputContract, {"frame": [240]}, "[t] frame: must be a list of length 2, not [240]"),
        (InputContract, {"window": {"size": 1}}, "[t] window: hop is missing"),
        (InputContract, {"window": {"sise": 1}}, "[t] window: unknown key 'sise'; did you mean 'size'?"),
        (State, {"input": "a"}, "[t]: output is missing"),
        (Output, {"kind": "classes", "blank": 3}, "[t]: blank has no meaning for kind 'classes'; it is for sequence"),
        (Config, {"device_id": "a", "sources": {"imu": 3}}, "[t] sources[...]: must be a table"),
    ],
)
def test_what_is_wrong_with_a_value(kind: type[msgspec.Struct], table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strict(table, kind, "[t]")

    assert caught.value.message == said


def test_a_table_inside_the_device_config_is_named() -> None:
    with pytest.raises(ConfigError, match=r"toml \[limits\] stage_timeout_s: must be a whole number >= 1, not 0"):
        parse_config({"device_id": "a", "limits": {"stage_timeout_s": 0}}, "config.toml")


@pytest.mark.parametrize(("number", "words"), [(0, "0 layers"), (1, "1 layer"), (2, "2 layers")])
def test_one_is_singular(number: int, words: str) -> None:
    assert counted(number, "layer") == words
