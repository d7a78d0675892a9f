"""What is on a broker, held against ``docs/asyncapi.yaml`` as anybody would read it: topic, payload, QoS, retained.

A schema there lets unknown fields pass, as readers must. What this version says itself is held to more: a field that no
schema has is a fault.
"""

import base64
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from edge_agent.errors import WireError
from edge_agent.wire.topics import Topics

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "asyncapi.yaml"
JSON, SIGNED = "application/json", "x-signed-payload"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as a subscriber got it: with the QoS and the retain flag that it was published with."""

    topic: str
    payload: bytes
    qos: int
    retained: bool


class Protocol:
    """The documented protocol, for the topics of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._topics = Topics(namespace)
        self._document = _document()
        self._channels = {
            name: re.compile(_pattern(channel["address"].replace("ea/v1/", f"{namespace}/", 1)))
            for name, channel in self._document["channels"].items()
        }
        self._bindings = {
            operation["channel"]["$ref"].rpartition("/")[2]: operation["bindings"]["mqtt"]
            for operation in self._document["operations"].values()
        }

    def channel(self, topic: str) -> str:
        """The name of the channel that ``topic`` is of, of several the one with the most written out; empty: none."""
        found = [name for name, pattern in self._channels.items() if pattern.fullmatch(topic)]
        return min(found, key=lambda name: len(self._document["channels"][name]["parameters"]), default="")

    def faults(self, topic: str, payload: bytes) -> list[str]:
        """What of a message is not as documented."""
        name = self.channel(topic)
        if not name:
            return ["no channel"]
        found = []
        try:
            self._topics.parse(topic)
        except WireError as error:
            found.append(str(error))
        channel = self._document["channels"][name]
        if len(payload) > channel["x-most-bytes"]:
            found.append(f"{len(payload)} bytes")
        if not payload:  # clears what is retained, and says nothing elsewhere
            return found
        return found + min((_wrong(message, payload) for message in channel["messages"]), key=len)

    def faults_of(self, heard: Heard) -> list[str]:
        """The same, and whether QoS and retain flag are as documented."""
        found = self.faults(heard.topic, heard.payload)
        binding = self._bindings.get(self.channel(heard.topic), {})
        if binding and heard.payload and (heard.qos, heard.retained) != (binding["qos"], binding["retain"]):
            found.append(f"QoS {heard.qos}, {'' if heard.retained else 'not '}retained")
        return found


def _wrong(message: str, payload: bytes) -> list[str]:
    """How a payload is not one of ``message``."""
    described = _document()["components"]["messages"][message]
    if described.get("contentType", JSON) != JSON:
        return []
    try:
        value = json.loads(payload)
    except ValueError as error:
        return [str(error)]
    found = _errors(message, "payload", value)
    if not found and SIGNED in described:
        found = _errors(message, SIGNED, json.loads(base64.b64decode(value["payload"])))
    return found


def _errors(message: str, part: str, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in _validator(message, part).iter_errors(value)]


@cache
def _validator(message: str, part: str) -> Draft7Validator:
    components = _document()["components"]
    return Draft7Validator({**components["messages"][message][part], "components": components})


@cache
def _document() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(DOCUMENT.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  # it is safe
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def _pattern(address: str) -> str:
    return "/".join("[^/]+" if level.startswith("{") else re.escape(level) for level in address.split("/"))
