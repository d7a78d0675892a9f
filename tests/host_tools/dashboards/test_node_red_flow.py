"""The Node-RED flow as a document; ``python tests/host_tools/dashboards/test_node_red_flow.py`` writes it."""

import sys
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

sys.path.insert(0, str(Path(__file__).parents[2]))  # when it is run by hand

from support.node_red.flow import FLOW, FOLDER, SOURCE, nodes, written

CORE = {
    "tab", "mqtt-broker", "comment", "mqtt in", "function", "status", "inject", "junction", "debug", "change",
    "http request", "http in", "template", "http response",
}  # fmt: skip
"""What every Node-RED has."""


def test_the_flow_is_what_its_parts_say() -> None:
    assert FLOW.read_text(encoding="utf-8") == written(), f"run python {Path(__file__).name}"


def test_each_part_is_in_it() -> None:
    skeleton = (SOURCE / "flow.json").read_text(encoding="utf-8")

    assert {file.name for file in SOURCE.iterdir() if f'"@{file.name}"' not in skeleton} == {"flow.json"}


def test_it_needs_no_more_than_node_red_and_sends_devices_nothing() -> None:
    assert {node["type"] for node in nodes()} == CORE, "neither mqtt out, nor what has to be installed first"
    (broker,) = (node for node in nodes() if node["type"] == "mqtt-broker")
    assert [broker[f"{when}Topic"] for when in ("birth", "close", "will")] == ["", "", ""]
    assert "credentials" not in broker
    (request,) = (node for node in nodes() if node["type"] == "http request")
    assert request["d"], "switched off until somebody sets a URL"


def test_wires_end_at_nodes_and_each_node_has_its_place() -> None:
    placed = {node["id"]: (node["x"], node["y"]) for node in nodes() if "x" in node}

    ends = {end for node in nodes() for output in node.get("wires", []) for end in output}
    assert ends <= placed.keys()
    assert len(set(placed.values())) == len(placed) == len(nodes()) - 2, "all but the tab and the broker"
    assert {node["z"] for node in nodes() if node["id"] in placed} == {"edge-agent"}


def test_it_is_in_the_wheel() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(FOLDER.parents[2])).recurse_included_files()}

    assert "host_tools/dashboards/node_red/edge-agent.json" in files


if __name__ == "__main__":
    FLOW.write_text(written(), encoding="utf-8")
