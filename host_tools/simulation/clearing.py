"""Clear from the broker what simulated devices have left there; nothing of a device that is none of theirs."""

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
"""So many devices are read at once: few enough messages for one round, and nothing of any other device."""


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
                f"what it left: host-tools simulate --clear --even-online --prefix {plan.prefix}",
            )
    if known.others and not plan.beside_real:
        raise ConfigError(
            "usage",
            f"namespace {session.topics.namespace} has {counted(len(known.others), 'device')} that no simulation has "
            "made: give a namespace of its own (--namespace), or --beside-real",
        )


def clear_fleet(session: Session, simulation: Simulation) -> list[str]:
    """Clear what the devices have said and what each was ordered; returns what the broker refuses to clear."""
    topics = session.topics
    said = (topics.device(one.id, kind, leaf) for one in simulation.fleet.devices for kind, leaf in one.retained)
    return session.clear(chain(simulation.orders, said))


def left_topics(session: Session, prefix: str, *, even_online: bool = False) -> list[str]:
    """The topics of simulated devices of any fleet with that prefix under which the broker holds a message.

    In the order in which they are to be cleared: what says that a device is simulated is the last of it.

    Raises:
        ConfigError: some of them say that they are online, and not ``even_online``.
    """
    ours = re.compile(rf"{re.escape(prefix)}-[0-9]{{4,}}")
    known = read_neighbours(session).simulated
    names = sorted(name for name in known if ours.fullmatch(name))
    online = sum(known[name] for name in names)
    if online and not even_online:
        raise ConfigError(
            "usage",
            f"{counted(online, 'simulated device')} of this prefix say that they are online: end that simulation "
            "first, or, if it was killed, give --even-online",
        )
    batches = (names[first : first + _AT_ONCE] for first in range(0, len(names), _AT_ONCE))
    return [topic for batch in batches for topic in _held(session, batch)]


def _held(session: Session, names: list[str]) -> list[str]:
    """What the broker holds of these devices, and of orders for them."""
    topics = session.topics
    filters = [name for device in names for name in topics.orders(Scope("d", device))]
    filters += [topics.device(device, kind, "+") for device in names for kind in _MANY]
    last = [topics.device(device, kind) for device in names for kind in _LAST]
    found = session.snapshot(*filters, *last)
    return [*sorted(found.keys() - set(last)), *(topic for topic in last if topic in found)]
