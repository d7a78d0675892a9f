"""What the functions of the Node-RED flow make of messages and of time; Node runs them, Node-RED does not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.fleets import HOSTILE, Voice
from support.node_red.steps import START, Steps

from edge_agent.wire.topics import Topics

PI = "ea/v1/d/pi-1"


@pytest.fixture(scope="module")
def program() -> Iterator[Steps]:
    with Steps() as running:
        yield running


@pytest.fixture
def steps(program: Steps) -> Steps:
    program.begin()
    return program


@pytest.fixture
def pi() -> Voice:
    return Voice("pi-1", Topics("ea/v1"))


def hear(steps: Steps, *messages: tuple[str, bytes], retained: bool = False) -> None:
    for topic, payload in messages:
        assert steps.hear(topic, payload, retained=retained), topic


def test_a_device_that_is_gone_is_told_after_a_minute_and_once(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status())
    steps.now += 5
    hear(steps, pi.status(online=False))
    steps.now += 50
    assert steps.problems() == []
    steps.now += 11
    assert steps.problems() == ["pi-1 has gone quiet"]
    hear(steps, pi.status(online=False))
    steps.now += 3600
    assert steps.problems() == []


def test_one_that_comes_and_goes_is_told_again_after_ten_good_minutes(steps: Steps, pi: Voice) -> None:
    def away_for(seconds: float) -> list[str]:
        hear(steps, pi.status(online=False))
        steps.now += seconds
        told = steps.problems()
        hear(steps, pi.status())
        assert steps.problems() == []
        return told

    assert away_for(61) == ["pi-1 has gone quiet"]
    steps.now += 590
    assert away_for(61) == []
    steps.now += 601
    assert steps.problems() == []
    assert away_for(61) == ["pi-1 has gone quiet"]


def test_one_whose_health_stops_is_quiet_at_its_own_pace(steps: Steps, pi: Voice) -> None:
    slow, never = Voice("slow", Topics("ea/v1")), Voice("never", Topics("ea/v1"))
    hear(steps, pi.status(), slow.status(), never.status(), slow.health())
    steps.now += 600
    hear(steps, pi.health(), slow.health())
    steps.now += 899
    assert steps.problems() == []
    steps.now += 2
    assert steps.problems() == ["pi-1 has gone quiet"]
    steps.now += 900
    assert steps.problems() == ["slow has gone quiet"]


def test_while_the_broker_is_away_nobody_has_gone_quiet(steps: Steps, pi: Voice) -> None:
    other = Voice("pi-2", Topics("ea/v1"))
    hear(steps, pi.status(online=False), other.status(), other.model(status="failed", code="internal"))
    steps.connected("red")
    steps.now += 3600
    rows, problems = steps.tick()
    assert ([row["quiet"] for row in rows], problems) == ([False, False], [])
    steps.connected()
    assert steps.problems() == ["version 7 of har failed on pi-2: internal"]
    hear(steps, pi.status(online=False), retained=True)
    assert steps.problems() == []
    steps.now += 61
    assert steps.problems() == ["pi-1 has gone quiet"]


def test_each_job_that_was_rejected_or_failed_is_told_once(steps: Steps, pi: Voice) -> None:
    ended: dict[str, Any] = {"status": "rejected", "code": "no_gain", "verdict": "rejected"}
    hear(steps, pi.status(), pi.model(**ended), retained=True)
    assert steps.problems() == ["version 7 of har rejected on pi-1: no_gain"]
    hear(steps, pi.model(**ended))
    assert steps.problems() == []
    hear(steps, pi.model(**ended | {"job": "b" * 16, "job_version": 8}))
    assert steps.problems() == ["version 8 of har rejected on pi-1: no_gain"]
    hear(steps, pi.model(job="c" * 16, job_version=9, status="failed", code=HOSTILE))
    assert steps.problems() == ["version 9 of har failed on pi-1: no code"]


def test_what_slows_a_device_down_is_told_while_the_sample_is_fresh(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status(), pi.health(throttled=True, undervoltage=True))
    rows, problems = steps.tick()
    assert problems == [
        "pi-1 is slowed down: too hot, or too little power",
        "the supply voltage of pi-1 is too low",
    ]
    assert (rows[0]["look"], rows[0]["temperature_c"]) == ("warn", 51.5)
    steps.now += 301
    assert (steps.tick()[0][0]["throttled"], steps.tick()[0][0]["temperature_c"]) == (False, None)


def test_many_problems_are_one_message_of_bounded_length(steps: Steps) -> None:
    for number in range(60):
        voice = Voice(f"pi-{number}", Topics("ea/v1"))
        hear(steps, voice.status(), voice.health(throttled=True))

    lines = steps.problems()

    assert len(lines) == 51
    assert lines[-1] == "and 10 more"


def test_of_a_job_the_newest_report_is_shown_where_no_state_is(steps: Steps, pi: Voice) -> None:
    done = pi.report(job="a" * 16, version=2, started="2026-03-01T12:00:00Z")
    new = pi.report(job="b" * 16, version=3, started="2026-03-02T12:00:00Z", status="in_progress", stage="capture",
                    code="", progress=0.4)  # fmt: skip
    hear(steps, pi.status(), new, done, retained=True)
    assert [(row["job_version"], row["state"]) for row in steps.tick()[0]] == [(3, "capture 40 %")]
    hear(steps, pi.model(job="b" * 16, job_version=3, status="in_progress", stage="validate", code="", progress=0.75))
    assert [(row["version"], row["state"]) for row in steps.tick()[0]] == [(7, "validate 75 %")]


def test_what_the_broker_no_longer_keeps_is_gone(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status(), pi.info(), pi.model(), pi.model("other"), pi.report())
    assert [row["model"] for row in steps.tick()[0]] == ["har", "other"]
    assert steps.hear(f"{PI}/model/other", "")
    assert [row["model"] for row in steps.tick()[0]] == ["har"]
    for leaf in ("status", "info", "model/har", "job/3f2a9c0d1e5b7a86"):
        assert steps.hear(f"{PI}/{leaf}", "")
    assert steps.tick()[0] == []
    hear(steps, pi.health())
    assert steps.tick()[0] == []


def test_what_somebody_had_the_broker_keep_of_samples_is_none(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status(), pi.model())
    hear(steps, pi.health(throttled=True), pi.sample(), pi.event(), retained=True)

    rows, problems = steps.tick()

    assert (rows[0]["temperature_c"], rows[0]["inferences"], rows[0]["event"], problems) == (None, None, "", [])


def said(**fields: object) -> str:
    return json.dumps({"v": 1, "ts": "", "seq": 1, "boot_id": "x", "device": "pi-1"} | fields)


NO_MESSAGES = {
    "no JSON": ("status", "{"),
    "no object": ("status", "null"),
    "brackets": ("status", "[" * 60_000),
    "deep": ("status", said(online="yes")[:-1] + ', "x": ' + "[" * 30_000 + "]" * 30_000 + "}"),
    "another version of the protocol": ("status", said(v=2, online=True)),
    "another device's": ("status", said(device="pi-2", online=True)),
    "a word for a boolean": ("status", said(online="yes")),
    "nothing of what it is about": ("status", said()),
    "another model's": ("model/har", said(model="other", active_version=1)),
    "a word for a number": ("model/har", said(model="har", active_version="7")),
    "no finite number": ("model/har", said(model="har", active_version=1, p50_ms=0)[:-2] + "1e999}"),
    "an object for a string": ("info", said(board={"toString": "x"})),
    "a job that is no name": ("model/har", said(model="har", active_version=1, job="__proto__")),
    "too large": ("info", said(board="x" * 70_000)),
    "a level too many": ("status/x", said(online=True)),
    "a level too few": ("model", said(model="har", active_version=1)),
    "a name that is none": ("model/__proto__", said(model="__proto__", active_version=1)),
}


def test_what_is_no_message_changes_nothing(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status(), pi.info(), pi.model())
    before = steps.tick()

    understood = [case for case, (topic, payload) in NO_MESSAGES.items() if steps.hear(f"{PI}/{topic}", payload)]

    assert understood == []
    assert steps.tick() == before


def test_names_that_mean_something_to_javascript_are_names(steps: Steps) -> None:
    for name in ("__proto__", "Pi 1", "a" * 64):
        assert not steps.hear(f"ea/v1/d/{name}/status", said(device=name, online=True))
    voice = Voice("constructor", Topics("ea/v1"))
    hear(steps, voice.status(), voice.info(), voice.model("constructor"), voice.sample("constructor"))
    assert steps.hear(f"{PI}/status", said(online=True)[:-1] + ', "__proto__": {"online": false, "board": "x"}}')

    rows, problems = steps.tick()

    assert [(row["device"], row["model"], row["online"], row["inferences"]) for row in rows] == [
        ("constructor", "constructor", True, 1200),
        ("pi-1", "", True, None),
    ]
    assert problems == []


def test_strings_are_cut_and_have_no_control_characters(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status(), pi.info(board=HOSTILE + "x" * 1000), pi.event(message="a\u2028b\U0001f600"))

    row = steps.tick()[0][0]

    assert len(row["board"]) == 300
    assert not set(row["board"]) & set("\n\x1b\x07\x00\u202e")
    assert row["event"] == "activated a\ufffdb\U0001f600"


def test_a_device_that_floods_is_limited_and_the_others_are_not(steps: Steps, pi: Voice) -> None:
    other = Voice("pi-2", Topics("ea/v1"))
    understood = sum(steps.hear(*pi.status()) for _ in range(600))

    assert understood == 500
    hear(steps, other.status())
    steps.now += 1
    assert sum(steps.hear(*pi.status()) for _ in range(40)) == 20
    assert steps.now > START


def test_orders_and_what_doctor_publishes_are_passed_over(steps: Steps, pi: Voice) -> None:
    hear(steps, pi.status())
    before = steps.tick()
    for topic in ("want/har", "cmd/x", "done/x", "need", "status", "info"):
        assert not steps.hear(f"{PI}/{topic}", "{}")
    assert not steps.hear("homeassistant/device/edge-agent/pi-1/config", "{}")
    assert steps.tick() == before
