"""Clear from the broker what simulated devices have left there; nothing of a device that is none of theirs."""

import re
from collections.abc import Iterator

from edge_agent.errors import ConfigError
from edge_agent.strict import counted
from edge_agent.wire.topics import DeviceKind, DeviceTopic, Topics
from host_tools.broker.registry import parse
from host_tools.broker.session import Session
from host_tools.simulation.fleet import Fleet
from host_tools.simulation.neighbours import read_neighbours
from host_tools.simulation.plan import Plan

_RETAINED: tuple[DeviceKind, ...] = ("status", "info", "model", "job")


def check_names(session: Session, plan: Plan) -> None:
    """Raise ``ConfigError`` where a device of the plan would speak for another one that the broker knows.

    Beside real devices at all it would obey what is ordered of everyone, and make an operator's push fail; unless the
    plan knows of them.
    """
    known = read_neighbours(session)
    for name in plan.names:
        if name in known.others:
            raise ConfigError("usage", f"{name!r} is no simulated device; give another --prefix")
        if known.simulated.get(name):
            raise ConfigError(
                "usage",
                f"{name!r} is simulated already; give another --prefix, or, if that simulation was killed, clear "
                f"what it left: host-tools simulate --clear --prefix {plan.prefix}",
            )
    if known.others and not plan.beside_real:
        raise ConfigError(
            "usage",
            f"namespace {session.topics.namespace} has {counted(len(known.others), 'device')} that no simulation has "
            "made: give a namespace of its own (--namespace), or --beside-real",
        )


def clear_fleet(session: Session, fleet: Fleet) -> list[str]:
    """Clear what the devices of a fleet have said; returns the topics that the broker refuses to clear."""
    topics = session.topics
    return session.clear(
        topics.device(device.id, kind, leaf) for device in fleet.devices for kind, leaf in device.retained
    )


def left_topics(session: Session, prefix: str) -> list[str]:
    """The topics of simulated devices of any fleet with that prefix under which the broker holds a message."""
    topics = session.topics
    ours = re.compile(rf"{re.escape(prefix)}-[0-9]{{4,}}")
    names = {name for name in read_neighbours(session).simulated if ours.fullmatch(name)}
    return sorted(_of(names, topics, session.snapshot(*(topics.devices(kind) for kind in _RETAINED))))


def _of(names: set[str], topics: Topics, found: dict[str, bytes]) -> Iterator[str]:
    for topic in found:
        match parse(topics, topic):
            case DeviceTopic(device) if device in names:
                yield topic
