"""The parts of an installation outside its prefix: user, configuration, keys' folder, unit and command."""

import platform
import pwd
import re
from pathlib import Path

from edge_agent.cli.initial.config_text import filled_in
from edge_agent.cli.installation.programs import call
from edge_agent.errors import ConfigError
from edge_agent.process.layers import missing, without
from edge_agent.state.durable import link_durably, write_durably

PREFIX = Path("/opt/edge-agent")
UNIT = Path("/etc/systemd/system/edge-agent.service")
COMMAND = Path("/usr/local/bin/edge-agent")
USER = "edge-agent"
REQUIRED, WITHOUT = "require_confinement = true", "require_confinement = false"
_SERIAL_GROUPS = ("dialout", "uucp")


def below(root: Path, path: Path) -> Path:
    """An absolute path inside a file system that is mounted at ``root``."""
    return root / path.relative_to("/")


def make_user() -> None:
    """Make the service's user, a member of the group that owns serial ports."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        known = {line.partition(":")[0] for line in Path("/etc/group").read_text(encoding="utf-8").splitlines()}
        group = next((group for group in _SERIAL_GROUPS if group in known), "")
        argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/var/lib/edge-agent"]
        call(*argv, "--shell", "/usr/sbin/nologin", *(["--groups", group] if group else []), USER)
        print(f"made       user {USER}, member of {group or 'no group that owns serial ports'}")


def device_name(hostname: str) -> str:
    """A device id made of a host's name."""
    return re.sub(r"[^a-z0-9_-]+", "-", hostname.lower().partition(".")[0]).strip("-_")[:63] or "pi-01"


def make_config(path: Path, example: str) -> None:
    """Write the example as this device's configuration, if it has none.

    The configuration requires all layers of confinement, unless the running kernel lacks one: Raspberry Pi OS has no
    Landlock, and a service that never starts protects nobody.
    """
    if path.exists():
        print(f"kept       {path}")
        return
    write(path, example_for(example))
    if lacking := missing():
        print(f"important  {without(lacking)};\n           so {path} has {WITHOUT}: see SECURITY.md for the rest")


def example_for(example: str) -> str:
    """The unedited example for this device."""
    text = filled_in(example, {("", "device_id"): device_name(platform.node())})
    return text.replace(REQUIRED, WITHOUT) if missing() else text


def may_replace(path: Path, text: str, *, unedited: set[str], yes: bool) -> bool:
    """Whether ``text`` may replace a file; the operator is asked if somebody has edited it."""
    if yes or not path.exists() or path.read_text(encoding="utf-8") in {text, *unedited}:
        return True
    try:
        answer = input(f"{path} is there and differs (drop-ins in {path}.d stay). Replace it? [y/N] ")
    except EOFError:
        raise ConfigError("usage", f"{path} is there and differs; give --yes to replace it") from None
    return answer.strip().lower() in ("y", "yes")


def write(path: Path, text: str) -> None:
    """Write a file, and report it."""
    put(path, text)
    print(f"wrote      {path}")


def put(path: Path, text: str) -> None:
    """Write a file, and make its folder where there is none."""
    make_folder(path.parent)
    try:
        write_durably(path, text.encode())
        path.chmod(0o644)
    except OSError as error:
        raise ConfigError("usage", f"cannot write {path}: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """Make a folder that everybody may read."""
    if path.is_dir():
        return
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("usage", f"cannot make {path}: {error.strerror}") from None
    print(f"made       {path}")


def link_command(link: Path, target: Path, *, former: Path) -> None:
    """Link the command. Only a link to its former place is replaced, nothing else."""
    there = link.readlink() if link.is_symlink() else None
    if there == target:
        return
    if there != former and (there is not None or link.exists()):
        print(f"kept       {link}, which belongs to something else; the command is {target}")
        return
    make_folder(link.parent)
    link_durably(str(target), link)
    print(f"linked     {link}")
