"""Publishes each model name's state as a retained message that dashboards can bind to.

A state is rebuilt from disk and ledger when it may have changed, and published if it differs, at most once a second per
name. It is cleared when neither an active release nor a job is left. On a broker whose ACL does not permit the topic,
one attempt is made per connection.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable
from functools import partial

import msgspec

from edge_agent.daemon.device_info import Identity
from edge_agent.daemon.faults import contained
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.publisher import REPORT_EVERY_S, Publisher
from edge_agent.errors import StoreError
from edge_agent.jobs.job import Job
from edge_agent.mqtt import Link, Sent
from edge_agent.settings.device import Config
from edge_agent.state.release import read_release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.telemetry.measured import Measured, read_measured
from edge_agent.telemetry.model_state import Running, model_state
from edge_agent.telemetry.pause import Pause
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.timestamps import parse_rfc3339, rfc3339

log = logging.getLogger(__name__)

_AGAIN_S = 60.0
"""Delay before a state that the broker refused, for example for lack of room, is published again."""


class _Published(msgspec.Struct):
    """The last published state of a name."""

    state: ModelState | msgspec.UnsetType | None
    """None if it was cleared; unset if it could not be published."""
    at: float
    """Time of the publish; after a refusal by the broker, the earliest time of the next attempt."""


class ModelStates:
    """Publishes the states; used from the consumer only."""

    def __init__(
        self,
        config: Config,
        store: Store,
        link: Link,
        ledger: JobLedger,
        identity: Identity,
        publisher: Publisher,
        pause: Pause,
    ) -> None:
        self._device = config.device_id
        self._store = store
        self._link = link
        self._ledger = ledger
        self._identity = identity
        self._publisher = publisher
        self._pause = pause
        self._published: dict[str, _Published] = {}
        self._changed: set[str] = set()
        self._measured: dict[str, tuple[str, Measured]] = {}
        """Model → name and measurements of its active release; the latter never change."""
        self._first: Sent | None = None
        """The first message of a connection until the broker has answered it, which shows whether states are
        permitted."""
        self._refused = False
        self._asked = False
        """Whether the first message of this connection was sent."""
        self._refused_names: deque[str] = deque()
        """Names whose state the broker has refused, filled by another thread."""

    def connected(self) -> None:
        """Publish everything again: the broker may have lost it, or still hold states cleared while it was away."""
        self._published.clear()
        self._first, self._refused, self._asked = None, False, False
        self._refused_names.clear()
        self._changed |= self._names() | self._store.records().keys()

    def active_changed(self) -> None:
        """Check all states: active releases or their runtimes may have changed."""
        self._changed |= self._names() | self._published.keys()

    def tick(self) -> None:
        """Publish the changes that are due."""
        self._publish_changes(REPORT_EVERY_S)

    def stop(self) -> None:
        """Publish all changes at once, as the broker holds them until the next start."""
        self._publish_changes(0.0)

    def _publish_changes(self, every_s: float) -> None:
        self._changed |= self._ledger.changed
        self._ledger.changed.clear()
        while self._refused_names:
            model = self._refused_names.popleft()
            self._published[model] = _Published(msgspec.UNSET, time.monotonic() + _AGAIN_S)
            self._changed.add(model)
        if not self._may_publish():
            return
        for model in sorted(self._changed):
            last = self._published.get(model)
            if last is not None and time.monotonic() - last.at < every_s:
                continue
            self._changed.discard(model)
            with contained(f"the state of model {model}"):
                self._publish(model, last)
            if self._first is not None:
                return

    def _publish(self, model: str, last: _Published | None) -> None:
        try:
            state = self._state(model)
        except StoreError:
            self._changed.add(model)  # an unreadable file may be readable at the next tick
            raise
        if last is not None and last.state == state:
            return
        sent = self._publisher.model_state(model, state, partial(self._answered, model))
        if not sent.taken:
            self._changed.add(model)
        elif not self._asked:
            self._first, self._asked = sent, True
        self._published[model] = _Published(state if sent.taken else msgspec.UNSET, time.monotonic())

    def _answered(self, model: str, reason: str) -> None:
        """Handle the broker's answer to a state; runs on any thread."""
        if reason:
            self._refused_names.append(model)

    def _may_publish(self) -> bool:
        """Whether there is a connection whose broker accepts states; an older ACL does not permit them."""
        if not self._link.connected or self._refused:
            self._changed.clear()  # the next connection publishes every state anyway
            return False
        if self._pause.on:
            return False  # changes are published after the pause
        if self._first is None:
            return True
        if not self._first.done:
            return False
        self._refused = bool(self._first.refusal())
        self._first = None
        if self._refused:
            log.warning("the broker accepts no states of models: they are not published until the next connection")
        return not self._refused

    def _names(self) -> set[str]:
        """Every name that has an active release or a recent job."""
        active = {link.parent.name for link in self._store.models.glob("*/active")}
        return active | {job.model for job in self._ledger.jobs.values()}

    def _state(self, model: str) -> ModelState | None:
        """The state of a name; None if nothing is left of it."""
        running, job = self._running(model), _newest(self._ledger.jobs.values(), model)
        if running is None and job is None:
            return None
        record = self._ledger.record(model)
        version = record.version if record is not None else 0
        return model_state(
            self._device, model, running, job, self._ledger.sentence(job) if job is not None else "", version
        )

    def _running(self, model: str) -> Running | None:
        """The active release, or None.

        Raises ``StoreError`` (state_unreadable) so that no state is cleared by mistake.
        """
        releases = Releases(self._store.models, model)
        try:
            release = read_release(releases.path(releases.link.readlink().name))
        except (OSError, StoreError) as error:
            if isinstance(error, StoreError) and error.code == "state_unreadable":
                raise
            self._measured.pop(model, None)
            return None
        name, measured = self._measured.get(model, ("", None))
        if measured is None or name != release.name:
            measured = read_measured(releases.path(release.name), release)
            if measured.read:
                self._measured[model] = release.name, measured
        previous = releases.read(release.previous) if release.previous else None
        return Running(
            release=release,
            since=rfc3339(max(releases.activated_at(), parse_rfc3339(release.activated) or 0.0)),
            measured=measured,
            previous_version=previous.version if previous is not None else 0,
            stale=self._identity.stale(release) if self._identity.runtimes else None,
        )


def _newest(jobs: Iterable[Job], model: str) -> Job | None:
    return max((job for job in jobs if job.model == model), key=lambda job: (job.created, job.id), default=None)
