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
    assert len(rows) == 2


def test_who_is_gone_was_not_seen_for_that() -> None:
    will, cleared = PI.status(online=False), (PI.status()[0], b"")
    for gone in (will, cleared):
        for retained in (True, False):
            rows = rows_of(gone, retained=retained)
            assert (rows.devices, rows.gone, len(rows)) == ({}, {"pi-1"}, 1)

    assert rows_of(will, PI.status()).gone == set()
    rows = rows_of(PI.status(), PI.health(), will)
    assert (rows.devices["pi-1"]["online"], rows.gone) == (True, {"pi-1"})  # in this order they are written


def test_of_what_is_kept_nothing_is_stored_again_that_was_deleted() -> None:
    month = NOW - 30 * 86_400
    old, new = PI.model(at=NOW - 40 * 86_400), PI.model(at=NOW - 5)

    rows = rows_of(old, new, earliest=month, retained=True)

    assert [row["at"] for row in rows.of["ea_model_states"]] == [pytest.approx(NOW - 5, abs=0.001)]
    known = rows_of(old, earliest=month, retained=True).devices["pi-1"]
    assert known["last_seen"] == pytest.approx(NOW - 40 * 86_400, abs=0.001)


def test_a_sample_that_somebody_had_the_broker_keep_is_no_row() -> None:
    assert len(rows_of(PI.health(), PI.sample(), PI.event(), retained=True)) == 0


def test_a_boot_id_is_cut_to_what_a_key_may_have() -> None:
    (row,) = rows_of(Voice("pi-1", TOPICS, boot_id="\u6f22" * 2000).event()).of["ea_events"]

    assert row["boot_id"] == "\u6f22" * 64


def test_what_was_kept_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW - 86_400)

    rows = rows_of(PI.info(), retained=True)

    assert rows.devices["pi-1"]["last_seen"] == NOW - 86_400
