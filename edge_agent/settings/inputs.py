"""The ``[input]`` or ``[[inputs]]`` of an ``M.toml``: the conversion of sensor data to the model's inputs.

    [input]
    source = "imu"
    rate_hz = 50                                    # a source of another rate is resampled; default: the source's rate
    channels = ["ax", "ay", "az"]
    window = { seconds = 2.0, hop_seconds = 1.0 }   # needs rate_hz; or in samples: { size = 100, hop = 50 }
    steps = [{ op = "transpose", axes = [1, 0] }]

    [input]
    source = "camera"
    frame = [240, 320]                              # a sample is a picture of this height and width
    channels = ["r", "g", "b"]
    window = { size = 1, hop = 15 }

Seconds are for people; a manifest holds samples. The steps are checked here by the same rules as on the device.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from edge_agent.errors import ConfigError
from edge_agent.strict import strict
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.wire.steps import check_inputs

_WHOLE = 1e-6
"""Relative tolerance for rounding seconds to whole samples: decimal fractions are inexact."""
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class WindowTable(msgspec.Struct, frozen=True):
    """``window``: in samples, or in seconds."""

    size: int | None = None
    hop: int | None = None
    seconds: Seconds | None = None
    hop_seconds: Seconds | None = None


def read_inputs(path: Path, tables: dict[str, Any]) -> list[InputContract]:
    """The contracts of the model's inputs, one if there is ``[input]``.

    Raises:
        ConfigError: ``usage``; names the file, the table and the nearest known key.
        RecipeError: ``recipe_unsupported`` for an unknown step, option or value.
        ContractError: ``shape_mismatch`` if a step does not fit the shape before it.
    """
    one, several = tables.get("input"), tables.get("inputs")
    if one is not None and several is not None:
        raise ConfigError("usage", f"{path}: [input] is for one input, [[inputs]] for several; use one of them")
    if one is not None:
        contracts = [_input(f"{path}: [input]", one)]
        check_inputs(contracts, f"{path}: [input]")
        return contracts
    if several is None or not isinstance(several, list) or not several:
        raise ConfigError("usage", f"{path}: [input] is missing; name the source and window that feed the model")
    contracts = [_input(f"{path}: [[inputs]] {number}", table) for number, table in enumerate(several, 1)]
    names = [contract.name for contract in contracts]
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError("usage", f"{path}: every [[inputs]] needs the name of its own model input")
    sensed = [contract for contract in contracts if contract.constant is None]
    if not sensed:
        raise ConfigError("usage", f"{path}: at least one [[inputs]] must have a source")
    if len({(contract.source, contract.window, contract.rate_hz, contract.frame) for contract in sensed}) > 1:
        raise ConfigError(
            "usage", f"{path}: [[inputs]] that have a source must share source, window, rate_hz and frame"
        )
    check_inputs(contracts, f"{path}: [[inputs]]")
    return contracts


def _input(where: str, table: Any) -> InputContract:
    if not isinstance(table, dict):
        raise ConfigError("usage", f"{where} must be a table")
    contract = strict({key: value for key, value in table.items() if key != "window"}, InputContract, where)
    if contract.constant is not None:
        given = [key for key in table if key not in ("name", "constant")]
        if given:
            raise ConfigError("usage", f"{where}: an input has a source or a constant, not both; leave out {given[0]}")
        return contract
    for key in ("source", "window"):
        if not table.get(key):
            raise ConfigError("usage", f"{where}: {key} is missing")
    return msgspec.structs.replace(contract, window=_window(f"{where} window", table["window"], contract.rate_hz))


def _window(where: str, table: Any, rate_hz: float | None) -> Window:
    """The window in samples."""
    if not isinstance(table, dict):
        raise ConfigError("usage", f"{where} must be a table such as {{ size = 128, hop = 64 }}")
    given = strict(table, WindowTable, where)
    samples = {"size": given.size, "hop": given.hop}
    if given.seconds is not None or given.hop_seconds is not None:
        if given.size is not None or given.hop is not None:
            raise ConfigError("usage", f"{where}: give size and hop, or seconds and hop_seconds, not both")
        if rate_hz is None:
            raise ConfigError("usage", f"{where}: seconds are counted at the model's rate; set rate_hz in the input")
        samples = {
            key: None if value is None else _samples(f"{where}: {name}", value, rate_hz)
            for key, name, value in (("size", "seconds", given.seconds), ("hop", "hop_seconds", given.hop_seconds))
        }
    missing = [key for key, value in samples.items() if value is None]
    if missing:
        name = {"size": "seconds", "hop": "hop_seconds"}[missing[0]] if given.size is given.hop else missing[0]
        raise ConfigError("usage", f"{where}: {name} is missing")
    return strict(samples, Window, where)


def _samples(where: str, seconds: float, rate_hz: float) -> int:
    exact = seconds * rate_hz
    whole = max(1, round(exact))
    if abs(exact - whole) > _WHOLE * exact:
        text = f"{seconds:g} s at {rate_hz:g} Hz are {exact:g} samples"
        raise ConfigError("usage", f"{where}: {text}; write {whole / rate_hz:.6g} s for a whole number")
    return whole
