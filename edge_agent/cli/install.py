"""``edge-agent install``: the agent as a system service: a venv of its own, configuration, keys folder, unit, user.

Run again it upgrades in place. It never touches an existing configuration, asks before it replaces anything else that
is there, and starts nothing: which broker and whose keys, only the operator knows.
"""

import argparse
import os
import platform
import pwd
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec

from edge_agent.errors import ConfigError, StoreError
from edge_agent.installation import DISTRIBUTION
from edge_agent.settings.device import DEFAULT_PATH, Trust

PREFIX = Path("/opt/edge-agent")
UNIT = Path("/etc/systemd/system/edge-agent.service")
COMMAND = Path("/usr/local/bin/edge-agent")
USER = "edge-agent"
_CHECKOUT = Path(__file__).parents[2]
_BOOTED = Path("/run/systemd/system")
"""Is there where systemd is the running service manager (sd_booted(3)), not in a chroot or a container's build."""
_SERIAL_GROUPS = ("dialout", "uucp")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``install`` command."""
    parser = subparsers.add_parser(
        "install",
        help="install edge-agent as a systemd service",
        description="Makes a venv with this version of edge-agent, a commented configuration, the folder for trusted "
        "keys, a system user and a hardened systemd unit. Starts nothing. Needs root.",
    )
    parser.add_argument("--prefix", type=Path, default=PREFIX, metavar="DIR", help=f"default: {PREFIX}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="write below DIR; no user, no systemd"
    )
    parser.add_argument(
        "--from", dest="origin", metavar="ORIGIN", help="a wheel, a folder or a URL; default: as this one"
    )
    parser.add_argument("--yes", action="store_true", help="replace what is there without asking")


def run(args: argparse.Namespace) -> int:
    """Install; returns 0, or 2 where the operator said no."""
    live = args.root == Path("/")
    if live and os.geteuid() != 0:
        raise ConfigError("usage", "install writes to /opt and /etc; run it with sudo")
    if not args.prefix.is_absolute():
        raise ConfigError("usage", f"--prefix {args.prefix}: give an absolute path")
    unit_text = shipped("edge-agent.service").replace(str(PREFIX), str(args.prefix))
    unit, venv = below(args.root, UNIT), below(args.root, args.prefix / "venv")
    if not _may_replace(unit, unit_text, yes=args.yes):
        print("nothing was changed")
        return 2
    make_venv(venv, origin(args.origin))
    if live:
        make_user()
    _config(below(args.root, DEFAULT_PATH))
    _write(below(args.root, Path(Trust().keys_dir)), None)
    _write(unit, unit_text)
    _command(below(args.root, COMMAND), args.prefix / "venv" / "bin" / "edge-agent")
    if live and _BOOTED.is_dir():
        _call("systemctl", "daemon-reload")
    print(_NEXT.format(config=DEFAULT_PATH, keys=Trust().keys_dir))
    return 0


_NEXT = """
next:
  1. sudoedit {config}        device_id, [mqtt] url, [sources.…]
  2. copy the public keys (*.pem) of those who may push to {keys}
  3. edge-agent check-config
  4. sudo systemctl enable --now edge-agent      (after an upgrade: sudo systemctl restart edge-agent)
  5. sudo edge-agent doctor"""


def below(root: Path, path: Path) -> Path:
    """Where an absolute path lies in a file system that is mounted at ``root``."""
    return root / path.relative_to("/")


def shipped(name: str) -> str:
    """A file of ``systemd/``: from the installed package, or from the checkout that runs."""
    packaged = files("edge_agent") / "data" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (_CHECKOUT / "systemd" / name).read_text(encoding="utf-8")


def origin(given: str | None) -> str:
    """What pip shall install: ``given``, or whatever this very package was installed from (PEP 610)."""
    if given is not None:
        path = Path(given)
        return f"{DISTRIBUTION}[device] @ {path.resolve().as_uri() if path.exists() else given}"
    try:
        record = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:  # a checkout that was not installed
        return f"{DISTRIBUTION}[device] @ {_CHECKOUT.as_uri()}"
    if record is None:
        raise ConfigError("usage", "pip did not note what this edge-agent was installed from; name it with --from")
    source = msgspec.json.decode(record)
    url = source["url"]
    if vcs := source.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if urlsplit(url).scheme == "file" and not Path(url2pathname(urlsplit(url).path)).exists():
        raise ConfigError("usage", f"this edge-agent was installed from {url}, which is gone; name another with --from")
    return f"{DISTRIBUTION}[device] @ {url}"


def make_venv(venv: Path, requirement: str) -> None:
    """Make or upgrade the venv; pip speaks for itself."""
    python = venv / "bin" / "python"
    if not python.exists():
        venv.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _call(sys.executable, "-m", "venv", str(venv))
    print(f"installing {requirement} into {venv} (about 500 MB with all runtimes)", flush=True)
    _call(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", requirement)
    print(f"installed  {venv}")


def make_user() -> None:
    """The service's user, a member of the group that owns serial ports."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        known = {line.partition(":")[0] for line in Path("/etc/group").read_text(encoding="utf-8").splitlines()}
        group = next((group for group in _SERIAL_GROUPS if group in known), "")
        argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/var/lib/edge-agent"]
        _call(*argv, "--shell", "/usr/sbin/nologin", *(["--groups", group] if group else []), USER)
        print(f"made       user {USER}, member of {group or 'no group that owns serial ports'}")


def device_name(hostname: str) -> str:
    """A host's name as a device id."""
    return re.sub(r"[^a-z0-9_-]+", "-", hostname.lower().partition(".")[0]).strip("-_")[:63] or "pi-01"


def _config(path: Path) -> None:
    if path.exists():
        print(f"kept       {path}")
        return
    name = device_name(platform.node())
    _write(path, shipped("config.toml").replace('device_id = "pi-01"', f'device_id = "{name}"'))


def _may_replace(path: Path, text: str, *, yes: bool) -> bool:
    if yes or not path.exists() or path.read_text(encoding="utf-8") == text:
        return True
    try:
        answer = input(f"{path} is there and differs (drop-ins in {path}.d stay). Replace it? [y/N] ")
    except EOFError:
        raise ConfigError("usage", f"{path} is there and differs; give --yes to replace it") from None
    return answer.strip().lower() in ("y", "yes")


def _write(path: Path, text: str | None) -> None:
    """Write a file, or make a folder where there is no text."""
    folder = path if text is None else path.parent
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
    except OSError as error:
        raise ConfigError("usage", f"cannot write {path}: {error.strerror}") from None
    print(f"wrote      {path}")


def _command(link: Path, target: Path) -> None:
    if link.exists() or link.is_symlink():
        print(f"kept       {link}")
        return
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.symlink_to(target)
    print(f"linked     {link}")


def _call(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True)
    except FileNotFoundError:
        raise ConfigError("usage", f"{argv[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise StoreError("internal", f"{argv[0]} ended with {error.returncode}; see its message above") from None
