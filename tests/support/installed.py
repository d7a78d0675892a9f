"""Versions of this checkout as wheels, and a root in which one is installed and really runs.

Nothing is fetched: pip installs the wheel alone, and the wheel names this interpreter's packages in a ``.pth`` file.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

from edge_agent.cli.install import add_parser, install
from edge_agent.cli.installation.service import Service
from support import service_manager
from support.service_manager import Manager

ROOT = Path(__file__).parents[2]
NEVER_READY = 'raise SystemExit("broken on purpose")\n'
WITHOUT_BROKER = """
device_id = "pi-01"
state_dir = "{state}"
[mqtt]
url = "mqtt://127.0.0.1:1"
[trust]
allow_unsigned = true
"""


def build_wheel(
    folder: Path, version: str, *, run: str = "", needs: str = "msgspec", unit: Callable[[str], str] = str
) -> Path:
    """This checkout as a wheel of ``version``.

    Args:
        folder: for the wheel.
        version: of the package.
        run: is added to the module of ``edge-agent run``.
        needs: one dependency more.
        unit: changes the unit.
    """
    source = copy_of_checkout(folder / f"source-{version}", version)
    change(source / "edge_agent/cli/run.py", lambda text: text + run)
    change(source / "systemd/edge-agent.service", unit)
    (source / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    table = "[tool.hatch.build.targets.wheel.force-include]\n"
    more = '"dependencies.pth" = "dependencies_of_edge_agent.pth"\n'
    change(source / "pyproject.toml", lambda text: text.replace(table, table + more))
    change(source / "pyproject.toml", lambda text: text.replace('"msgspec>', f'"{needs}", "msgspec>'))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return next(folder.glob(f"edge_agent_int8-{version}-*.whl"))


def copy_of_checkout(source: Path, version: str) -> Path:
    """What a wheel is built from."""
    source.mkdir(parents=True)
    for name in ("edge_agent", "host_tools", "systemd", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    set_version(source, version)
    return source


def set_version(source: Path, version: str) -> None:
    """Let it be another version."""
    init = source / "edge_agent/__init__.py"
    change(init, lambda text: text[: text.index("__version__")] + f'__version__ = "{version}"\n')


def foreign_wheel(folder: Path, name: str) -> Path:
    """A package of somebody else's, without anything in it."""
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        archive.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.dist-info/RECORD", "")
    return path


def change(path: Path, how: Callable[[str], str]) -> None:
    """Rewrite a text file."""
    path.write_text(how(path.read_text(encoding="utf-8")), encoding="utf-8")


class Device:
    """A root with a service manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manager = Manager(root)
        self.prefix = root / "opt/edge-agent"
        self.unit = root / "etc/systemd/system/edge-agent.service"
        self.config = root / "etc/edge-agent/config.toml"

    def configure(self) -> "Device":
        """Let the daemon be one that needs no broker and no key."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(WITHOUT_BROKER.format(state=self.root / "state"), encoding="utf-8")
        return self

    def install(self, wheel: Path, *options: str) -> int:
        """``edge-agent install`` where systemctl speaks to this device's manager; it settles sooner."""
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers())
        args = parser.parse_args(["install", "--root", str(self.root), "--from", str(wheel), *options])
        return install(args, Service(ready_s=40, settled_s=1.5))

    def install_as_formerly(self, wheel: Path) -> None:
        """As before there was a folder a version: ``venv``, and a unit that starts it."""
        venv = self.prefix / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
        self.pip(wheel)
        shipped = next(venv.glob("lib/python3*/site-packages/edge_agent/data/edge-agent.service"))
        self.unit.parent.mkdir(parents=True)
        shutil.copy(shipped, self.unit)
        (self.root / "usr/local/bin").mkdir(parents=True)
        (self.root / "usr/local/bin/edge-agent").symlink_to("/opt/edge-agent/venv/bin/edge-agent")

    def pip(self, wheel: Path) -> None:
        """Install into the folder of former versions."""
        argv = [self.prefix / "venv/bin/python", "-m", "pip", "install", "--quiet", wheel]
        subprocess.run(argv, check=True, timeout=120)

    def files(self, name: str) -> list[Path]:
        """Every file of a version, but for what Python has compiled."""
        return sorted(path for path in (self.prefix / name).rglob("*") if "__pycache__" not in path.parts)

    @property
    def current(self) -> str:
        """Which version the link names."""
        return str((self.prefix / "current").readlink())

    @property
    def runs(self) -> str:
        """The version that the daemon was started from; empty where none runs."""
        active, pid = self.manager.state()
        if active != "active":
            return ""
        python = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        return Path(python).relative_to(self.prefix).parts[0]

    def systemctl(self, verb: str) -> int:
        """What ``systemctl VERB edge-agent`` ends with."""
        argv = [sys.executable, service_manager.__file__, str(self.root), verb, "edge-agent"]
        return subprocess.run(argv, check=False, timeout=60).returncode
