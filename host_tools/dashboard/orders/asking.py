"""Reads a request for an order: its targets and its action. Untrusted values are checked or left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, QueryParams

from edge_agent.errors import ConfigError, WireError
from edge_agent.wire.manifest import MAX_VERSION
from edge_agent.wire.topics import Scope, check_name
from host_tools.dashboard.orders.plans import ACTIONS, Action

MOST_DEVICES: Final = 2000
MOST_FIELDS: Final = MOST_DEVICES + 50
"""Fields of a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Checked values; ``version`` 0: none given; ``once``: the form's own id, see the ledger."""

    action: Action | None
    devices: tuple[str, ...]
    groups: tuple[str, ...]
    model: str
    version: int
    job: str
    once: str = ""

    @property
    def scopes(self) -> list[Scope]:
        """The target scopes."""
        return [*(Scope("d", name) for name in self.devices), *(Scope("g", name) for name in self.groups)]


NOBODY: Final = Asked(action=None, devices=(), groups=(), model="", version=0, job="")
"""A request without valid targets."""


def read(given: QueryParams | FormData) -> Asked:
    """The request in a query or a form.

    Raises:
        ConfigError: ``usage``: an invalid name, or too many.
    """
    word, text = _one(given, "action"), _one(given, "version")
    return Asked(
        action=next((known for known in ACTIONS if known == word), None),
        devices=_names(given, "device"),
        groups=_names(given, "group"),
        model=_named(_one(given, "model"), "model"),
        version=min(int(text), MAX_VERSION) if text.isascii() and text.isdecimal() and len(text) < 17 else 0,  # noqa: PLR2004  # digits of the largest
        job=_named(_one(given, "job"), "job"),
        once=_named(_one(given, "once"), "form"),
    )


def targets(form: FormData) -> dict[int, list[str]]:
    """Version → devices, from the fields ``target``, such as ``3:pi-01``; raises as :func:`read`."""
    found: dict[int, list[str]] = {}
    for value in _several(form, "target"):
        version, _, device = value.partition(":")
        if not (version.isascii() and version.isdecimal()):
            raise ConfigError("usage", "a device is ordered without its version; give both, as 3:pi-01")
        found.setdefault(int(version[:17]), []).append(_named(device, "device"))
    return found


def _several(given: QueryParams | FormData, name: str) -> Sequence[str]:
    values = [value for value in given.getlist(name) if isinstance(value, str) and value]
    if len(values) > MOST_DEVICES:
        raise ConfigError("usage", f"an order can have at most {MOST_DEVICES} devices; choose a group")
    return list(dict.fromkeys(values))


def _names(given: QueryParams | FormData, name: str) -> tuple[str, ...]:
    return tuple(_named(value, name) for value in _several(given, name))


def _one(given: QueryParams | FormData, name: str) -> str:
    value = given.get(name, "")
    return value if isinstance(value, str) else ""


def _named(name: str, what: str) -> str:
    try:
        return check_name(name, what) if name else ""
    except WireError as error:
        raise ConfigError("usage", error.message) from None
