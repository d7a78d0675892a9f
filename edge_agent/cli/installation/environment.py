"""A version's venv, filled by pip with the dependencies that the version was tested with."""

import subprocess
import sys
from pathlib import Path

from edge_agent.cli.installation.additions import Additions
from edge_agent.cli.installation.programs import call
from edge_agent.cli.installation.requirement import package_with
from edge_agent.cli.installation.shipped import Shipped
from edge_agent.cli.installation.versions import site_packages
from edge_agent.errors import StoreError


def fill(folder: Path, requirement: str, shipped: Shipped, added: Additions, scratch: Path) -> None:
    """Make the venv in ``folder``; raises ``StoreError`` if pip fails or the program does not start.

    pip may take dependencies from its cache, but not the agent itself (see ``shipped``).
    """
    constraints = scratch / "constraints.txt"
    constraints.write_text(shipped.constraints, encoding="utf-8")
    call(sys.executable, "-m", "venv", str(folder))
    install = (str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    call(*install, "--no-cache-dir", "--no-deps", requirement)
    call(*install, "--constraint", str(constraints), f"{package_with(added.extras)}=={shipped.version}")
    site = site_packages(folder)
    if site is not None and (missing := added.missing(site, shipped.constraints)):
        print(f"adding     {', '.join(missing)}, which the version before has, too", flush=True)
        call(*install, "--constraint", str(constraints), *missing)
    try:
        subprocess.run([folder / "bin/edge-agent", "--version"], check=True, stdout=subprocess.DEVNULL, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError("internal", f"the installed program does not start: {error}") from None
