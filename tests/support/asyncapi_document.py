"""``docs/asyncapi.yaml``: the channels as an AsyncAPI 3.1 document, from the device's point of view.

AsyncAPI's schemas are JSON Schema draft 7, so what msgspec says in the words of 2020-12 is said in those.
"""

from typing import Any

import yaml

from edge_agent.jobs.result import Result
from edge_agent.wire.channels import CHANNELS, Channel
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope
from edge_agent.wire.keys import KEYS_TYPE, KeyList
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.messages import PROTOCOL, Command, JobReport
from support.json_schemas import Kind, Schema, schemas

Document = dict[str, Any]
REFERENCE = "#/components/schemas/{name}"
PAYLOAD_TYPES: dict[Kind, str] = {Manifest: MANIFEST_TYPE, Command: COMMAND_TYPE, KeyList: KEYS_TYPE}
LEVELS = {
    "device": "A device's id.",
    "group": "A group's name; every device is in group `all`.",
    "model": "A model's name.",
    "job": "A job: the first 16 hex digits of the SHA-256 of its manifest's content.",
    "command": "A command's id; `keys-` and a version for a list of keys.",
    "sha256": "A blob: the SHA-256 of its bytes in lower-case hex.",
    "part": "The chunk's index divided by 32.",
    "index": "The chunk's index, from 0.",
    "page": "The page's index, from 0.",
}
"""What stands at each level that an address leaves open."""


def document() -> Document:
    """The whole document."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "edge-agent",
            "version": f"{PROTOCOL}",
            "description": "What a device, a host and a dashboard say to each other over MQTT. Addresses have the "
            "namespace `ea/v1`; a device's config may say another. An empty payload clears a retained message and says "
            "nothing elsewhere; no schema tells of it. docs/protocol.md explains the whole.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "example": {
                "host": "broker.local:8883",
                "protocol": "secure-mqtt",
                "description": "Any MQTT broker, 3.1.1 or 5; docs/broker.md sets one up.",
            }
        },
        "channels": {name: _channel(channel) for name, channel in CHANNELS.items()},
        "operations": {_verb(channel) + "_" + name: _operation(name, channel) for name, channel in CHANNELS.items()},
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def written() -> str:
    """The document as YAML, its keys in the order of :func:`document`."""
    text: str = yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return "# Made from the code by tests/test_asyncapi.py.\n" + text


class _Plain(yaml.SafeDumper):
    """Without anchors: a reader of YAML need not know them."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def names_of_messages(channel: Channel) -> list[str]:
    """What a payload there may be, by names of components."""
    kinds = channel.signed or (channel.message,)
    return [kind.__name__ if kind else "Piece" for kind in kinds]


def _channel(channel: Channel) -> Document:
    levels = [level[1:-1] for level in channel.address.split("/") if level.startswith("{")]
    return {
        "address": f"ea/v1/{channel.address}",
        "description": f"{channel.what[0].upper()}{channel.what[1:]}. Published {channel.when}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names_of_messages(channel)},
        "parameters": {level: {"description": LEVELS[level]} for level in levels},
        "x-most-bytes": channel.most_bytes,
    }


def _verb(channel: Channel) -> str:
    return "send" if channel.writer == "device" else "receive"


def _operation(name: str, channel: Channel) -> Document:
    return {
        "action": _verb(channel),
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel.what[0].upper() + channel.what[1:],
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in names_of_messages(channel)],
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }


def _messages() -> Document:
    found: Document = {}
    for channel in CHANNELS.values():
        for kind in channel.signed:
            found[kind.__name__] = _signed(kind)
        if channel.message is None:
            found["Piece"] = {
                "summary": "Raw bytes: a chunk, or SHA-256 digests of chunks.",
                "contentType": "application/octet-stream",
                "payload": {"type": "string", "format": "binary"},
            }
        elif not channel.signed:
            name = channel.message.__name__
            found[name] = {
                "summary": _first_sentence(channel.message),
                "payload": {"$ref": REFERENCE.format(name=name)},
            }
    return found


def _signed(kind: Kind) -> Document:
    """An envelope; what its payload decodes to stands beside the schema, as draft 7 has no word for it."""
    return {
        "summary": f"Signed. {_first_sentence(kind)}",
        "payload": {
            "allOf": [
                {"$ref": REFERENCE.format(name=Envelope.__name__)},
                {"properties": {"payloadType": {"const": PAYLOAD_TYPES[kind]}}},
            ]
        },
        "x-signed-payload": {"$ref": REFERENCE.format(name=kind.__name__)},
    }


def _first_sentence(kind: Kind) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _schemas() -> dict[str, Schema]:
    kinds = {kind for channel in CHANNELS.values() for kind in (channel.message, *channel.signed) if kind}
    found = schemas(sorted(kinds | {Result}, key=lambda kind: kind.__name__), REFERENCE)
    report = found[JobReport.__name__]["properties"]
    report["results"] = {
        "description": report["results"]["description"],
        "allOf": [{"$ref": REFERENCE.format(name=Result.__name__)}],
    }
    return {name: _draft_7(found[name]) for name in sorted(found)}


def _draft_7(value: Any) -> Any:
    match value:
        case {"prefixItems": first, **rest}:
            return _draft_7({**rest, "items": first, "additionalItems": False})
        case dict():
            return {key: _draft_7(inner) for key, inner in value.items()}
        case list():
            return [_draft_7(inner) for inner in value]
    return value
