"""What is read from the TOML files of an operator, as plain values: for the fixtures, and for the tests of them."""

from pathlib import Path
from typing import Any

import msgspec

from edge_agent.settings.device import read_config
from edge_agent.settings.recipe import read_recipe
from edge_agent.settings.sharing import split_common_keys
from edge_agent.sources import audio, camera, iio, mqtt, replay, serial
from edge_agent.strict import strict
from edge_agent.wire.digests import content_digest
from edge_agent.wire.manifest import encode_manifest
from host_tools.broker.settings import load_settings
from host_tools.push.manifest_file import build_manifest, read_manifest_file
from support.documents import BLOB, EVAL

DEVICES = ("reference", "device", "minimal")
MANIFESTS = ("M", "inputs", "sound")
RECIPES = ("R", "M")
HOST_FILES = ("ca.pem", "me.pem", "me.key", ".broker-password", "operator.key")
"""In the home of the operator."""
_OPTIONS: dict[str, type[msgspec.Struct]] = {
    "audio": audio.Options, "camera": camera.Options, "iio": iio.Options, "mqtt": mqtt.Options,
    "replay": replay.Options, "serial": serial.Options,
}  # fmt: skip


def device(path: Path) -> dict[str, Any]:
    """A device's configuration, and what each source makes of its table."""
    config = read_config(path)
    sources = {}
    for name, table in config.sources.items():
        keeping, own = split_common_keys(name, table)
        options = strict({key: value for key, value in own.items() if key != "kind"}, _OPTIONS[table["kind"]], name)
        sources[name] = {"keeping": keeping, "options": options}
    scopes = [str(scope) for scope in config.scopes]
    return _plain({"config": config, "sources": sources, "scopes": scopes})


def manifest(path: Path) -> dict[str, Any]:
    """An operator's manifest: what the host reads, and the content digest of the document that it sends."""
    file = read_manifest_file(path)
    document = build_manifest(
        file, namespace="ea/v1", version=file.version or 1, model=("onnx", BLOB),
        evaluation=EVAL if file.eval else None, targets=["g/all"], created="", expires="",
    )  # fmt: skip
    content = encode_manifest(document)
    said = {"name": file.name, "version": file.version, "eval": file.eval.name if file.eval else None}
    return _plain({**said, "document": document}) | {"digest": content_digest(content)}


def recipe(path: Path) -> dict[str, Any]:
    """A recipe."""
    return _plain(read_recipe(path))


def host(path: Path, home: Path) -> dict[str, Any]:
    """An operator's settings; paths without the home that they are in."""
    settings = _plain(load_settings({}, path))
    return {key: value.replace(str(home), "~") if isinstance(value, str) else value for key, value in settings.items()}


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain
