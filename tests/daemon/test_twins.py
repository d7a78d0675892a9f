"""A second device by our id: the status says it while we can be heard, until it is gone."""

from pathlib import Path

from support.agents import DEVICE, TOPICS, LocalAgent

from edge_agent.daemon.twins import GONE_AFTER_S, Twins
from edge_agent.mqtt import Connected, Disconnected
from edge_agent.wire.messages import DeviceStatus, decode


def test_a_twin_stands_in_the_next_status(tmp_path: Path) -> None:
    local = LocalAgent(tmp_path / "state").boot()

    local.handle(Disconnected("another client connects as 'x'", twin=True))
    local.handle(Connected(session_present=True))

    payload = local.link.retained[TOPICS.device(DEVICE.name, "status")]
    assert decode(payload, DeviceStatus).twin == "another client connects as 'x'"
    local.off()


def test_a_status_without_a_twin_is_as_it_was(tmp_path: Path) -> None:
    local = LocalAgent(tmp_path / "state").boot()

    local.handle(Disconnected("the broker closed the connection"))
    local.handle(Connected(session_present=True))

    assert b"twin" not in local.link.retained[TOPICS.device(DEVICE.name, "status")]
    local.off()


def test_a_twin_is_over_when_the_connection_has_stood_long_enough() -> None:
    said: list[str] = []
    now = [0.0]
    twins = Twins(said.append, lambda: now[0])

    twins.disconnected("why")
    twins.disconnected("")
    now[0] += GONE_AFTER_S
    twins.tick()
    now[0] += 1
    twins.tick()
    twins.tick()

    assert said == ["why", ""]
