"""Publishes the serving statistics of each model: the sum of what its applications reported in an interval.

A model without reports is not published. Samples are not replayed: those of an interval without a connection are lost.
"""

import time

from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.usage_socket import UsageSocket
from edge_agent.settings.device import Config
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.telemetry.pause import Pause
from edge_agent.telemetry.usage import Usage, UsageSum

_MOST_VERSIONS = 4
"""Versions of one model that may report in one interval, as applications switch to a new release at different times."""


class ServingSamples:
    """Adds up and publishes the statistics; used from the consumer only."""

    def __init__(self, config: Config, store: Store, publisher: Publisher, pause: Pause) -> None:
        self._pause = pause
        self._device = config.device_id
        self._interval_s = config.telemetry.model_s
        self._models = store.models
        self._publisher = publisher
        self._sums: dict[str, dict[int, UsageSum]] = {}
        """Model → version → sum of its reports."""
        self._begun = time.monotonic()
        self._socket = UsageSocket(store.root)

    def start(self) -> None:
        """Listen, unless the configuration turns these samples off."""
        if self._interval_s:
            self._socket.open()

    def tick(self) -> None:
        """Read the reports, and publish when the interval is over."""
        for usage, pid in self._socket.read():
            self._take(usage, pid)
        passed_s = time.monotonic() - self._begun
        if passed_s >= self._interval_s:
            self._publish(passed_s)

    def stop(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _take(self, usage: Usage, pid: int) -> None:
        versions = self._sums.get(usage.model, {})
        if usage.version not in versions:
            releases = Releases(self._models, usage.model)
            if len(versions) >= _MOST_VERSIONS or not releases.link.is_symlink() or not releases.has(usage.version):
                self._socket.drop(pid)
                return
            versions[usage.version] = UsageSum(usage.model, usage.version)
            self._sums[usage.model] = versions
        versions[usage.version].add(usage, pid)

    def _publish(self, interval_s: float) -> None:
        if self._pause.on:
            self._sums.clear()
        for versions in self._sums.values():
            for served in versions.values():
                self._publisher.model_sample(served.sample(self._device, interval_s, self._socket.dropped))
        if self._sums:
            self._socket.dropped = 0  # reset only after a sample has reported the count
        self._sums.clear()
        self._begun = time.monotonic()
