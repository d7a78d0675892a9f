"""Every query of the dashboard over metrics, answered by a real Prometheus that scrapes a real exporter."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from support import grafana
from support.brokers import Broker
from support.fleets import Voice, eventually, running, speaking
from support.prometheus import prometheus

from edge_agent.wire.topics import Topics

pytestmark = [pytest.mark.external, pytest.mark.children(covered=False)]
QUERIES = [one for one in grafana.queries(grafana.dashboard("prometheus")) if one.kind != "variable"]
VARIABLES = [one for one in grafana.queries(grafana.dashboard("prometheus")) if one.kind == "variable"]
RANGE_S = 3600.0


def test_every_panel_is_answered(one_broker: Broker, namespace: str, tmp_path: Path) -> None:
    topics = Topics(namespace)
    hot, cool = Voice("pi-1", topics), Voice("pi-2", topics)
    argv = ("exporter", "--listen", "127.0.0.1:0", "--broker", one_broker.url, "--namespace", namespace)
    with speaking(one_broker.url, namespace) as say, running(*argv) as command:
        for pi in (hot, cool):
            say(pi.status(), pi.info(), pi.model(stale=pi is hot), pi.report(), retain=True)
        found = re.search(r"http://(\S+)/metrics", command.said("/metrics"))
        assert found
        with prometheus(tmp_path, found[1]) as url:

            def unanswered() -> list[str]:
                say(hot.health(throttled=True, temperature_c=81.0), cool.health(), hot.sample(p50_ms=6.0))
                say(cool.sample(), hot.event(), (topics.device("pi-1", "event"), b"no event"))
                return [query.text for query in QUERIES if not answers(url, query)]

            eventually(lambda: not unanswered(), 60)
            assert len(QUERIES) > 20
            assert numbers(url, "Throttled") == [1.0]
            assert numbers(url, "Gone quiet") == [0.0]
            assert numbers(url, "Online") == [2.0]
            assert numbers(url, "Stale") == [1.0]
            assert sorted(numbers(url, "The ten hottest")) == [51.5, 81.0]
            assert numbers(url, "Latency over the verdict's")[-1] == pytest.approx(2.0)
            for query in QUERIES:
                assert labels_of(query) <= set(answers(url, query)[0]["metric"]), query.text
            for variable in VARIABLES:
                assert choices(url, variable)


def answers(url: str, query: grafana.Query) -> list[dict[str, Any]]:
    now = time.time()
    asked = grafana.Asked(now - RANGE_S, now, {"device": ".*", "model": ".*"})
    about: dict[str, Any] = {"query": grafana.promql(query, asked, scrape_s=1)}
    if not query.over_time:
        return list(get(f"{url}/api/v1/query", about | {"time": now})["result"])
    over = {"start": now - RANGE_S, "end": now, "step": asked.step_s(query)}
    return list(get(f"{url}/api/v1/query_range", about | over)["result"])


def numbers(url: str, panel: str) -> list[float]:
    """The newest value of each line of a panel."""
    found = [one for query in QUERIES if query.panel == panel for one in answers(url, query)]
    return [float((one.get("value") or one["values"][-1])[1]) for one in found]


def labels_of(query: grafana.Query) -> set[str]:
    return set(re.findall(r"\{\{(\w+)\}\}", query.of.get("legendFormat", "")))


def choices(url: str, variable: grafana.Query) -> list[str]:
    """What ``label_values(METRIC, LABEL)`` gives to choose from."""
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable.of["query"])
    assert found
    return list(get(f"{url}/api/v1/label/{found[2]}/values", {"match[]": found[1]}))


def get(url: str, about: Mapping[str, Any]) -> Any:
    """The data of an answer; of a Prometheus that has not begun to listen, nothing."""
    try:
        with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(about)}", timeout=20) as answer:  # noqa: S310  # this test's own
            return json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it listens, and begins
            return {"result": []}
        pytest.fail(f"{about['query']}: {error.read().decode()}")
    except OSError:
        return {"result": []}
