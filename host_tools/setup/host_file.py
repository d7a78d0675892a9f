"""The operator's file ``host.toml``: its text, and how it gets onto the disk."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.errors import ConfigError

_HEAD = "# How host-tools and push-model reach the broker; their options overrule it. Written by host-tools init.\n"
_MEANINGS = {
    "broker": "mqtt://HOST[:PORT], or mqtts:// with TLS",
    "namespace": "first levels of every topic, as in the devices' configuration",
    "ca_file": "the broker's certificate is checked against it",
    "cert_file": "this host's certificate",
    "key_file": "the key of that certificate",
    "username": "this host's name at the broker",
    "password_file": "a file that holds the password",
    "sign": "the private key that signs models and commands",
}
_FOR_OWNER = 0o600
_FOLDER_FOR_OWNER = 0o700


def host_file_text(table: Mapping[str, Any]) -> str:
    """The file with these keys and values, each with its meaning. An empty string is left out. Pure."""
    order = [*_MEANINGS, *(key for key in table if key not in _MEANINGS)]
    # A JSON string or number of these is one of TOML, too.
    pairs = [
        (f"{key} = {json.dumps(table[key])}", _MEANINGS.get(key)) for key in order if table.get(key) not in ("", None)
    ]
    width = max((len(pair) for pair, _ in pairs), default=0)
    return _HEAD + "".join(f"{pair:<{width}}  # {meaning}\n" if meaning else f"{pair}\n" for pair, meaning in pairs)


def write_private(path: Path, text: str) -> None:
    """Put ``text`` into ``path``, which only its owner can read; an older file is replaced as a whole.

    Raises:
        ConfigError: ``usage``: the file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(mode=_FOLDER_FOR_OWNER, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FOR_OWNER)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)  # a power cut must not leave an empty file under the name
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ConfigError("usage", f"cannot write {path}: {error.strerror}; check the folder's owner") from None
