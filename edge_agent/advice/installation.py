"""Where this installation came from, and the command that adds one of its extras. On a device and on a host alike.

Nothing of ours is ever asked of a package index: what is called ``edge-agent`` there is somebody else's. A command
names the origin that pip wrote down (``direct_url.json``, PEP 610), or the checkout that runs.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_agent.advice.direct_url import FILE, Origin, read_origin
from edge_agent.errors import ConfigError

DISTRIBUTION = "edge-agent-int8"
"""What pip calls it. Commands and imports are called ``edge-agent`` and ``edge_agent``."""
MODULES = {
    "numpy": "device", "serial": "device", "cobs": "device", "onnx": "device",
    "onnxruntime": "device", "tflite_runtime": "device", "ai_edge_litert": "device", "litert_quantizer": "device",
    "flatbuffers": "device", "ml_dtypes": "device",
    "cv2": "camera", "PIL": "camera", "sounddevice": "audio", "iotcore": "demo",
    "prometheus_client": "exporter", "sqlalchemy": "collect", "psycopg": "collect",
    "starlette": "dashboard", "uvicorn": "dashboard", "sse_starlette": "dashboard", "python_multipart": "dashboard",
}  # fmt: skip
"""A module of others → the extra that brings it."""
_CHECKOUT = Path(__file__).parents[2]
_UNKNOWN = "from the folder or wheel that it was installed from"


def own_origin() -> Origin | None:
    """Where this installation came from; None where that is not known, or is gone."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415  # brings email, too much to idle

    try:
        record = distribution(DISTRIBUTION).read_text(FILE)
    except PackageNotFoundError:  # a checkout that was not installed
        return Origin(_CHECKOUT.as_uri()) if (_CHECKOUT / "pyproject.toml").is_file() else None
    found = read_origin(record)
    return _still_there(found) if found else None


def requirement(*extras: str) -> str:
    """This installation with ``extras``, as pip takes it; empty where its origin is not known."""
    found = own_origin()
    return f"{DISTRIBUTION}[{','.join(extras)}] @ {found.url}" if found else ""


def install_command(*extras: str) -> str:
    """The complete command that adds ``extras`` to this installation; empty where its origin is not known."""
    import shlex  # noqa: PLC0415  # only a message pays for it

    found = own_origin()
    if found is None:
        return ""
    what = [requirement(*extras)]
    if found.editable:
        what = ["--editable", f"{unquote(urlsplit(found.url).path)}[{','.join(extras)}]"]
    return shlex.join([*_pip(), "install", *what])


def how_to_add(*extras: str) -> str:
    """A clause for a message: what to install, and the command that does it."""
    names = ("the extra " if len(extras) == 1 else "the extras ") + " and ".join(extras)
    command = install_command(*extras)
    return f"install {names}: {command}" if command else f"install {names} {_UNKNOWN}"


def lacking(modules: Iterable[str]) -> str:
    """A sentence on ``modules`` that are not installed and what brings them; empty if one of them is none of ours."""
    tops = [name.partition(".")[0] for name in modules]
    extras = list(dict.fromkeys(MODULES.get(name, "") for name in tops))
    if not tops or "" in extras:
        return ""
    verb = "is" if len(tops) == 1 else "are"
    return f"{' and '.join(tops)} {verb} not installed; {how_to_add(*extras)}"


def absent(*modules: str) -> list[str]:
    """Those of ``modules`` that are not installed."""
    from importlib.util import find_spec  # noqa: PLC0415  # most commands ask for nothing

    return [name for name in modules if find_spec(name) is None]


def require(*modules: str) -> None:
    """Raise ``ConfigError`` (usage), with the command to type, unless all ``modules`` are installed."""
    if sentence := lacking(absent(*modules)):
        raise ConfigError("usage", sentence)


def _still_there(found: Origin) -> Origin | None:
    parts = urlsplit(found.url)
    try:
        return found if parts.scheme != "file" or Path(unquote(parts.path)).exists() else None
    except PermissionError:  # a service does not see people's homes
        return found


def _pip() -> list[str]:
    """This environment's pip, as root where only root may write to it."""
    import sysconfig  # noqa: PLC0415  # only a message pays for it

    script = Path(sys.prefix, "bin", "pip")
    pip = [str(script)] if script.exists() else [sys.executable, "-m", "pip"]
    return pip if os.access(sysconfig.get_path("purelib"), os.W_OK) else ["sudo", *pip]
