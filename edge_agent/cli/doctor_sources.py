"""The checks of ``edge-agent doctor`` on the sources: each is opened; of a busy one the holder is named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_agent.advice.installation import absent, how_to_add
from edge_agent.advice.remedy import split_advice
from edge_agent.cli.check import Check
from edge_agent.cli.open_source import try_to_open
from edge_agent.cli.owner import as_owner
from edge_agent.cli.service_rights import ServiceRights, place
from edge_agent.errors import CODES, EdgeAgentError
from edge_agent.execution.launcher import source_table
from edge_agent.settings.device import Config
from edge_agent.settings.sharing import source_folder, split_common_keys

_JOIN = re.compile(r"sudo usermod -aG \S+ [^\s,]+")


def check_sources(config: Config, service: ServiceRights | None = None) -> Iterator[Check]:
    """A check of each source. With ``service``, it is opened with the service's rights."""
    if not config.sources:
        yield Check("sources", "warn", "none", "add [sources.NAME] to the config, or no model can be calibrated")
    elif absent("numpy"):
        yield Check("sources", "fail", "none can be opened: numpy is not installed", how_to_add("device"))
    else:
        for name, table in config.sources.items():
            yield _check(config, name, table, service)


def _check(config: Config, name: str, table: dict[str, Any], service: ServiceRights | None) -> Check:
    from edge_agent.sensing.subscribe import is_served  # noqa: PLC0415  # numpy
    from edge_agent.sources import check_driver, check_table  # noqa: PLC0415

    try:
        check_table(name, table)
    except EdgeAgentError as error:
        return _failed(name, error, "correct the config")
    state = Path(config.state_dir)
    with as_owner(state):
        served = split_common_keys(name, table)[0].shared and is_served(source_folder(state, name))
    if served:
        return Check(f"source {name}", "ok", f"{_described(table)}, read by the daemon for all")
    try:
        check_driver(name, table)
        try_to_open(name, source_table(config, name), service)
    except EdgeAgentError as error:
        if error.code == "source_busy":
            remedy = "wait if the daemon works on a job, as it frees the sensor afterwards; else stop the holder"
            return Check(f"source {name}", "warn", error.message.removesuffix("; stop it"), remedy)
        if service is not None and "permission denied" in error.message.lower():
            return _shut(name, table, error, service)
        return _failed(name, error, CODES[error.code].remedy)
    if service is not None and (line := service.shut_out(table)):
        detail = f"{_described(table)}: the unit does not let the service open it"
        return Check(f"source {name}", "warn", detail, f"sudo systemctl edit edge-agent, [Service], {line}; restart it")
    as_whom = f" as {service.user}" if service is not None else ""
    return Check(f"source {name}", "ok", f"{_described(table)}, opened{as_whom}")


def _shut(name: str, table: dict[str, Any], error: EdgeAgentError, service: ServiceRights) -> Check:
    """The check of a source that the service's user may not open."""
    joins = _JOIN.search(error.message)
    remedy = f"{joins[0]} && sudo systemctl restart edge-agent" if joins else service.how_to_read(place(table))
    return Check(f"source {name}", "fail", f"{split_advice(error.message)[0]}; asked as {service.user}", remedy)


def _failed(name: str, error: EdgeAgentError, remedy: str) -> Check:
    """The check of a source that cannot be used; ``remedy`` is for errors without advice of their own."""
    what, advice = split_advice(error.message)
    return Check(f"source {name}", "fail", what, advice or remedy)


def _described(table: dict[str, Any]) -> str:
    return f"{table['kind']} {place(table)}".strip()
