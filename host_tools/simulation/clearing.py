"""Clears the messages of simulated devices from the broker, and never those of other devices."""

import re
from itertools import chain

from edge_agent.errors import ConfigError
from edge_agent.strict import counted
from edge_agent.wire.topics import DeviceKind, Scope
from host_tools.broker.session import Session
from host_tools.simulation.neighbours import read_neighbours
from host_tools.simulation.plan import Plan
from host_tools.simulation.simulate import Simulation

_MANY: tuple[DeviceKind, ...] = ("job", "model")
_LAST: tuple[DeviceKind, ...] = ("status", "info")
_AT_ONCE = 20
"""Devices that are read at once: few enough messages for one round, and none of any other device."""


def check_names(session: Session, plan: Plan) -> None:
    """Raise ``ConfigError`` if a device of the plan would have the name of another one that the broker knows.

    Without ``beside_real`` any real device is an error, too: the simulated ones would execute orders for everyone, and
    make an operator's push fail.
    """
    known = read_neighbours(session)
    for name in plan.names:
        if name in known.others:
            raise ConfigError("usage", f"{name!r} is no simulated device; give another --prefix")
        if known.simulated.get(name):
            raise ConfigError(
                "usage",
                f"{name!r} is simulated already; give another --prefix, or, if that simulation was killed, clear "
                f"what it left: host-tools simulate --clear --even-online --prefix {plan.prefix}",
            )
    if known.others and not plan.beside_real:
        raise ConfigError(
            "usage",
            f"namespace {session.topics.namespace} has {counted(len(known.others), 'device')} that are not "
            "simulated: give a namespace of its own (--namespace), or --beside-real",
        )


def clear_fleet(session: Session, simulation: Simulation) -> list[str]:
    """Clear the devices' messages and orders; returns the topics that the broker refuses to clear."""
    topics = session.topics
    said = (topics.device(one.id, kind, leaf) for one in simulation.fleet.devices for kind, leaf in one.retained)
    return session.clear(chain(simulation.orders, said))


def left_topics(session: Session, prefix: str, *, even_online: bool = False) -> list[str]:
    """The topics with retained messages of simulated devices of any fleet with that prefix.

    They are in the order to clear them: the message that marks a device as simulated comes last.

    Raises:
        ConfigError: some of them report that they are online, and ``even_online`` is not set.
    """
    ours = re.compile(rf"{re.escape(prefix)}-[0-9]{{4,}}")
    known = read_neighbours(session).simulated
    names = sorted(name for name in known if ours.fullmatch(name))
    online = sum(known[name] for name in names)
    if online and not even_online:
        raise ConfigError(
            "usage",
            f"{counted(online, 'simulated device')} of this prefix report that they are online: end that simulation "
            "first, or, if it was killed, give --even-online",
        )
    batches = (names[first : first + _AT_ONCE] for first in range(0, len(names), _AT_ONCE))
    return [topic for batch in batches for topic in _held(session, batch)]


def _held(session: Session, names: list[str]) -> list[str]:
    """The retained messages of these devices, and the orders for them."""
    topics = session.topics
    filters = [name for device in names for name in topics.orders(Scope("d", device))]
    filters += [topics.device(device, kind, "+") for device in names for kind in _MANY]
    last = [topics.device(device, kind) for device in names for kind in _LAST]
    found = session.snapshot(*filters, *last)
    return [*sorted(found.keys() - set(last)), *(topic for topic in last if topic in found)]
