"""What pip is asked for: a requirement with the place that a package comes from (PEP 508, PEP 610)."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec

from edge_agent import __version__
from edge_agent.errors import ConfigError

_CHECKOUT = Path(__file__).parents[3]


def origin(given: str | None, extras: Iterable[str] = ()) -> str:
    """The requirement for ``given``, or for whatever this very package was installed from."""
    package = package_with(extras)
    if given is not None:
        path = Path(given)
        return f"{package} @ {path.resolve().as_uri() if path.exists() else given}"
    try:
        url = recorded_url(distribution("edge-agent"))
    except PackageNotFoundError:  # a checkout that was not installed
        return f"{package} @ {_CHECKOUT.as_uri()}"
    if url is None:
        return f"{package}=={__version__}"
    if urlsplit(url).scheme == "file" and not Path(url2pathname(urlsplit(url).path)).exists():
        raise ConfigError("usage", f"this edge-agent was installed from {url}, which is gone; name another with --from")
    return f"{package} @ {url}"


def package_with(extras: Iterable[str]) -> str:
    """The package's name with what a device needs, and more."""
    return f"edge-agent[{','.join(sorted({'device', *extras}))}]"


def recorded_url(package: Distribution) -> str | None:
    """The URL that pip installed a package from; ``None`` where an index had it."""
    record = package.read_text("direct_url.json")
    if record is None:
        return None
    source = msgspec.json.decode(record)
    url: str = source["url"]
    if vcs := source.get("vcs_info"):
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return url
