"""The origin of this installation, and the command that adds one of its extras. For devices and hosts alike.

No command ever asks a package index for our packages: the ``edge-agent`` there is somebody else's. A command names the
origin that pip recorded (``direct_url.json``, PEP 610), or the running checkout.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_agent.advice.direct_url import FILE, Origin, read_origin
from edge_agent.errors import ConfigError

DISTRIBUTION = "edge-agent-int8"
"""The name of the distribution. Commands and imports are called ``edge-agent`` and ``edge_agent``."""
MODULES = {
    "numpy": "device", "serial": "device", "cobs": "device", "onnx": "device",
    "onnxruntime": "device", "tflite_runtime": "device", "ai_edge_litert": "device", "litert_quantizer": "device",
    "flatbuffers": "device", "ml_dtypes": "device",
    "cv2": "camera", "PIL": "camera", "sounddevice": "audio", "iotcore": "demo",
    "prometheus_client": "exporter", "sqlalchemy": "collect", "psycopg": "collect",
    "starlette": "dashboard", "uvicorn": "dashboard", "sse_starlette": "dashboard", "python_multipart": "dashboard",
}  # fmt: skip
"""third-party module → the extra that installs it."""
_CHECKOUT = Path(__file__).parents[2]
_UNKNOWN = "from the folder or wheel that it was installed from"


def own_origin() -> Origin | None:
    """Return the origin of this installation; None if it is unknown or no longer exists."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415  # imports email, which is large

    try:
        record = distribution(DISTRIBUTION).read_text(FILE)
    except PackageNotFoundError:  # a checkout, not installed
        return Origin(_CHECKOUT.as_uri()) if (_CHECKOUT / "pyproject.toml").is_file() else None
    found = read_origin(record)
    return _still_there(found) if found else None


def requirement(*extras: str) -> str:
    """Return the pip requirement of this installation with ``extras``; empty if its origin is unknown."""
    found = own_origin()
    return f"{DISTRIBUTION}[{','.join(extras)}] @ {found.url}" if found else ""


def install_command(*extras: str) -> str:
    """Return the complete command that adds ``extras`` to this installation; empty if its origin is unknown."""
    import shlex  # noqa: PLC0415  # only a message pays for it

    found = own_origin()
    if found is None:
        return ""
    target = [requirement(*extras)]
    if found.editable:
        target = ["--editable", f"{unquote(urlsplit(found.url).path)}[{','.join(extras)}]"]
    return shlex.join([*_pip(), "install", *target])


def how_to_add(*extras: str) -> str:
    """Return a clause for a message: the extras to install, and the command for it."""
    names = ("the extra " if len(extras) == 1 else "the extras ") + " and ".join(extras)
    command = install_command(*extras)
    return f"install {names}: {command}" if command else f"install {names} {_UNKNOWN}"


def lacking(modules: Iterable[str]) -> str:
    """Return a sentence on missing ``modules`` and their extras; empty if no extra installs one of them."""
    tops = [name.partition(".")[0] for name in modules]
    extras = list(dict.fromkeys(MODULES.get(name, "") for name in tops))
    if not tops or "" in extras:
        return ""
    verb = "is" if len(tops) == 1 else "are"
    return f"{' and '.join(tops)} {verb} not installed; {how_to_add(*extras)}"


def absent(*modules: str) -> list[str]:
    """Return those of ``modules`` that are not installed."""
    from importlib.util import find_spec  # noqa: PLC0415  # most commands need no check

    return [name for name in modules if find_spec(name) is None]


def require(*modules: str) -> None:
    """Raise ``ConfigError`` (usage), with the install command, unless all ``modules`` are installed."""
    if sentence := lacking(absent(*modules)):
        raise ConfigError("usage", sentence)


def _still_there(found: Origin) -> Origin | None:
    parts = urlsplit(found.url)
    try:
        return found if parts.scheme != "file" or Path(unquote(parts.path)).exists() else None
    except PermissionError:  # a service has no access to home directories
        return found


def _pip() -> list[str]:
    """Return the command of this environment's pip, with sudo if only root may write to the environment."""
    import sysconfig  # noqa: PLC0415  # only a message pays for it

    script = Path(sys.prefix, "bin", "pip")
    pip = [str(script)] if script.exists() else [sys.executable, "-m", "pip"]
    return pip if os.access(sysconfig.get_path("purelib"), os.W_OK) else ["sudo", *pip]
