"""The message for Home Assistant: what of its rules can be held without it. What it makes of it, its own core says."""

import json
import re
from pathlib import Path
from typing import Any

from edge_agent.telemetry.home_assistant import MOST_BYTES, Described, discovery, discovery_topic, entities
from edge_agent.telemetry.templates import summary
from edge_agent.wire.telemetry import EVENT_KINDS, Health, ModelSample, ModelState
from edge_agent.wire.topics import Topics

LONGEST = "n" * 63
UNITS = {"temperature": {"°C"}, "duration": {"ms"}, "data_size": {"kB", "MB"}, "frequency": {"MHz"}}


def described(**changes: Any) -> Described:
    known = {"device": "pi-01", "topics": Topics("ea/v1"), "board": "a board", "agent_version": "1.2.3"}
    return Described(**{**known, "health_s": 60, "model_s": 30, **changes})


def message(*models: str, gone: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    one = described(**changes)
    found: dict[str, Any] = json.loads(discovery(one, entities(one, models)[0], gone or {}))
    return found


def test_nothing_but_the_keys_that_the_schema_has_stands_at_the_top() -> None:
    found = message("har")

    assert set(found) == {"device", "origin", "availability", "components"}
    assert found["origin"]["name"] == "edge-agent"
    assert all("platform" in one and "unique_id" in one for one in found["components"].values())


def test_the_identifier_holds_the_namespace_and_is_ascii() -> None:
    (identifier,) = message("har")["device"]["identifiers"]
    (other,) = message("har", topics=Topics("plant-2"))["device"]["identifiers"]

    assert identifier.isascii()
    assert "ea/v1" in identifier
    assert identifier != other


def test_ids_are_unlike_whatever_the_models_are_called() -> None:
    models = ["health", "device", "har", "har_memory", "memory", "har-memory", "model"]
    found = message(*models)["components"]

    assert len({one["unique_id"] for one in found.values()}) == len(found)
    assert len(found) == len(message()["components"]) + len(models) * (
        len(message("har")["components"]) - len(message()["components"])
    )
    assert not any(" " in key for key in found), "Home Assistant splits ids at blanks"


def test_only_samples_expire_and_no_sooner_than_three_intervals() -> None:
    for one in message("har", health_s=20)["components"].values():
        if "/tele/health" in one["state_topic"]:
            assert one["expire_after"] == 60
        elif "/tele/" in one["state_topic"]:
            assert one["expire_after"] == 90
        else:
            assert "expire_after" not in one, one["name"]


def test_a_stream_that_is_off_has_no_entities() -> None:
    found = message("har", health_s=0, model_s=0)["components"]

    assert found
    assert not any("/tele/" in one["state_topic"] for one in found.values())


def test_units_fit_their_device_classes_and_an_enum_has_none() -> None:
    for one in message("har")["components"].values():
        if one["platform"] != "sensor":
            assert "unit_of_measurement" not in one
        elif one.get("device_class") == "enum":
            assert not {"state_class", "unit_of_measurement"} & set(one)
            assert one["options"]
        else:
            assert one["state_class"] == "measurement"
            assert one.get("unit_of_measurement") in UNITS.get(
                one.get("device_class"), {"%", "inferences", "errors", None}
            )


def test_nothing_can_be_pressed() -> None:
    found = message("har")

    assert {one["platform"] for one in found["components"].values()} == {"sensor", "binary_sensor", "update", "event"}
    assert "command_topic" not in json.dumps(found)


def test_each_template_asks_for_a_field_that_there_is() -> None:
    known = {
        "/model/": set(ModelState.__struct_fields__),
        "/tele/health": set(Health.__struct_fields__),
        "/tele/model/": set(ModelSample.__struct_fields__),
    }
    for one in message("har")["components"].values():
        stream = next((part for part in reversed(known) if part in one["state_topic"]), None)
        if stream is not None:
            templates = one["value_template"] + one.get("json_attributes_template", "")
            asked = set(re.findall(r"m\.get\('(\w+)'|m\.(?!get)(\w+)", templates))
            asked = {name for pair in asked for name in pair if name}
            assert asked <= known[stream], one["name"]
            assert asked


def test_every_kind_of_event_is_known() -> None:
    assert set(message()["components"]["device.events"]["event_types"]) == set(EVENT_KINDS)


def test_what_is_gone_is_sent_with_its_platform_alone() -> None:
    found = message("har", gone={"model.old.size": "sensor"})["components"]

    assert found["model.old.size"] == {"platform": "sensor"}


def test_a_hundred_models_of_long_names_are_as_many_as_fit() -> None:
    one = described(device=LONGEST, topics=Topics("a" * 64 + "/" + "b" * 64), board="\N{SNOWMAN}" * 4000)
    models = [f"{number:03d}{LONGEST[3:]}" for number in range(100)]
    gone = {f"model.{model}.serving_latency": "binary_sensor" for model in models * 10}

    found, left_out = entities(one, models)
    payload = discovery(one, found, {**gone, **{f"model.{number}.size": "sensor" for number in range(5000)}})

    assert len(payload) <= MOST_BYTES
    assert left_out
    assert len({key.split(".")[1] for key in found if key.startswith("model.")}) + len(left_out) == 100
    assert len(json.loads(payload)["components"]) > len(found)


def test_a_board_of_strange_characters_is_printable() -> None:
    assert message(board="Pi\x1b[2J\n4")["device"]["model"].isprintable()
    assert "model" not in message(board="")["device"]


def test_the_device_stands_alone_in_its_level() -> None:
    assert discovery_topic("homeassistant", "pi-01") == "homeassistant/device/edge-agent/pi-01/config"
    assert re.fullmatch(r"\w+/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config", "device/edge-agent/pi-01/config")


def test_the_summary_names_whole_commands_or_none() -> None:
    template = message("har")["components"]["model.har.update"]["value_template"]
    assert "push-model MODEL --device pi-01. To go back: host-tools rollback har --device pi-01'" in template

    for length in range(1, 64):
        for device, model in (("d" * length, "m" * length), ("d" * length, LONGEST), (LONGEST, "m" * length)):
            told = summary(device, model)
            assert len(told) <= 255 - 75, "before it stands how the job ended, and that is cut"
            assert f"push-model MODEL --device {device}." in told
            assert "rollback" not in told or told.endswith(f"host-tools rollback {model} --device {device}")


def test_a_message_has_room_for_as_many_models_as_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
    (number,) = re.findall(r"A message has room for (\d+) models", page)
    most = [f"model-of-a-kind-{number:02d}" for number in range(20)]

    assert len(entities(described(), most)[1]) == 20 - int(number)
