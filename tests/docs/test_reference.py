"""The references have every key of the code, no other one, and its default.

A key is what stands as code in the first column of a table. A default that is TOML is compared; words are for people.
"""

import tomllib
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from support.markdown import DOCS, blocks, code, rows, section

from edge_agent.settings.device import Config
from edge_agent.settings.inputs import WindowTable
from edge_agent.settings.sharing import COMMON_KEYS, Keeping
from edge_agent.sources import own_kinds
from edge_agent.strict import strict
from edge_agent.wire.detection_head import Head
from edge_agent.wire.manifest import Gates, InputContract, Output, OutputKind, Recipe, State
from edge_agent.wire.steps import STEPS
from edge_agent.wire.steps.audio import LogMel
from host_tools.broker.settings import Settings
from host_tools.push.manifest_file import EvalTable, ManifestFile

MANIFEST, SENSORS, PUSH = DOCS / "manifest.md", DOCS / "sensors.md", DOCS / "push.md"
TABLES = {
    "## `[input]`: from the sensor to the tensor": [InputContract, WindowTable],
    "## `[output]`: what the output means": [Output, Head],
    "## `[[state]]`: state that the model carries": [State],
    "## `[recipe]`: what may be tried": [Recipe],
    "## `[gates]`: what int8 must meet": [Gates],
}
"""Section → the structs that it explains; steps have a test of their own."""


def keys(part: str) -> dict[str, str]:
    """Key → the cell behind it, of every table of a part whose first column is code."""
    return {key: cells[1] for cells in rows(part) for key in code(cells[0])}


def fields(*kinds: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for kind in kinds for field in msgspec.structs.fields(kind)}


def toml(cell: str) -> Any:
    """What a cell says as TOML, without the quotes of code; ``...`` where it has words."""
    try:
        return tomllib.loads(f"it = {cell.strip('`')}")["it"]
    except tomllib.TOMLDecodeError:
        return ...


def default(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default as TOML has it."""
    made = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
    if made is msgspec.NODEFAULT or made is msgspec.UNSET:
        return None
    return list(made) if isinstance(made, tuple) else msgspec.to_builtins(made)


def words(field: msgspec.structs.FieldInfo) -> set[str]:
    """The words that a field may have, if it has words."""
    kinds = [field.type, *get_args(field.type)]
    return {word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind) if isinstance(word, str)}


def check_words(part: str, known: dict[str, msgspec.structs.FieldInfo]) -> None:
    """Each word that a key may have stands as code in its row, with or without quotes."""
    for cells in rows(part):
        for key in code(cells[0]):
            shown = {word.strip('"') for cell in cells[1:] for word in code(cell)}
            assert words(known[key]) - {""} <= shown, key


def check_defaults(told: dict[str, str], known: dict[str, msgspec.structs.FieldInfo]) -> None:
    for key, cell in told.items():
        field = known[key]
        needed = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        assert not needed or cell == "required", key
        if (said := toml(cell)) is not ... and default(field) is not None:
            assert said == default(field), f"{key}: {said} here, {default(field)} in the code"


@pytest.mark.parametrize("heading", TABLES)
def test_a_manifests_table_has_its_keys(heading: str) -> None:
    part = section(MANIFEST, heading).partition("### Steps")[0]
    known = fields(*TABLES[heading])

    assert keys(part).keys() == known.keys()
    check_words(part, known)
    if heading != "## `[input]`: from the sensor to the tensor":
        check_defaults({key: cell for key, cell in keys(part).items() if key not in fields(Head)}, known)


def test_a_manifests_top_level_has_its_keys() -> None:
    told = set(keys(section(MANIFEST, "## Top level")))

    assert told == {*ManifestFile.__struct_fields__, "input", "recipe", "state"} - {"path"}
    assert list(EvalTable.__struct_fields__) == ["file"]
    assert "`file = " in section(MANIFEST, "## `[eval]`: a labelled set")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_has_its_options(step: str) -> None:
    (row,) = [cells for cells in rows(section(MANIFEST, "### Steps")) if code(cells[0]) == [step]]
    shared = set(fields(LogMel)) if step == "mfcc" else set()

    told = {word for word in code(row[1]) if word.isidentifier()} - {"log_mel"}

    assert told == set(fields(STEPS[step])) - shared


def test_no_step_is_made_up() -> None:
    assert [code(cells[0])[0] for cells in rows(section(MANIFEST, "### Steps"))] == list(STEPS)


def test_every_kind_of_output_is_explained() -> None:
    agrees = section(DOCS / "reading-a-verdict.md", "## When a window agrees")
    (kinds,) = [
        cells[3] for cells in rows(section(MANIFEST, "## `[output]`: what the output means")) if "`kind`" in cells[0]
    ]

    assert sorted(cells[0] for cells in rows(agrees)) == sorted(get_args(OutputKind))
    assert sorted(code(kinds)) == sorted(get_args(OutputKind))


@pytest.mark.parametrize("kind", own_kinds())
def test_a_kind_of_sensor_has_its_keys(kind: str) -> None:
    options = fields(import_module(f"edge_agent.sources.{kind}").Options)
    told = keys(section(SENSORS, f"## `{kind}`"))

    assert told.keys() == options.keys() - {"silence_s"}
    check_words(section(SENSORS, f"## `{kind}`"), options)
    check_defaults(told, options)


def test_what_every_sensor_has_is_said_once() -> None:
    told = keys(section(SENSORS, "## Rules for every kind"))

    assert told.keys() == COMMON_KEYS | {"kind", "silence_s"}
    check_defaults({key: cell for key, cell in told.items() if key in COMMON_KEYS}, fields(Keeping))
    silent = [fields(import_module(f"edge_agent.sources.{kind}").Options)["silence_s"].default for kind in own_kinds()]
    assert set(silent) == {toml(told["silence_s"])}


def test_every_kind_of_sensor_is_in_the_table() -> None:
    listed = [code(cells[0])[0] for cells in rows(SENSORS.read_text(encoding="utf-8").partition("\n## ")[0])]

    assert sorted(listed) == own_kinds()


def test_the_hosts_settings_are_shown_with_their_defaults() -> None:
    (block,) = [block for block in blocks(PUSH, "toml") if "host.toml" in block.text]
    shown, known = tomllib.loads(block.text), fields(Settings)

    assert shown.keys() == known.keys()
    assert strict(shown, Settings, "page")
    for key in ("namespace", "max_broker_bytes", "broker_timeout_s"):
        assert shown[key] == known[key].default


def test_the_devices_tables_are_listed() -> None:
    listed = keys((DOCS / "configuration.md").read_text(encoding="utf-8").partition("\n## ")[0])

    tables = {f"[{key}]" for key in Config.__struct_fields__ if key not in ("device_id", "groups", "state_dir")}
    assert set(listed) | {"top level"} == tables - {"[sources]"} | {"[sources.NAME]", "top level"}


def test_a_mistake_would_be_found() -> None:
    known = fields(Recipe)

    with pytest.raises(AssertionError, match="search_windows"):
        check_defaults({"search_windows": "151"}, known)
    with pytest.raises(AssertionError, match="method"):
        check_words("| a | b |\n|---|---|\n| `method` | `auto`, `static` |", known)
    with pytest.raises(KeyError):
        check_defaults({"search_window": "150"}, known)
    with pytest.raises(AssertionError):
        check_defaults({"input": "0"}, fields(State))
