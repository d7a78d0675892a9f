"""Many clients of one thread, on a real broker."""

import pytest
from support.brokers import MosquittoBroker
from support.simulated import wait_for

from edge_agent.mqtt import Connected, Event
from edge_agent.mqtt.options import ClientOptions
from edge_agent.mqtt.outcome import Outcome
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.simulation.crowd import Crowd


@pytest.mark.mosquitto
def test_what_was_not_acknowledged_does_not_replace_what_is_newer(mosquitto: MosquittoBroker, namespace: str) -> None:
    settings = Settings(url=mosquitto.url, namespace=namespace)
    topic = settings.topics.device("sim-0001", "job", "a" * 16)
    ends = list[Outcome]()
    said: list[bytes] = []

    def heed(_number: int, event: Event) -> None:
        if isinstance(event, Connected):
            said.append(b"first" if not said else b"newer")
            crowd.publish(0, topic, said[-1], retain=True, qos=1)

    def serve_until(count: int) -> bool:
        crowd.serve(0.02)
        return len(said) == count and crowd.settled

    options = ClientOptions.read(settings, "crowd", will=None, clean=True, session_s=0)
    with Crowd(options, "5", heed, lambda _number, outcome: ends.append(outcome)) as crowd:
        assert crowd.connect(0, "sim-0001", None) is None
        wait_for(lambda: serve_until(1))
        mosquitto.pause()
        crowd.publish(0, topic, b"older", retain=True, qos=1)
        crowd.serve(0.02)
        mosquitto.kill()
        wait_for(lambda: bool(crowd.serve(0.02) or ends))
        mosquitto.start()
        assert crowd.connect(0, "sim-0001", None) is None
        wait_for(lambda: serve_until(2))
        with Session(settings) as session:
            assert session.snapshot(topic) == {topic: b"newer"}
