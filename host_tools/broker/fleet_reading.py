"""Reads a fleet from the broker into a view, and goes on listening.

Reports are read of those devices alone that tell no model's state, as those of version 0.1: of 5,000 devices the newest
twenty reports of each would be hundreds of megabytes.
"""

import time

from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport
from edge_agent.wire.telemetry import HEALTH, Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import MODEL_STREAMS, DeviceTopic, Topics
from host_tools.broker.fleet_view import FleetView
from host_tools.broker.registry import parse, readable
from host_tools.broker.session import Session

Said = DeviceStatus | DeviceInfo | JobReport | ModelState | Health | ModelSample | Event
"""What is of interest here; each names its device."""
_ONE_BY_ONE = 50
"""Devices whose reports are asked for by a filter each; of more, everybody's are."""


class FleetReader:
    """Fills ``view`` with what the broker holds, and then with what devices say.

    Attributes:
        known: the devices that the broker knows, those that the view leaves out included.
    """

    def __init__(self, session: Session, view: FleetView) -> None:
        self._session, self._view = session, view
        self._topics = session.topics
        self.known: set[str] = set()
        self._reports_of: set[str] = set()
        """The devices whose reports are listened to, one by one."""

    def read(self) -> None:
        """Read what is retained, and listen from now on."""
        topics = self._topics
        retained = [topics.devices(kind) for kind in ("status", "info", "model")]
        self._take_all(self._session.snapshot(*retained))
        self._session.subscribe(
            *retained, topics.devices("event"), topics.device("+", "tele", HEALTH),
            topics.device("+", "tele", MODEL_STREAMS + "+"),
        )  # fmt: skip
        if stateless := self._view.stateless:
            filters = self._report_filters(stateless)
            self._take_all(self._session.snapshot(*filters))
            self._session.subscribe(*filters)

    def next(self, timeout_s: float) -> tuple[str, Said] | None:
        """The next message that has changed the view, or an event of one of its devices, and whose it is."""
        incoming = self._session.next(timeout_s)
        if incoming is None or (said := message_of(self._topics, incoming.topic, incoming.payload)) is None:
            return None
        device, message = said
        new = device not in self._view
        changed = self._view.take(device, message, time.time(), retained=incoming.retained)
        if new and changed and (filters := self._report_filters([device])):
            self._session.subscribe(*filters)
        return said if changed or (isinstance(message, Event) and device in self._view) else None

    def _take_all(self, found: dict[str, bytes]) -> None:
        now = time.time()
        for topic, payload in found.items():
            if said := message_of(self._topics, topic, payload):
                self.known.add(said[0])
                self._view.take(*said, now, retained=True)

    def _report_filters(self, devices: list[str]) -> list[str]:
        """What to subscribe for the reports of ``devices``, too; nothing where it is subscribed."""
        before = len(self._reports_of)
        self._reports_of |= set(devices)
        if len(self._reports_of) <= _ONE_BY_ONE:
            return [self._topics.device(name, "job", "+") for name in devices]
        return [self._topics.devices("job")] if before <= _ONE_BY_ONE else []


def message_of(topics: Topics, topic: str, payload: bytes) -> tuple[str, Said] | None:
    """Whose message that is, and the message; None if it is none.

    A device may write to its own topics only, so a message in which it calls itself, a job or a model by another name
    is nobody's.
    """
    parsed = parse(topics, topic)
    if not isinstance(parsed, DeviceTopic) or (kind := _kind_of(parsed)) is None:
        return None
    message = readable(payload, kind)
    if message is None or message.device != parsed.device:
        return None
    name = message.job if isinstance(message, JobReport) else getattr(message, "model", "")
    if parsed.leaf and parsed.leaf != HEALTH and name != parsed.leaf.removeprefix(MODEL_STREAMS):
        return None
    return parsed.device, message


def _kind_of(topic: DeviceTopic) -> type[Said] | None:
    match topic.kind:
        case "status":
            return DeviceStatus
        case "info":
            return DeviceInfo
        case "job":
            return JobReport
        case "model":
            return ModelState
        case "event":
            return Event
        case "tele" if topic.leaf == HEALTH:
            return Health
        case "tele" if topic.leaf.startswith(MODEL_STREAMS):
            return ModelSample
    return None
