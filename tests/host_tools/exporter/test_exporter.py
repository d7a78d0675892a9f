"""``host-tools exporter`` as a process, between a real broker and whoever scrapes it."""

import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.brokers import Broker, MosquittoBroker
from support.fleets import HOSTILE, Running, Voice, eventually, running, speaking
from support.host import Host

from edge_agent.wire.topics import Topics
from host_tools.cli.app import main
from host_tools.cli.exporter import address_of


@dataclass
class Scraped:
    """An exporter that runs."""

    command: Running
    url: str

    def text(self) -> str:
        with urllib.request.urlopen(self.url, timeout=60) as answer:  # noqa: S310  # the exporter's, as it said
            assert answer.headers["Content-Type"].startswith("text/plain")
            return str(answer.read().decode())

    def values(self) -> dict[str, float]:
        """``name{label=value,…}`` → value, without the names' prefix."""
        found = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                found[f"{sample.name.removeprefix('edge_agent_')}{{{labels}}}"] = sample.value
        return found

    def has(self, key: str, value: float) -> bool:
        return self.values().get(key) == value

    def hears(self, url: str, namespace: str) -> None:
        """Wait until it has subscribed: what is said before that, and not kept, it does not hear."""
        probe = Voice("probe", Topics(namespace))

        def heard() -> bool:
            say(probe.health())
            return self.has("temperature_celsius{device=probe}", 51.5)

        with speaking(url, namespace) as say:
            eventually(heard)


@pytest.fixture
def exporter(one_broker: Broker, namespace: str) -> Iterator[Scraped]:
    argv = ("exporter", "--listen", "127.0.0.1:0", "--broker", one_broker.url, "--namespace", namespace)
    with running(*argv, "--broker-timeout", "60") as command:
        said = command.said("/metrics")
        found = re.search(r"http://\S+/metrics", said)
        assert found
        scraped = Scraped(command, found[0])
        scraped.hears(one_broker.url, namespace)
        yield scraped


def test_what_was_kept_and_what_is_said_now_is_scraped(one_broker: Broker, namespace: str) -> None:
    pi = Voice("pi-1", Topics(namespace))
    argv = ("exporter", "--listen", "127.0.0.1:0", "--broker", one_broker.url, "--namespace", namespace)
    with speaking(one_broker.url, namespace) as say:
        say(pi.status(), pi.info(), pi.model(), pi.report(), retain=True)
        with running(*argv) as command:
            found = re.search(r"http://\S+/metrics", command.said("/metrics"))
            assert found
            scraped = Scraped(command, found[0])
            scraped.hears(one_broker.url, namespace)
            assert scraped.has("online{device=pi-1}", 1)
            say(pi.health(), pi.sample(), pi.sample(), pi.event("throttled", severity="warning"))
            eventually(lambda: scraped.has("events_total{device=pi-1,kind=throttled,severity=warning}", 1))

            values = scraped.values()
            assert command.end() == 0

    expected = {
        "device_info{agent_version=1.2.3,arch=aarch64,board=Raspberry Pi 4,device=pi-1}": 1,
        "device_group{device=pi-1,group=lab}": 1,
        "model_info{device=pi-1,method=static,model=har,runtime=onnxruntime 1.32.0,version=7}": 1,
        "model_verdict_info{code=accepted,device=pi-1,model=har,verdict=accepted,version=7}": 1,
        "model_active_since_timestamp_seconds{device=pi-1,model=har}": 1772366400,
        "model_latency_seconds{device=pi-1,model=har,precision=float,quantile=0.5}": 0.008,
        "model_latency_seconds{device=pi-1,model=har,precision=active,quantile=0.99}": 0.004,
        "model_stale{device=pi-1,model=har}": 0,
        "jobs{code=accepted,model=har,status=succeeded}": 1,
        "temperature_celsius{device=pi-1}": 51.5,
        "throttled_since_boot{device=pi-1}": 1,
        "reconnects_total{device=pi-1}": 2,
        "disk_free_bytes{device=pi-1}": 9e9,
        "inference_latency_seconds{device=pi-1,model=har,quantile=0.95}": 0.0042,
        "inferences_total{device=pi-1,model=har}": 2400,
        "inference_errors_total{device=pi-1,model=har}": 6,
        "exporter_broker_connected{}": 1,
        "exporter_devices{}": 2,
    }
    assert {key: values.get(key) for key in expected} == pytest.approx(expected)
    assert abs(values["last_seen_timestamp_seconds{device=pi-1}"] - time.time()) < 60
    assert not [key for key in values if "undervoltage_since_boot" in key]  # the device could not tell
    assert not [key for key in values if pi.report()[0].rpartition("/")[2] in key]


def test_nothing_hostile_becomes_a_sample_a_label_or_an_end(
    exporter: Scraped, one_broker: Broker, namespace: str
) -> None:
    pi, topics = Voice("pi-1", Topics(namespace)), Topics(namespace)
    evil = "ev" + "il" * 300
    with speaking(one_broker.url, namespace) as say:
        say(
            pi.info(board=HOSTILE, agent_version=evil, groups=[HOSTILE + str(number) for number in range(50)]),
            pi.model(method=HOSTILE, runtime=HOSTILE, code=HOSTILE, verdict="accepted" + HOSTILE, p50_ms=1e308),
            pi.report(status=HOSTILE, code=HOSTILE),
            pi.event(HOSTILE, message=HOSTILE),
            (topics.device("pi-1", "model", "deep"), b"[" * 60_000),
            (topics.device("pi-1", "info"), b'{"device":"pi-1","memory_bytes":' + b"9" * 400 + b"}"),
            (topics.device("pi-2", "info"), pi.info()[1]),
            *((topics.device('No"{}\\Device' * 50, "status"), b"{}") for _ in range(600)),
            pi.health(disk_free_bytes=2**63 - 1, temperature_c=-1e308),
        )
        eventually(lambda: exporter.has("disk_free_bytes{device=pi-1}", float(2**63 - 1)))

    text = exporter.text()
    assert all(line.isprintable() for line in text.splitlines())
    assert not re.search(r"^evil", text, re.MULTILINE)
    values = exporter.values()
    labels = re.findall(r'="((?:[^"\\]|\\.)*)"', text)
    assert max(map(len, labels)) <= 80  # 64 characters, and the marks that escape them
    assert values["jobs{code=other,model=har,status=other}"] == 1
    assert values["events_total{device=pi-1,kind=other,severity=info}"] == 1
    assert len([key for key in values if key.startswith("device_group")]) <= 16
    assert values["exporter_unreadable_messages_total{reason=malformed}"] == 2
    assert values["exporter_unreadable_messages_total{reason=foreign_name}"] == 1
    assert "online{device=pi-2}" not in values
    assert values["exporter_limited_messages_total{device=(none)}"] >= 1


def test_a_flood_of_one_device_is_limited_and_named(exporter: Scraped, one_broker: Broker, namespace: str) -> None:
    loud, quiet = Voice("loud", Topics(namespace)), Voice("quiet", Topics(namespace))
    with speaking(one_broker.url, namespace) as say:
        say(*(loud.health() for _ in range(800)))
        say(quiet.health())
        eventually(lambda: exporter.has("temperature_celsius{device=quiet}", 51.5))

    assert exporter.values()["exporter_limited_messages_total{device=loud}"] > 100
    assert "device loud sends more than 20 messages a second" in exporter.command.said("loud")


@pytest.mark.mosquitto
@pytest.mark.parametrize(("patience", "word"), [("1", "waiting for it"), ("60", "the broker is away")])
@pytest.mark.children(covered=False)
def test_a_broker_that_goes_away_is_waited_for_and_what_it_lost_is_gone(
    mosquitto: MosquittoBroker, namespace: str, patience: str, word: str
) -> None:
    pi, gone = Voice("pi-1", Topics(namespace)), Voice("pi-2", Topics(namespace))
    with speaking(mosquitto.url, namespace) as say:
        say(pi.status(), gone.status(), retain=True)
    argv = ("exporter", "--listen", "127.0.0.1:0", "--broker", mosquitto.url, "--namespace", namespace)
    with running(*argv, "--broker-timeout", patience) as command:
        found = re.search(r"http://\S+/metrics", command.said("/metrics"))
        assert found
        scraped = Scraped(command, found[0])
        eventually(lambda: scraped.has("online{device=pi-2}", 1))

        mosquitto.kill()
        eventually(lambda: scraped.has("exporter_broker_connected{}", 0))
        assert scraped.has("online{device=pi-2}", 1)
        command.said(word)
        mosquitto.start()  # what it had not saved is lost
        with speaking(mosquitto.url, namespace) as say:
            say(pi.status(), retain=True)
            eventually(lambda: scraped.has("exporter_broker_connected{}", 1))
            eventually(lambda: scraped.values().get("online{device=pi-2}", 0) == 0)
        scraped.hears(mosquitto.url, namespace)


@pytest.fixture
def host(
    one_broker: Broker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Host:
    return Host(one_broker.url, namespace, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("listen", "part"),
    [
        ("9464", "must be HOST:PORT"),
        ("127.0.0.1:99999", "must be HOST:PORT"),
        ("192.0.2.1:9464", "give another address"),
    ],
)
def test_where_nobody_can_listen_is_said_in_a_sentence(host: Host, listen: str, part: str) -> None:
    ended = host.run(main, "exporter", "--listen", listen)

    assert ended.exit == 2
    assert part in ended.err


def test_an_address_of_ipv6_has_brackets() -> None:
    assert address_of("[::1]:9464") == ("::1", 9464)


def test_no_broker_ends_it_at_once(host: Host) -> None:
    argv = ("--listen", "127.0.0.1:0", "--broker", "mqtt://127.0.0.1:9", "--broker-timeout", "0.5")

    ended = host.run_bare(main, "exporter", *argv)

    assert ended.exit == 3
    assert "error: broker_unreachable" in ended.err
