"""``edge-agent doctor`` on the configured sources: each is opened, unless somebody has it; then who that is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_agent.advice.installation import absent, how_to_add
from edge_agent.cli.check import Check
from edge_agent.cli.open_source import try_to_open
from edge_agent.errors import CODES, EdgeAgentError
from edge_agent.execution.launcher import source_table
from edge_agent.settings.device import Config
from edge_agent.settings.sharing import source_folder, split_common_keys

_INSTALL = "; install the extra"


def check_sources(config: Config) -> Iterator[Check]:
    """A check of each source."""
    if not config.sources:
        yield Check("sources", "warn", "none", "add [sources.NAME] to the config, or no model can be calibrated")
    elif absent("numpy"):
        yield Check("sources", "fail", "none can be opened: numpy is not installed", how_to_add("device"))
    else:
        for name, table in config.sources.items():
            yield _check(config, name, table)


def _check(config: Config, name: str, table: dict[str, Any]) -> Check:
    from edge_agent.sensing.subscribe import is_served  # noqa: PLC0415  # numpy
    from edge_agent.sources import check_driver, check_table  # noqa: PLC0415

    try:
        check_table(name, table)
    except EdgeAgentError as error:
        return _failed(name, error, "correct the config")
    if split_common_keys(name, table)[0].shared and is_served(source_folder(Path(config.state_dir), name)):
        return Check(f"source {name}", "ok", f"{_described(table)}, read by the daemon for all")
    try:
        check_driver(name, table)
        try_to_open(name, source_table(config, name))
    except EdgeAgentError as error:
        if error.code == "source_busy":
            remedy = "if that is the daemon at work on a job, it lets go by itself; else stop it"
            return Check(f"source {name}", "warn", error.message.removesuffix("; stop it"), remedy)
        return _failed(name, error, CODES[error.code].remedy)
    return Check(f"source {name}", "ok", f"{_described(table)}, opened")


def _failed(name: str, error: EdgeAgentError, remedy: str) -> Check:
    """The check of a source that cannot be used; what to install is its remedy, if that is it."""
    what, is_install, command = error.message.partition(_INSTALL)
    return Check(f"source {name}", "fail", what, _INSTALL[2:] + command if is_install else remedy)


def _described(table: dict[str, Any]) -> str:
    return f"{table['kind']} {table.get('port') or table.get('path') or table.get('device') or ''}".strip()
