"""The metrics and alerts as Prometheus itself takes them."""

import json
import re
import shutil
import urllib.request
from pathlib import Path

import pytest
from support.brokers import Broker
from support.fleets import HOSTILE, Voice, eventually, running, speaking
from support.prometheus import ALERTS, prometheus, promtool

from edge_agent.wire.topics import Topics

pytestmark = [pytest.mark.external, pytest.mark.children(covered=False)]
TESTS = Path(__file__).with_name("alerts_test.yml")
FIRING = {
    "EdgeAgentGoneQuiet", "EdgeAgentThrottled", "EdgeAgentUndervoltage", "EdgeAgentModelStale",
    "EdgeAgentModelRejected", "EdgeAgentDiskLow",
}  # fmt: skip


def test_the_rules_are_sound_and_fire_on_what_they_say(tmp_path: Path) -> None:
    shutil.copy(ALERTS, tmp_path / "alerts.yml")
    shutil.copy(TESTS, tmp_path / "alerts_test.yml")

    assert "SUCCESS: 9 rules found" in promtool("check", "rules", str(ALERTS))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "alerts_test.yml"))
    named = set(re.findall(r"alertname: (\w+)", TESTS.read_text(encoding="utf-8")))
    assert named == set(re.findall(r"alert: (\w+)", ALERTS.read_text(encoding="utf-8")))


def test_a_real_prometheus_scrapes_and_fires(one_broker: Broker, namespace: str, tmp_path: Path) -> None:
    topics = Topics(namespace)
    pi, quiet = Voice("pi-1", topics), Voice("quiet", topics)
    at_once = tmp_path / "alerts.yml"
    at_once.write_text(re.sub(r"for: \d+m", "for: 0s", ALERTS.read_text(encoding="utf-8")), encoding="utf-8")
    argv = ("exporter", "--listen", "127.0.0.1:0", "--broker", one_broker.url, "--namespace", namespace)
    with speaking(one_broker.url, namespace) as say, running(*argv) as command:
        say(quiet.model(at=1_700_000_000.0), retain=True)
        say(pi.model(stale=True, verdict="rejected", code="no_gain", message=HOSTILE), pi.report(), retain=True)
        say(pi.status(), pi.info(board=HOSTILE, agent_version=HOSTILE), retain=True)
        found = re.search(r"http://(\S+)/metrics", command.said("/metrics"))
        assert found
        with prometheus(tmp_path, found[1], at_once) as url:

            def fires() -> set[tuple[str, str]]:
                say(pi.health(throttled=True, undervoltage=True, disk_free_bytes=10_000), pi.sample(), pi.event())
                return firing(url)

            eventually(lambda: {name for name, _ in fires()} >= FIRING, 60)
            assert ("EdgeAgentGoneQuiet", "quiet") in fires()
            assert ("EdgeAgentGoneQuiet", "pi-1") not in fires()
        assert promtool("check", "metrics", given=scraped(found[0])) == ""


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # of this test's own exporter
        return str(answer.read().decode())


def firing(url: str) -> set[tuple[str, str]]:
    """Alert and device of everything that fires."""
    try:
        alerts = json.loads(scraped(f"{url}/api/v1/alerts"))["data"]["alerts"]
    except OSError:  # it has not begun to listen
        return set()
    return {(one["labels"]["alertname"], one["labels"].get("device", "")) for one in alerts if one["state"] == "firing"}
