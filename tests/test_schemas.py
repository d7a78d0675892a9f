"""``docs/schemas`` holds the JSON schemas of what a device publishes and of the result object, generated.

``python tests/test_schemas.py`` writes them anew.
"""

from pathlib import Path

import msgspec
import pytest
from support.json_schemas import schemas

from edge_agent.jobs.result import Result
from edge_agent.wire.keys import KeyList
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.messages import Command, DeviceInfo, DeviceStatus, Done, JobReport, Need
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"
KINDS: dict[str, type[msgspec.Struct]] = {
    "result": Result,
    "manifest": Manifest,
    "command": Command,
    "key-list": KeyList,
    "status": DeviceStatus,
    "info": DeviceInfo,
    "report": JobReport,
    "need": Need,
    "done": Done,
    "model": ModelState,
    "event": Event,
    "health": Health,
    "model-sample": ModelSample,
}


def schema(name: str) -> bytes:
    fields = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/$defs/{KINDS[name].__name__}",
        "$defs": schemas([KINDS[name]]),
    }
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"


@pytest.mark.parametrize("name", KINDS)
def test_a_schema_is_that_of_the_struct(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_bytes() == schema(name), "run python tests/test_schemas.py"


def test_no_schema_is_of_what_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(KINDS)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        (FOLDER / f"{kind}.json").write_bytes(schema(kind))
