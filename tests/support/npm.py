"""Programs from npm that tests run: installed as their lock files say, into a folder that stays."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

NO_NODE = "needs Node 18 or newer with npm"
NO_REGISTRY = "needs the npm registry"
_UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|E50\d|E403"
)
_OLDEST_NODE = 18


class NotHereError(Exception):
    """Why it cannot be run on this machine: the reason of a skip."""


def node() -> str:
    """The path of Node.

    Raises:
        NotHereError: there is none, or too old a one.
    """
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None or _version(found) < _OLDEST_NODE:
        raise NotHereError(NO_NODE)
    return found


def installed(name: str, source: Path, *files: str, within_s: float = 240) -> Path:
    """The folder with what ``source``'s ``package.json`` asks for, and with ``files`` of ``source`` beside it.

    Its name follows from what is in these, so a change of the lock file is another folder.

    Raises:
        NotHereError: no Node, or nothing is installed yet and no registry answers, or not ``within_s``.
    """
    node()
    files = ("package.json", "package-lock.json", *files)
    content = hashlib.sha256(b"".join((source / file).read_bytes() for file in files)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-agent-tests"
    folder = cache / f"{name}-{content[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # another run on this machine may install it, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(source, files, folder, within_s)
    return folder


def _version(found: str) -> int:
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return int(said.removeprefix("v").partition(".")[0])


def _install(source: Path, files: tuple[str, ...], folder: Path, within_s: float) -> None:
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for file in files:
        shutil.copy(source / file, half)
    argv = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(argv, cwd=half, capture_output=True, text=True, check=False, timeout=within_s)
    except subprocess.TimeoutExpired as error:
        raise NotHereError(f"{NO_REGISTRY}: it gave not all within {within_s:g} s") from error
    if done.returncode and _UNREACHABLE.search(done.stderr):
        raise NotHereError(NO_REGISTRY)
    assert done.returncode == 0, done.stderr
    half.rename(folder)
