"""The operator's recipe: one TOML file with ``[recipe] [gates] [output] [[state]]``. Unknown keys are errors.

The manifest of ``push-model`` holds the same tables and more, so it is a valid recipe file. Keys that concern only the
transfer or the sensor (``name``, ``version``, ``[input]``, ``[eval]``) are accepted and ignored here.

    [recipe]
    calibration = "mse"
    [gates]
    min_agreement = 0.98
    [output]
    kind = "classes"

Several outputs, each judged by its own kind, have one table each instead of ``[output]``:

    [[outputs]]
    name = "class"
    kind = "classes"
    [[outputs]]
    name = "speed"
    kind = "regression"
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.errors import ConfigError
from edge_agent.strict import did_you_mean, read_toml, strict
from edge_agent.wire.manifest import AS_FLOAT, Gates, Output, Recipe, State
from edge_agent.wire.several_outputs import ONE_OR_SEVERAL, check_apart

NOT_HERE = ("name", "version", "format", "input", "inputs", "eval")
"""Tables and keys of a manifest that a recipe file may have and the quantizer ignores."""

_KNOWN = ("recipe", "gates", "output", "outputs", "state", *NOT_HERE)
T = TypeVar("T", bound=msgspec.Struct)


class RecipeFile(msgspec.Struct, frozen=True):
    """The content of a recipe file; every part has a default."""

    recipe: Recipe = Recipe()
    gates: Gates = Gates()
    output: Output = Output()
    state: list[State] = []
    outputs: list[Output] = []


def read_recipe(path: Path) -> RecipeFile:
    """The recipe in a TOML file; raises ``ConfigError`` (usage) that names file, table and the nearest known key."""
    tables = read_toml(path)
    for key in tables:
        if key not in _KNOWN:
            raise ConfigError("usage", f"{path}: unknown key {key!r}{did_you_mean(key, _KNOWN)}")
    return RecipeFile(
        recipe=_table(path, tables, "recipe", Recipe),
        gates=_gates(path, tables),
        output=_table(path, tables, "output", Output),
        state=[_struct(path, state, "state", State) for state in _tables(path, tables, "state")],
        outputs=_outputs(path, tables),
    )


def _gates(path: Path, tables: dict[str, Any]) -> Gates:
    """The gates of a file. A latency limit in the file is exact, even if it equals the default.

    A manifest cannot distinguish a written default from an omitted one, so a special number marks it
    (:data:`edge_agent.wire.manifest.AS_FLOAT`). A margin of 0 has the same meaning.
    """
    gates = _table(path, tables, "gates", Gates)
    if gates.max_latency_ratio != Gates().max_latency_ratio:
        return gates
    limit_alone = "max_latency_ratio" in tables.get("gates", {}) and gates.latency_margin is None
    if limit_alone or gates.latency_margin == 0:
        return msgspec.structs.replace(gates, max_latency_ratio=AS_FLOAT, latency_margin=None)
    return gates


def _outputs(path: Path, tables: dict[str, Any]) -> list[Output]:
    several = _tables(path, tables, "outputs")
    if several and tables.get("output"):
        raise ConfigError("usage", f"{path}: {ONE_OR_SEVERAL}")
    outputs = [_struct(path, table, "[outputs]", Output, number) for number, table in enumerate(several, 1)]
    try:
        check_apart(output.names for output in outputs)
    except ValueError as error:
        raise ConfigError("usage", f"{path}: {error}") from None
    return outputs


def _tables(path: Path, tables: dict[str, Any], name: str) -> list[Any]:
    several = tables.get(name, [])
    if not isinstance(several, list):
        raise ConfigError("usage", f"{path}: {name} is a list of tables; write [[{name}]]")
    return several


def _table(path: Path, tables: dict[str, Any], name: str, kind: type[T]) -> T:
    return _struct(path, tables.get(name, {}), name, kind)


def _struct(path: Path, value: Any, name: str, kind: type[T], number: int | None = None) -> T:
    if not isinstance(value, dict):
        raise ConfigError("usage", f"{path}: {name} must be a table; write [{name}]")
    return strict(value, kind, f"{path}: [{name}]" + (f" {number}" if number else ""))
