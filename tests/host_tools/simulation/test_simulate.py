"""A simulated fleet on real brokers."""

import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from support.brokers import Broker, MosquittoBroker
from support.simulated import simulated, wait_for

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.wire.messages import DeviceStatus, decode
from edge_agent.wire.telemetry import Health, ModelSample
from edge_agent.wire.topics import DeviceKind, Scope
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.simulation import device, simulate
from host_tools.simulation.clearing import check_names, clear_fleet, left_topics
from host_tools.simulation.plan import Plan
from host_tools.simulation.simulate import Simulation

QUIET = Plan(devices=25, jobs_per_hour=0, health_s=0, model_s=0)


def session_at(broker: Broker, namespace: str) -> Session:
    return Session(Settings(url=broker.url, namespace=namespace, broker_timeout_s=60))


@pytest.mark.parametrize("connections", [0, 4])
def test_every_device_is_seen_goes_offline_and_is_cleared(broker: Broker, namespace: str, connections: int) -> None:
    with simulated(broker, namespace, QUIET, connections) as simulation, session_at(broker, namespace) as session:
        there = read_devices(session)
    with session_at(broker, namespace) as session:
        gone = read_devices(session)
        left = left_topics(session, "sim")
        assert simulation.may_clear
        assert clear_fleet(session, simulation) == []
        cleared = left_topics(session, "sim")

    assert list(there) == QUIET.names
    assert all(one.online and one.info and one.info.active for one in there.values())
    assert list(gone) == QUIET.names
    assert not any(one.online for one in gone.values())
    assert len(left) == 4 * 25
    assert cleared == []


def test_samples_are_heard_live(one_broker: Broker, namespace: str) -> None:
    plan = Plan(devices=3, jobs_per_hour=0, health_s=0.2, model_s=0.2)
    with session_at(one_broker, namespace) as session:
        session.subscribe(f"{namespace}/d/+/tele/health", f"{namespace}/d/+/tele/model/+")
        with simulated(one_broker, namespace, plan):
            heard = [session.next(60) for _ in range(30)]

    kinds = {one.topic.split("/")[-1]: Health if one.topic.endswith("health") else ModelSample for one in heard if one}
    for one in heard:
        assert one is not None
        assert decode(one.payload, kinds[one.topic.split("/")[-1]]).ts
    assert kinds.keys() == {"health", "har"}


def test_a_device_that_loses_its_connection_leaves_its_will_and_comes_back(
    one_broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_AWAY_S", (0.1, 0.2))
    plan = Plan(devices=1, jobs_per_hour=0, health_s=0, model_s=0, drops_per_hour=3600)
    said: list[bool] = []
    with session_at(one_broker, namespace) as session:
        session.subscribe(session.topics.devices("status"))
        with simulated(one_broker, namespace, plan):
            while said[-3:] != [True, False, True]:
                heard = session.next(60)
                assert heard is not None
                said.append(decode(heard.payload, DeviceStatus).online)


@pytest.mark.mosquitto
def test_a_fleet_comes_back_after_the_broker_did(mosquitto: MosquittoBroker, namespace: str) -> None:
    with simulated(mosquitto, namespace, QUIET) as simulation:
        mosquitto.stop()
        wait_for(lambda: simulation.counts.connected == 0)
        mosquitto.start()
        wait_for(lambda: simulation.all_connected and simulation.settled)

        with session_at(mosquitto, namespace) as session:
            assert sum(one.online for one in read_devices(session).values()) == 25


@pytest.mark.mosquitto
def test_a_broker_that_says_nothing_is_not_waited_for_long(
    mosquitto: MosquittoBroker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "_SILENCE_S", 0.3)
    with simulated(mosquitto, namespace, QUIET):
        mosquitto.pause()
        began = time.monotonic()

    assert time.monotonic() - began < 10


@pytest.mark.mosquitto
def test_of_two_fleets_of_the_same_names_one_ends(
    mosquitto: MosquittoBroker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "_CONNECT_AGAIN_S", (0.02, 5.0))
    settings, plan = Settings(url=mosquitto.url, namespace=namespace), replace(QUIET, devices=1)
    fleets = [Simulation(settings, plan, "5", connections=0, ramp=5000) for _ in range(2)]
    over = threading.Event()
    give_up = time.monotonic() + 60
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(one.run, lambda: over.is_set() or time.monotonic() > give_up) for one in fleets]
        wait(runs, return_when=FIRST_COMPLETED)
        over.set()
    errors = [error for run in runs if (error := run.exception())]

    assert "another client connects" in str(errors[0])
    assert "give another --prefix" in str(errors[0])
    assert any(one.has_twin for one in fleets)


def test_what_a_device_was_ordered_is_cleared_with_it_and_not_while_it_is_online(
    one_broker: Broker, namespace: str
) -> None:
    with session_at(one_broker, namespace) as session:
        ours = session.topics.orders(Scope("d", "sim-0001"))
        orders = {ours[0].replace("+", "har"), ours[1].replace("+", "c1")}
        for topic in (*orders, session.topics.want(Scope("d", "pi-0001"), "har")):
            session.publish(topic, b"any")
        with simulated(one_broker, namespace, replace(QUIET, devices=2), 1) as simulation:
            wait_for(lambda: simulation.orders == orders)
            with pytest.raises(ConfigError, match=r"2 simulated devices .* report that they are online"):
                left_topics(session, "sim")
            assert orders < set(left_topics(session, "sim", even_online=True))

        left = left_topics(session, "sim")
        assert clear_fleet(session, simulation) == []
        assert left_topics(session, "sim") == []
        assert len(session.snapshot(*session.topics.orders(Scope("d", "+")))) == 1

    assert [topic.split("/")[-1] for topic in left[-4:]] == ["status", "info"] * 2


def test_nobody_speaks_for_a_real_device_or_twice(one_broker: Broker, namespace: str) -> None:
    with simulated(one_broker, namespace, QUIET), session_at(one_broker, namespace) as session:
        with pytest.raises(ConfigError, match="simulated already"):
            check_names(session, QUIET)
        check_names(session, Plan(devices=5, prefix="other"))
        session.publish(session.topics.device("pi-0001", "info"), b'{"device":"pi-0001","board":"Raspberry Pi 4"}')

        with pytest.raises(ConfigError, match="no simulated device"):
            check_names(session, Plan(devices=1, prefix="pi"))
        assert left_topics(session, "pi") == []

        with pytest.raises(ConfigError, match=r"has 1 device that are not simulated: .* or --beside-real"):
            check_names(session, Plan(devices=1, prefix="other"))
        check_names(session, Plan(devices=1, prefix="other", beside_real=True))


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("status", b'{"device":"pi-0001","online":false,"agent_version":"0.2.0"}'),
        ("status", b'{"v":2,"device":"pi-0001","online":true}'),
        ("info", b'{"v":2,"device":"pi-0001","board":"Raspberry Pi 4 (simulated)"}'),
        ("info", b"{"),
    ],
)
def test_who_does_not_say_readably_that_it_is_simulated_is_real(
    one_broker: Broker, namespace: str, kind: DeviceKind, payload: bytes
) -> None:
    with session_at(one_broker, namespace) as session:
        session.publish(session.topics.device("pi-0001", kind), payload)

        with pytest.raises(ConfigError, match="no simulated device"):
            check_names(session, Plan(devices=1, prefix="pi"))
        assert left_topics(session, "pi") == []


def test_a_will_that_is_all_there_is_of_a_simulated_device_is_cleared(one_broker: Broker, namespace: str) -> None:
    will = device.SimulatedDevice(QUIET, 0, 1.8e9).offline
    with session_at(one_broker, namespace) as session:
        topic = session.topics.device("sim-0001", "status")
        session.publish(topic, will.payload)

        check_names(session, QUIET)
        assert left_topics(session, "sim") == [topic]


@pytest.mark.mosquitto
def test_an_acl_that_lets_nobody_speak_as_a_device_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read ea/v1/d/#\n")
    (tmp_path / "acl").chmod(0o600)
    mosquitto = MosquittoBroker(tmp_path, f"acl_file {tmp_path / 'acl'}")
    mosquitto.start()
    simulation = Simulation(Settings(url=mosquitto.url), QUIET, "5", connections=0, ramp=100)
    deadline = time.monotonic() + 60
    try:
        with pytest.raises(BrokerError, match=r"let this user write ea/v1/d/\+/#, best in a namespace of its own"):
            simulation.run(lambda: time.monotonic() > deadline)
    finally:
        mosquitto.kill()
    assert not simulation.may_clear


@pytest.mark.slow
def test_two_thousand_devices_are_seen_whole(broker: Broker, namespace: str) -> None:
    plan = Plan(devices=2000, jobs_per_hour=0, health_s=0, model_s=0)
    with simulated(broker, namespace, plan, connections=20), session_at(broker, namespace) as session:
        found = read_devices(session)

    assert list(found) == plan.names
    assert all(one.online and one.info and one.info.active for one in found.values())
