"""The files of Grafana's dashboards: that they are what their code says, and fit any Grafana."""

import json
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard
from support import grafana

from host_tools.dashboards.grafana.documents import documents

NAMES = ("fleet", "device", "prometheus")


def test_the_files_are_what_their_code_makes() -> None:
    made = documents()

    assert sorted(made) == sorted(path.name for path in grafana.FILES.glob("*.json"))
    for name, text in made.items():
        found = (grafana.FILES / name).read_text(encoding="utf-8")
        assert found == text, f"{name} is not up to date: python -m host_tools.dashboards.grafana"


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_reads_as_grafanas_own_types_and_names_no_data_source(name: str) -> None:
    document = grafana.dashboard(name)

    read = Dashboard.from_json(document)
    assert read.title == document["title"]
    assert "id" not in document  # Grafana gives one
    chosen = next(one for one in document["templating"]["list"] if one["type"] == "datasource")
    for one in sources(document):
        assert one == {"type": chosen["query"], "uid": "${datasource}"}


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_side_by_side_and_say_what_they_show(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    panels = grafana.panels(grafana.dashboard(name))

    assert len(panels) > 15
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["description"].endswith(".")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_a_table_links_to_the_dashboard_of_one_device() -> None:
    uid = grafana.dashboard("device")["uid"]

    assert f"/d/{uid}?var-device=${{__value.text}}&" in json.dumps(grafana.dashboard("fleet"))


def test_a_choice_is_quoted_wherever_a_query_has_it() -> None:
    evil = "x') OR ('1' = '1"
    asked = grafana.Asked(0.0, 60.0, {"group": evil, "model": ["har", evil], "device": evil})
    found = 0
    for name in ("fleet", "device"):
        for query in grafana.queries(grafana.dashboard(name)):
            text = grafana.sql(query, asked)
            found += text.count("'x'') OR (''1'' = ''1'")
            assert evil not in text
            assert "$" not in text

    assert found > 50


def sources(value: Any) -> list[Any]:
    """Every data source that a document names."""
    if isinstance(value, dict):
        own = [value["datasource"]] if isinstance(value.get("datasource"), dict) else []
        return own + [one for part in value.values() for one in sources(part)]
    return [one for part in value for one in sources(part)] if isinstance(value, list) else []
