"""What pip is asked for: a requirement with the place that the package comes from (PEP 508). Never a bare name."""

from collections.abc import Iterable
from pathlib import Path

from edge_agent.advice.installation import DISTRIBUTION, requirement
from edge_agent.errors import ConfigError


def requirement_of(given: str | None, extras: Iterable[str] = ()) -> str:
    """The requirement for ``given``, or for whatever this very package was installed from."""
    if given is not None:
        path = Path(given)
        return f"{package_with(extras)} @ {path.resolve().as_uri() if path.exists() else given}"
    found = requirement(*_with_device(extras))
    if not found:
        raise ConfigError("usage", "what this edge-agent was installed from is not known, or gone; name it with --from")
    return found


def package_with(extras: Iterable[str]) -> str:
    """The package's name with what a device needs, and more."""
    return f"{DISTRIBUTION}[{','.join(_with_device(extras))}]"


def _with_device(extras: Iterable[str]) -> list[str]:
    return sorted({"device", *extras})
