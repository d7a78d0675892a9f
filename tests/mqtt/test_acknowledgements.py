"""Whoever waits for an acknowledgement is called once, however fast it comes and whatever becomes of the client."""

import threading
from pathlib import Path

import pytest
from support.brokers import Broker, MosquittoBroker
from support.links import QueuedLink

from edge_agent.mqtt import Connected
from edge_agent.mqtt.acknowledgements import Acknowledgements


def test_an_acknowledgement_may_come_before_its_sender_knows_the_number() -> None:
    told: list[str] = []
    both = Acknowledgements()
    assert both.came(1, "no") == ""
    both.expect(1, "a/topic", told.append, lasting=True)
    both.expect(2, "b/topic", told.append, lasting=True)
    assert both.came(2, "") == "b/topic"

    assert told == ["no", ""]


def test_from_two_threads_each_is_told_once() -> None:
    told: list[str] = []
    both, count = Acknowledgements(), 20_000
    sender = threading.Thread(target=lambda: [both.expect(mid, "t", told.append, lasting=True) for mid in range(count)])
    sender.start()
    for mid in range(count):
        both.came(mid, str(mid))
    sender.join()

    assert sorted(map(int, told)) == list(range(count))


def test_what_a_connection_takes_with_it_is_forgotten_and_what_outlives_it_is_not() -> None:
    told: list[str] = []
    both = Acknowledgements()
    both.expect(1, "t", told.append, lasting=False)
    both.expect(2, "t", told.append, lasting=True)
    both.begin()
    both.give_up("over")

    assert told == ["over"]


def test_a_sender_who_comes_after_all_was_given_up_is_told_so() -> None:
    told: list[str] = []
    both = Acknowledgements()
    both.give_up("over")
    both.expect(1, "t", told.append, lasting=True)

    assert told == ["over"]


def test_a_broker_that_was_gone_acknowledges_by_the_next_connection(broker: Broker, namespace: str) -> None:
    """What is published in the instant in which the connection goes is sent by the link itself."""
    told: list[str] = []
    came = threading.Event()

    def then(reason: str) -> None:
        told.append(reason)
        came.set()

    with QueuedLink(broker.url, f"a-{namespace[-6:]}", clean=False) as a:
        a.expect(Connected)
        a.link.reconnect()
        while not a.link.publish(f"{namespace}/x", b"1", then=then).taken:
            pass
        a.expect(Connected)
        assert came.wait(60)

    assert told == [""]


@pytest.mark.mosquitto
def test_a_refusal_says_why_and_the_log_names_the_line_once(
    tmp_path: Path, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "acl").write_text(f"topic write {namespace}/yes\n")
    (tmp_path / "acl").chmod(0o600)
    broker = MosquittoBroker(tmp_path, f"acl_file {tmp_path}/acl")
    broker.start()
    told: list[tuple[str, str]] = []
    came = threading.Semaphore(0)
    with QueuedLink(broker.url, "a", acl_line=lambda topic: f"topic write {topic}") as a:
        a.expect(Connected)
        for leaf in ("yes", "no", "no"):
            a.link.publish(
                f"{namespace}/{leaf}",
                b"1",
                then=lambda reason, leaf=leaf: (told.append((leaf, reason)), came.release()),
            )
        for _ in range(3):
            assert came.acquire(timeout=60)
    broker.kill()

    assert told == [("yes", ""), ("no", "Not authorized"), ("no", "Not authorized")]
    assert caplog.text.count("Not authorized") == 1
    assert f'its ACL needs the line "topic write {namespace}/no"' in caplog.text
