"""What alerts and the documentation speak of is what the exporter has."""

import re
from pathlib import Path

import pytest
from support.fleets import Voice
from support.prometheus import ALERTS

from edge_agent.wire.topics import Topics
from host_tools.exporter.collector import Exported, FleetCollector
from host_tools.fleet.reading import Said, read

PAGE = Path(__file__).parents[3] / "docs" / "integrations.md"
TOPICS = Topics("t/names")


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Name of each sample of a device that has said everything → its labels."""
    exported, pi = Exported(), Voice("pi-1", TOPICS)
    numbers = {"undervoltage_since_boot": False, "disk_written_bytes_per_day": 1.0, "agent_cpu_share": 0.1}
    judged = {"float_accuracy": 0.9, "accuracy": 0.9, "float_rss_bytes": 1, "rss_bytes": 1, "progress": 0.5}
    said = [pi.status(), pi.info(), pi.model(**judged), pi.report(), pi.health(**numbers), pi.sample(), pi.event()]
    for message in said:
        found = read(TOPICS, *message)
        assert isinstance(found, Said)
        exported.fleet.take(found, 1.8e9)
    for _ in range(1000):
        exported.flood.lets_in("pi-1", 0.0)
    exported.unreadable["malformed"] += 1
    exported.fleet.devices["pi-1"].left_out = 1
    families = FleetCollector(exported, lambda: 1.8e9).collect()
    assert not [family.name for family in families if not family.samples]
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_alerts_ask_for_what_there_is(labels: dict[str, set[str]]) -> None:
    text = ALERTS.read_text(encoding="utf-8")
    asked = set(re.findall(r"edge_agent_\w+", text))

    assert len(asked) > 6
    assert asked <= labels.keys()
    for rule in text.split("- alert:")[1:]:
        (name, *_) = re.findall(r"edge_agent_\w+", rule)
        assert set(re.findall(r"\$labels\.(\w+)", rule)) <= labels[name], rule


def test_the_page_names_what_there_is(labels: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| (`(?:edge_agent)[^|]*) \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(rows) > 8
    for names, documented in rows:
        first, *more = re.findall(r"`(\w+)`", names)
        for name in (first, *more):
            ends = [known for known in labels if known == name or (name.startswith("_") and known.endswith(name))]
            assert ends, name
            assert labels[ends[0]] <= set(re.findall(r"\w+", documented)), name
