"""Which row a message becomes."""

import json
import time
from typing import Any

import msgspec
import pytest
from support.fleets import HOSTILE, Voice

from edge_agent.wire.messages import JobReport, Message
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, read
from host_tools.history import schema
from host_tools.history.rows import Rows

TOPICS = Topics("t/history")
PI = Voice("pi-1", TOPICS)
NOW = 1_800_000_000.0
NOT_COLUMNS = {"v", "ts", "seconds"}
EXTRA = {"at", "received"}


def rows_of(*messages: tuple[str, bytes], earliest: float = 0.0, retained: bool = False) -> Rows:
    rows = Rows()
    for message in messages:
        said = read(TOPICS, *message)
        assert isinstance(said, Said)
        rows.add(said, NOW, earliest=earliest, retained=retained)
    return rows


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (Health, schema.HEALTH),
        (ModelSample, schema.SERVING),
        (ModelState, schema.MODEL_STATES),
        (JobReport, schema.REPORTS),
        (Event, schema.EVENTS),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_every_field_of_a_message_has_its_column(kind: type[Message], table: Any) -> None:
    fields = {field.name for field in msgspec.structs.fields(kind)} - NOT_COLUMNS
    if kind is Event:
        fields.remove("seq")  # events have a number of their own

    assert {column.name for column in table.columns} - EXTRA == fields


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (NOW - 5, NOW - 5),
        (NOW + 30, NOW + 30),
        (NOW + 3600, NOW),  # a clock that is ahead
        (0.0, NOW),  # one that was never set
        (NOW - 40 * 86_400, NOW),  # of what is that old nothing is kept
    ],
)
def test_a_devices_time_is_taken_where_it_can_be(said: float, at: float) -> None:
    (row,) = rows_of(PI.health(at=said), earliest=NOW - 30 * 86_400).of["ea_health"]

    assert row["at"] == pytest.approx(at, abs=0.001)
    assert row["received"] == NOW


def test_a_device_that_doubts_its_clock_is_not_believed() -> None:
    (row,) = rows_of(PI.health(at=NOW - 500, clock_plausible=False)).of["ea_health"]

    assert row["at"] == NOW


def test_a_report_has_its_results_once_the_job_has_ended() -> None:
    working = PI.report(status="in_progress", results={"a": 1})
    ended = PI.report(results={"a": [HOSTILE]}, started=rfc3339(NOW - 60))

    first, last = rows_of(working, ended).of["ea_reports"]

    assert first["results"] is None
    assert json.loads(last["results"])["a"][0].isprintable()
    assert last["started"] == NOW - 60
    assert first["started"] is None


def test_what_is_known_of_a_device_comes_together() -> None:
    rows = rows_of(PI.status(), PI.info(), PI.health())

    assert rows.devices["pi-1"] == {
        "device": "pi-1", "first_seen": NOW, "last_seen": NOW, "online": True, "board": "Raspberry Pi 4",
        "arch": "aarch64", "agent_version": "1.2.3", "memory_bytes": 0, "groups": "lab",
    }  # fmt: skip
    assert rows_of((PI.status()[0], b"")).devices["pi-1"]["online"] is False
    assert len(rows) == 2


def test_what_was_kept_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW - 86_400)

    rows = rows_of(PI.info(), retained=True)

    assert rows.devices["pi-1"]["last_seen"] == NOW - 86_400
