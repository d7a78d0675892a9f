"""Has Home Assistant show this device: publishes the message that describes it, and takes it back.

What was told is kept on disk, as Home Assistant forgets nothing by itself. An entity that is gone is named for an hour
with its platform alone, so that a Home Assistant that was cut off learns of it, too; then it is left out. When it is
switched off in the configuration, or another device id, namespace or prefix stands there, the former message is
cleared.

Home Assistant drops a part of a message that comes while it still sets up the one before, so they keep apart.
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
    """Publishes; used from the consumer only."""

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
        self._told = ""
        """The topic that the broker's refusal was logged of."""
        self._said: list[str] | None = None
        self._gone: set[str] = set()
        self._gone_until = 0.0
        self._sent: tuple[Sent, Announced | None] | None = None
        """On its way, and what is known to Home Assistant once it has arrived."""
        self._refused = False
        self._next = 0.0

    def connected(self) -> None:
        """Say it again: the broker may have lost everything, or know by now that we may."""
        self._said, self._sent = None, None
        self._refused = False
        self._next = 0.0

    def tick(self) -> None:
        """See whether there is something to say."""
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
        except (LimitError, StoreError) as error:  # a full disk: it is said once there is room, as it must be undone
            log.debug("%s", error)

    def _load(self) -> None:
        """What Home Assistant was told, as the disk has it; without that nothing is said that would take its place."""
        if not self._read:
            self._kept = self._store.announced()
            self._read = True

    def _is_of_another(self, kept: Announced) -> bool:
        """Whether what was told is another topic's, or another device's: of another namespace, by the same topic."""
        return kept.topic != self._topic or kept.identifier not in ("", self._identifier)

    def _announce(self, now: float) -> None:
        models = self._models()
        overdue = self._gone if self._gone and now >= self._gone_until else set()
        if models == self._said and not overdue:
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
        # Who is there already keeps the room: an entity that went would take its history along.
        found, left_out = entities(described, sorted(models, key=lambda model: f"model.{model}.status" not in before))
        if left_out and models != self._said:
            log.warning("Home Assistant is told of %d models; no room for: %s", len(models) - len(left_out), left_out)
        gone = {key: platform for key, platform in before.items() if key not in found and key not in overdue}
        now_there = {key: entity["platform"] for key, entity in found.items()}
        self._save(Announced(self._topic, before | now_there, self._identifier))
        if gone.keys() != self._gone:
            self._gone, self._gone_until = set(gone), now + _GONE_S
        self._said = models
        after = Announced(self._topic, now_there | gone, self._identifier)
        self._publish(self._topic, discovery(described, found, gone), after)

    def _models(self) -> list[str]:
        """The names of models of which there is something to see; those that run first."""
        found = os.scandir(self._store.models)
        active = [entry.name for entry in found if entry.is_dir() and Path(entry.path, "active").is_symlink()]
        return sorted(active) + sorted({job.model for job in self._ledger.jobs.values()} - set(active))

    def _publish(self, topic: str, payload: bytes, after: Announced | None) -> None:
        self._sent = self._link.publish(topic, payload, retain=True, qos=1), after

    def _answered(self) -> bool:
        """Whether the broker has what was said last; what it then holds is kept."""
        if self._sent is None:
            return True
        sent, after = self._sent
        arrived = sent.done  # asked first: a refusal is known no later than that there is an answer
        try:
            sent.wait(0)
        except BrokerError as error:
            self._sent, self._said = None, None
            if error.code != "broker_refused":  # it was not sent, and is said again
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
        """The broker refuses; what we may not clear there, its operator has to."""
        topic = self._topic if after is not None or self._kept is None else self._kept.topic
        if topic != self._told:
            self._told = topic
            what = "is told nothing" if after is not None else "goes on showing this device until it is cleared there"
            line = f"pattern write {discovery_topic(self._config.telemetry.home_assistant_prefix, '%u')}"
            why = f'the ACL needs the line "{line}"' if DENIED in error.message else error.message
            log.warning("broker_refused: %s; Home Assistant %s; %s", topic, what, why)
        self._refused = after is not None
        if after is None:
            try:
                self._save(None)
            except (LimitError, StoreError) as failed:
                log.debug("%s", failed)
                self._refused = True  # else it would be cleared, and refused, again and again
        return not self._refused

    def _save(self, announced: Announced | None) -> None:
        if announced != self._kept:
            self._store.save_announced(announced)
            self._kept = announced
