"""The text of the systemd unit, as a version ships it and as it is written."""

from pathlib import Path

from edge_agent.cli.installation.host import PREFIX
from edge_agent.cli.installation.shipped import read_installed
from edge_agent.cli.installation.versions import CURRENT, OLD_NAME, Versions, site_packages


def unit_text(shipped: str, prefix: Path) -> str:
    """A shipped unit for ``prefix``, also from a version without ``current``."""
    return _placed(shipped, prefix).replace(f"{prefix / OLD_NAME}/bin/", f"{prefix / CURRENT}/bin/")


def unedited(versions: Versions, prefix: Path) -> set[str]:
    """The texts of an unedited unit: those that the installed versions have shipped."""
    sites = [site for folder in versions.all() if (site := site_packages(folder)) is not None]
    shipped = [text for site in sites if (text := read_installed(site, "edge-agent.service")) is not None]
    return {place(text, prefix) for text in shipped for place in (_placed, unit_text)}


def _placed(shipped: str, prefix: Path) -> str:
    return shipped.replace(str(PREFIX), str(prefix))
