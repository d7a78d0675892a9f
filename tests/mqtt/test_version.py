"""Which version of MQTT the next connection speaks, by how the ones before it ended."""

import pytest

from edge_agent.mqtt.outcome import Reached
from edge_agent.mqtt.version import VersionChoice

NOTHING, MUTE, REFUSED, SESSION = Reached.NOTHING, Reached.A_LISTENER, Reached.THE_BROKER, Reached.A_SESSION


@pytest.mark.parametrize(
    ("ended", "version", "at_once"),
    [
        ([SESSION], "5", False),
        ([NOTHING, REFUSED], "5", False),
        ([MUTE], "3.1.1", True),
        ([MUTE, MUTE], "5", False),
        ([MUTE, MUTE, MUTE], "3.1.1", True),
        ([MUTE, SESSION, NOTHING], "3.1.1", False),
        ([SESSION, MUTE, MUTE], "5", False),
        ([SESSION, MUTE, MUTE, MUTE], "3.1.1", True),
        ([SESSION, MUTE, MUTE, SESSION, MUTE, MUTE], "5", False),
        ([MUTE, SESSION, MUTE, MUTE, MUTE], "5", True),
    ],
)
def test_the_version_follows_what_brokers_answer(ended: list[Reached], version: str, *, at_once: bool) -> None:
    choice = VersionChoice()

    learnt = [choice.learn(reached) for reached in ended]

    assert (choice.version, learnt[-1]) == (version, at_once)
