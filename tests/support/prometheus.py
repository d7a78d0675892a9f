"""Prometheus and its promtool, where they are installed."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import unused_ports

ALERTS = Path(__file__).parents[2] / "host_tools" / "dashboards" / "prometheus" / "alerts.yml"
NO_PROMETHEUS = "needs Prometheus: sudo apt install prometheus"


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; skips the test where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(NO_PROMETHEUS)
    return found


def promtool(*argv: str, given: str = "") -> str:
    """What promtool says, which is nothing where it finds no fault; it must end well."""
    done = subprocess.run(
        [program("promtool"), *argv], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextlib.contextmanager
def prometheus(folder: Path, target: str, rules: Path = ALERTS) -> Iterator[str]:
    """A Prometheus that scrapes ``target`` every second and asks ``rules`` as often; gives its URL."""
    (port,) = unused_ports(1)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
        f"rule_files: [{str(rules)!r}]\n"
        f'scrape_configs: [{{ job_name: edge-agent, static_configs: [{{ targets: ["{target}"] }}] }}]\n',
        encoding="utf-8",
    )
    argv = [f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"]
    with (
        (folder / "prometheus.log").open("wb") as log,
        subprocess.Popen([program("prometheus"), *argv], stdout=log, stderr=log) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
