"""Shows this device in Home Assistant: publishes its discovery message, and clears it again.

The announced entities are stored on disk, as Home Assistant never removes one by itself. A removed entity is sent for
an hour with its platform alone, so that a Home Assistant that was offline removes it, too; then it is left out. The
former message is cleared when the configuration turns discovery off, or has another device id, namespace or prefix.

Home Assistant loses part of a message that arrives while it still sets up the previous one, so messages are spaced out.
"""

import logging
import os
import time
from pathlib import Path

from edge_agent import __version__
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.device import board
from edge_agent.errors import BrokerError, LimitError, StoreError
from edge_agent.mqtt import Link, Sent
from edge_agent.settings.device import Config
from edge_agent.state.store import Announced, Store
from edge_agent.telemetry.event_sender import DENIED
from edge_agent.telemetry.home_assistant import Described, discovery, discovery_topic, entities, identifier
from edge_agent.telemetry.pause import Pause

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_GONE_S = 3600.0


class HomeAssistant:
    """Publishes the discovery message; used from the consumer only."""

    def __init__(self, config: Config, store: Store, link: Link, ledger: JobLedger, pause: Pause) -> None:
        self._pause = pause
        self._config = config
        self._enabled = config.telemetry.home_assistant
        self._topic = discovery_topic(config.telemetry.home_assistant_prefix, config.device_id)
        self._identifier = identifier(config.topics, config.device_id)
        self._store = store
        self._link = link
        self._ledger = ledger
        self._kept: Announced | None = None
        self._read = False
        self._warned_topic = ""
        """The topic for which the broker's refusal has been logged."""
        self._announced: list[str] | None = None
        self._gone: set[str] = set()
        self._gone_until = 0.0
        self._sent: tuple[Sent, Announced | None] | None = None
        """The message in flight, and the announcement that is stored once it has arrived."""
        self._refused = False
        self._next = 0.0

    def connected(self) -> None:
        """Publish again: the broker may have lost everything, or its ACL may permit it now."""
        self._announced, self._sent = None, None
        self._refused = False
        self._next = 0.0

    def tick(self) -> None:
        """Publish what has changed, if anything."""
        if self._refused or self._pause.on or not self._link.connected:
            return
        now = time.monotonic()
        if now < self._next or not self._answered():
            return
        self._next = now + _LOOK_EVERY_S
        try:
            self._load()
            if self._kept is not None and (not self._enabled or self._is_of_another(self._kept)):
                self._publish(self._kept.topic, b"", None)
            elif self._enabled:
                self._announce(now)
        except (LimitError, StoreError) as error:  # announced only once it is stored, as it must be undone later
            log.debug("%s", error)

    def _load(self) -> None:
        """Read the stored announcement; without it nothing is published that would replace it."""
        if not self._read:
            self._kept = self._store.announced()
            self._read = True

    def _is_of_another(self, kept: Announced) -> bool:
        """Whether the announcement belongs to another topic, or to another namespace's device at the same topic."""
        return kept.topic != self._topic or kept.identifier not in ("", self._identifier)

    def _announce(self, now: float) -> None:
        models = self._models()
        overdue = self._gone if self._gone and now >= self._gone_until else set()
        if models == self._announced and not overdue:
            return
        described = Described(
            device=self._config.device_id,
            topics=self._config.topics,
            board=board.describe().board,
            agent_version=__version__,
            health_s=self._config.telemetry.health_s,
            model_s=self._config.telemetry.model_s,
        )
        before = self._kept.components if self._kept is not None else {}
        # Models already announced keep their place: removing an entity would delete its history.
        found, left_out = entities(described, sorted(models, key=lambda model: f"model.{model}.status" not in before))
        if left_out and models != self._announced:
            log.warning("Home Assistant shows %d models; no room for: %s", len(models) - len(left_out), left_out)
        gone = {key: platform for key, platform in before.items() if key not in found and key not in overdue}
        now_there = {key: entity["platform"] for key, entity in found.items()}
        self._save(Announced(self._topic, before | now_there, self._identifier))
        if gone.keys() != self._gone:
            self._gone, self._gone_until = set(gone), now + _GONE_S
        self._announced = models
        after = Announced(self._topic, now_there | gone, self._identifier)
        self._publish(self._topic, discovery(described, found, gone), after)

    def _models(self) -> list[str]:
        """The models that have a release or a job; those with an active release come first."""
        found = os.scandir(self._store.models)
        active = [entry.name for entry in found if entry.is_dir() and Path(entry.path, "active").is_symlink()]
        return sorted(active) + sorted({job.model for job in self._ledger.jobs.values()} - set(active))

    def _publish(self, topic: str, payload: bytes, after: Announced | None) -> None:
        self._sent = self._link.publish(topic, payload, retain=True, qos=1), after

    def _answered(self) -> bool:
        """Whether the broker has answered the last message; if it accepted it, the announcement is stored."""
        if self._sent is None:
            return True
        sent, after = self._sent
        arrived = sent.done  # read first, as the refusal is set no later than this flag
        try:
            sent.wait(0)
        except BrokerError as error:
            self._sent, self._announced = None, None
            if error.code != "broker_refused":  # it was not sent; the next tick tries again
                return True
            return self._denied(after, error)
        if not arrived:
            return False
        self._sent = None
        try:
            self._save(after)
        except (LimitError, StoreError) as error:
            log.debug("%s", error)
        return True

    def _denied(self, after: Announced | None, error: BrokerError) -> bool:
        """Handle a refusal; a message that this device may not clear has to be cleared by the operator."""
        topic = self._topic if after is not None or self._kept is None else self._kept.topic
        if topic != self._warned_topic:
            self._warned_topic = topic
            what = "gets no updates" if after is not None else "keeps showing this device until the topic is cleared"
            line = f"pattern write {discovery_topic(self._config.telemetry.home_assistant_prefix, '%u')}"
            why = f'the ACL needs the line "{line}"' if DENIED in error.message else error.message
            log.warning("broker_refused: %s; Home Assistant %s; %s", topic, what, why)
        self._refused = after is not None
        if after is None:
            try:
                self._save(None)
            except (LimitError, StoreError) as failed:
                log.debug("%s", failed)
                self._refused = True  # otherwise it would be cleared and refused in a loop
        return not self._refused

    def _save(self, announced: Announced | None) -> None:
        if announced != self._kept:
            self._store.save_announced(announced)
            self._kept = announced
