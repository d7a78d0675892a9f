"""``docs/protocol.md`` tells of every topic and every field; its tables are made from the code.

``python tests/test_protocol_page.py`` writes them anew.
"""

import re
from pathlib import Path

import pytest
from support.protocol_page import OTHERS, SHOWN, fields, filled, tables

from edge_agent.errors import WireError
from edge_agent.wire.channels import CHANNELS, channel_of
from edge_agent.wire.topics import Topics

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "protocol.md"
LEVELS = {"sha256": "0" * 64, "part": "3", "index": "100", "page": "0"}
"""What may stand in an address where a name may not."""


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def topic(address: str) -> str:
    return "ea/v1/" + re.sub(r"\{(\w+)\}", lambda level: LEVELS.get(level[1], "some"), address)


def test_its_tables_are_those_of_the_code() -> None:
    assert filled(page()) == page(), "run python tests/test_protocol_page.py"


def test_it_has_every_table_once() -> None:
    assert sorted(tables(page())) == sorted([*OTHERS, *SHOWN])


@pytest.mark.parametrize("name", SHOWN)
def test_each_field_is_said_to_mean_something(name: str) -> None:
    assert [field for field, _, _, meaning in fields(SHOWN[name]) if not meaning] == []


@pytest.mark.parametrize("name", CHANNELS)
def test_what_lies_at_a_topic_is_found_by_the_topic(name: str) -> None:
    assert channel_of(Topics().parse(topic(CHANNELS[name].address))) is CHANNELS[name]


def test_what_a_later_version_streams_is_told_as_such() -> None:
    with pytest.raises(WireError, match="stream 'vibration' is unknown to this version"):
        channel_of(Topics().parse("ea/v1/d/pi-01/tele/vibration"))


def test_every_device_topic_that_can_be_written_has_a_channel() -> None:
    levels = {channel.address.split("/")[2] for channel in CHANNELS.values() if channel.writer == "device"}

    assert levels == {"status", "info", "need", "job", "done", "model", "event", "tele"}


def test_its_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in page().splitlines()
                if line.startswith("#")}  # fmt: skip
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page()):
        path, _, anchor = link.partition("#")
        assert (DOCS / path).exists(), link
        assert path or anchor in headings, link


if __name__ == "__main__":
    PAGE.write_text(filled(page()), encoding="utf-8")
