"""The real ``@asyncapi/parser`` on documents: installed by npm as its lock file says, into a folder that stays."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "validate.mjs")
NO_NODE = "needs Node 18 or newer with npm"
NO_REGISTRY = "needs the npm registry"
_UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|E50\d|E403"
)
_OLDEST_NODE = 18


def validated(*documents: Path) -> list[dict[str, Any]]:
    """What the parser says of each: ``version``, ``channels``, ``found``. Skips the test where there is no Node."""
    node = shutil.which("node")
    npm = shutil.which("npm")
    if node is None or npm is None or _version(node) < _OLDEST_NODE:
        pytest.skip(NO_NODE)
    folder = _installed(npm)
    done = subprocess.run(
        [node, folder / "validate.mjs", *documents], capture_output=True, text=True, check=True, timeout=120
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return int(said.removeprefix("v").partition(".")[0])


def _installed(npm: str) -> Path:
    """The folder with the parser; its name follows from what is in it, so a change of the lock file is another one."""
    content = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in FILES)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-agent-tests"
    folder = cache / f"asyncapi-{content[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # another run on this machine may install it, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(npm, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for name in FILES:
        shutil.copy(HERE / name, half)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=half, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    if done.returncode and _UNREACHABLE.search(done.stderr):
        pytest.skip(NO_REGISTRY)
    assert done.returncode == 0, done.stderr
    half.rename(folder)
