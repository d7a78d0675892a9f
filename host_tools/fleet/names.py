"""Checks names inside messages: invalid ones are removed, as pages use them in addresses and ids. Pure."""

from typing import TypeVar

import msgspec

from edge_agent.errors import WireError
from edge_agent.wire.messages import DeviceInfo, Message
from edge_agent.wire.telemetry import Event
from edge_agent.wire.topics import check_name

M = TypeVar("M", bound=Message)


def is_name(text: str) -> bool:
    """Whether it is a valid name of a device, group, model or job."""
    try:
        check_name(text)
    except WireError:
        return False
    return True


def with_names(message: M) -> M:
    """The message without invalid model and job names; an event with one is about no model or job."""
    match message:
        case DeviceInfo(active=active) if not all(is_name(one.model) and is_name(one.job) for one in active):
            kept = [one if is_name(one.job) else msgspec.structs.replace(one, job="") for one in active]
            return msgspec.structs.replace(message, active=[one for one in kept if is_name(one.model)])
        case Event(model=model, job=job) if not (is_name(model or "x") and is_name(job or "x")):
            return msgspec.structs.replace(
                message, model=model if is_name(model) else "", job=job if is_name(job) else ""
            )
    return message
