"""The flow in the real Node-RED, at a real broker: what the page shows, what a webhook is told, what breaks nothing."""

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.brokers import MOSQUITTO, MosquittoBroker
from support.fleets import HOSTILE, Voice, eventually, speaking
from support.node_red.flow import nodes
from support.node_red.running import NodeRed
from support.webhook import Webhook

from edge_agent.wire.topics import Topics

pytestmark = [
    pytest.mark.external,
    pytest.mark.mosquitto,
    pytest.mark.children(covered=False),
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: sudo apt install mosquitto"),
]
TOPICS = Topics("ea/v1")
ROW = {
    "device": "pi-1", "online": True, "quiet": False, "look": "", "board": "Raspberry Pi 4", "model": "har",
    "version": 7, "job": "3f2a9c0d1e5b7a86", "job_version": 7, "status": "succeeded", "code": "accepted",
    "state": "succeeded", "stale": False, "float_ms": 8, "judged_ms": 3, "now_ms": 3.1, "agreement": 0.99,
    "inferences": 1200, "errors": 3, "temperature_c": 51.5, "throttled": False, "undervoltage": False,
    "disk_free_gb": 9, "event": "activated har 7",
}  # fmt: skip


def cells(page: str) -> list[str]:
    """What stands in the cells of a page's table."""
    return [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)]


class World:
    """A broker, Node-RED with the flow, and a webhook that somebody has set in it."""

    def __init__(self, broker: MosquittoBroker, red: NodeRed, hook: Webhook) -> None:
        self.broker = broker
        self.red = red
        self.hook = hook

    def fleet(self) -> dict[str, Any]:
        """What programs read, after a round."""
        self.red.press("edge-agent-tick")
        found: dict[str, Any] = json.loads(self.red.ask("/edge-agent/fleet.json"))
        return found

    def rows(self, device: str) -> list[dict[str, Any]]:
        return [row for row in self.fleet()["rows"] if row["device"] == device]

    def shows(self, device: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first row of a device once ``holds``."""
        found: list[dict[str, Any]] = []

        def shown() -> bool:
            found[:] = self.rows(device)
            return bool(found) and holds(found[0])

        eventually(shown, 60)
        return found[0]

    def told(self, device: str) -> list[str]:
        """The lines that the webhook was sent about a device."""
        return [one["line"] for body in self.hook.bodies for one in body["alerts"] if one["device"] == device]


def as_a_person_sets_it(broker: MosquittoBroker, hook: Webhook) -> list[dict[str, Any]]:
    """The flow with the address of the broker, and with the webhook that it proposes."""
    edits: dict[str, dict[str, Any]] = {
        "edge-agent-broker": {"broker": "127.0.0.1", "port": str(broker.port)},
        "edge-agent-webhook": {"url": hook.url, "d": False},
    }
    return [node | edits.get(node["id"], {}) for node in nodes()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    red = NodeRed(tmp_path_factory.mktemp("node-red"))
    broker = MosquittoBroker(tmp_path_factory.mktemp("broker"), "log_type all")
    broker.start()
    try:
        with Webhook() as hook, red:
            red.deploy(as_a_person_sets_it(broker, hook))
            made = World(broker, red, hook)
            eventually(lambda: made.fleet()["connected"], 60)
            yield made
    finally:
        broker.kill()


@pytest.fixture
def say(world: World) -> Iterator[Callable[..., None]]:
    with speaking(world.broker.url, TOPICS.namespace) as voice:
        yield voice


def test_a_row_has_what_the_device_said(world: World, say: Callable[..., None]) -> None:
    pi = Voice("pi-1", TOPICS)
    say(pi.status(), pi.info(), pi.model(), pi.report(), retain=True)
    say(pi.health(), pi.sample(), pi.event(message="har 7"))

    row = world.shows("pi-1", lambda row: row["event"] != "" and row["now_ms"] is not None)

    assert row.pop("seen").startswith("20")
    assert row == ROW
    shown = cells(world.red.ask("/edge-agent").decode())
    start = shown.index("pi-1")
    assert shown[start : start + 13] == [
        *("pi-1", "Raspberry Pi 4", "har", "7", "7: succeeded", "8", "3", "3.1", "0.99", "1200", "51.5", "9"),
        "activated har 7",
    ]


def test_each_problem_is_told_once(world: World, say: Callable[..., None]) -> None:
    one, two = Voice("ends-1", TOPICS), Voice("ends-2", TOPICS)
    say(one.status(), one.model(status="rejected", code="low_agreement"), one.report(status="rejected"), retain=True)
    say(two.status(), two.model(status="failed", code="out_of_memory", job="b" * 16), retain=True)
    say(two.health(throttled=True))
    lines = {
        "version 7 of har rejected on ends-1: low_agreement",
        "version 7 of har failed on ends-2: out_of_memory",
        "ends-2 is slowed down: too hot, or too little power",
    }

    def told() -> list[str]:
        world.fleet()
        return world.told("ends-1") + world.told("ends-2")

    eventually(lambda: lines <= set(told()), 60)
    say(one.model(status="rejected", code="low_agreement"), two.status(), retain=True)
    say(two.health(throttled=False))
    world.shows("ends-2", lambda row: not row["throttled"])
    say(two.health(throttled=True))
    world.shows("ends-2", lambda row: bool(row["throttled"]))
    say(one.model(status="rejected", code="no_gain", job="c" * 16, job_version=8), retain=True)
    eventually(lambda: "version 8 of har rejected on ends-1: no_gain" in told(), 60)

    assert sorted(told()) == sorted([*lines, "version 8 of har rejected on ends-1: no_gain"])
    assert all(set(body) == {"text", "alerts"} for body in world.hook.bodies)


def test_what_a_hostile_device_says_is_text_or_nothing(world: World, say: Callable[..., None]) -> None:
    bad, good = Voice("constructor", TOPICS), Voice("pi-3", TOPICS)
    markup = HOSTILE + "{{env.PATH}}{{{payload}}}</td><img src=x onerror=alert(1)>"
    before = world.fleet()["not_understood"]
    topic = TOPICS.device("constructor", "info")
    told = b'{"v": 1, "device": "constructor", "online": true, "__proto__": {"board": "x"}, "model": "__proto__"}'
    noise = [
        *((topic, payload) for payload in (b"x" * 1_500_000, b"[" * 60_000, b"null", b"\xff\xfe", b'{"v": 1}')),
        ("ea/v1/d/__proto__/status", told.replace(b"constructor", b"__proto__")),
        (TOPICS.device("constructor", "model", "har"), told),
        (TOPICS.device("constructor", "job", "x"), told),
    ]
    say(*noise, (TOPICS.device("constructor", "status"), told))
    say(bad.info(board=markup), bad.model("constructor", status="failed", code=markup, stage=markup), retain=True)
    say(good.status(), good.model(), retain=True)

    row = world.shows("pi-3", lambda row: row["state"] != "")

    fleet = world.fleet()
    assert row["board"] == ""
    assert fleet["not_understood"] - before == len(noise)
    assert [row["model"] for row in world.rows("constructor")] == ["constructor"]
    assert "__proto__" not in {row["device"] for row in fleet["rows"]}
    text = world.red.ask("/edge-agent").decode()
    assert "alert(1)&gt;" in text
    assert "{{env.PATH}}{{{payload}}}" in "".join(cells(text))
    assert not set(re.findall(r"<(\w+)", text)) & {"script", "img"}
    assert "NaN" not in text, "pi-3 said nothing of its health"
    assert not set(text) & set("\x1b\x07\x00\u202e")
    eventually(lambda: bool(world.told("constructor")), 60)
    assert world.told("constructor") == ["version 7 of constructor failed on constructor: no code"]


def test_a_broker_that_goes_and_comes_back_is_said_and_nobody_is_blamed(world: World) -> None:
    before = len(world.hook.bodies)
    world.broker.stop()
    eventually(lambda: not world.fleet()["connected"], 60)
    assert b"not connected to the broker" in world.red.ask("/edge-agent")
    world.broker.start()
    eventually(lambda: bool(world.fleet()["connected"]), 60)

    with speaking(world.broker.url, TOPICS.namespace) as say:
        say(Voice("late", TOPICS).status(), retain=True)
    world.shows("late", lambda row: bool(row["online"]))
    assert len(world.hook.bodies) == before


def test_devices_are_sent_nothing_and_node_red_complains_of_nothing(world: World, say: Callable[..., None]) -> None:
    say(Voice("last", TOPICS).status(), retain=True)
    world.shows("last", lambda row: bool(row["online"]))

    said = world.broker.log.read_text(encoding="utf-8")
    assert "Received SUBSCRIBE from nodered" in said
    assert "Received PUBLISH from voice-" in said
    assert "Received PUBLISH from nodered" not in said
    assert [line for line in world.red.log.read_text(encoding="utf-8").splitlines() if "[error]" in line] == []
