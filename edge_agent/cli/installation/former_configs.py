"""Unedited configurations: of this version, and of the installed versions."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_agent.cli.installation.host import REQUIRED, WITHOUT, example_for
from edge_agent.cli.installation.shipped import read_installed
from edge_agent.cli.installation.versions import Versions, site_packages


def unedited_configs(example: str, prefix: Path) -> set[str]:
    """Every text that ``install`` may have written on this device, with any layers of confinement."""
    texts: set[str] = set()
    for one in (example, *_installed(prefix)):
        with suppress(KeyError):  # an example without a device_id was never written
            texts.add(example_for(one))
    return texts | {text.replace(WITHOUT, REQUIRED) for text in texts}


def _installed(prefix: Path) -> Iterator[str]:
    """The examples of the installed versions."""
    for folder in Versions(prefix).all() if prefix.is_dir() else []:
        site = site_packages(folder)
        if site is not None and (text := read_installed(site, "config.toml")) is not None:
            yield text
