"""Wait for a job on every device, and show the reports meanwhile.

The wait covers all devices, the offline ones too. It ends after ``timeout_s`` or, without one, fifteen minutes after
the announced end of the last capture. Missing chunks are sent to devices that need them. No job is ended on a device.
"""

import time
from collections.abc import Callable

from edge_agent.errors import WireError
from edge_agent.wire.messages import DeviceStatus, JobReport, Need
from edge_agent.wire.topics import DeviceTopic
from host_tools.broker.job_tracker import JobTracker, Progress
from host_tools.broker.registry import readable
from host_tools.broker.session import Session
from host_tools.display.progress import Display

GRACE_S = 15 * 60.0
_TICK_S = 0.5
_CAPTURE = "capture"


def listen(session: Session, job: str) -> None:
    """Subscribe to the topics that ``wait`` needs, before the job is sent, so that no message is missed."""
    topics = session.topics
    session.subscribe(topics.device("+", "job", job), topics.devices("status"), topics.devices("need"))


def wait(
    session: Session,
    tracker: JobTracker,
    display: Display,
    *,
    timeout_s: float | None,
    on_need: Callable[[Need], object] | None = None,
) -> bool:
    """Return once the job has ended everywhere (True) or time is up (False).

    Raises:
        BrokerError: the broker stayed unreachable.
    """
    deadline = time.monotonic() + (GRACE_S if timeout_s is None else timeout_s)
    for progress in tracker.devices.values():
        display.progress(progress)
    while not tracker.ended:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        incoming = session.next(min(remaining, _TICK_S))
        if incoming is None:
            continue
        message = message_of(session, incoming.topic, incoming.payload)
        if isinstance(message, Need):
            if on_need:
                on_need(message)
        elif message and (heard := tracker.take(message)):
            display.progress(heard)
            if timeout_s is None:
                deadline = max(deadline, time.monotonic() + _announced_s(heard) + GRACE_S)
    return True


def _announced_s(progress: Progress) -> float:
    """The seconds that a capturing device still needs; minus infinity otherwise."""
    report = progress.report
    if report and report.stage == _CAPTURE and report.eta_s is not None:
        return report.eta_s
    return float("-inf")


def message_of(session: Session, topic: str, payload: bytes) -> DeviceStatus | JobReport | Need | None:
    """The message under ``topic``, or None if it is not one to wait for.

    A device may write to its own topics only, so a message that names another device is ignored.
    """
    try:
        parsed = session.topics.parse(topic)
    except WireError:
        return None
    message: DeviceStatus | JobReport | Need | None = None
    match parsed:
        case DeviceTopic(_, "status"):
            message = readable(payload, DeviceStatus)
        case DeviceTopic(_, "job"):
            message = readable(payload, JobReport)
        case DeviceTopic(_, "need"):
            message = readable(payload, Need)
    return message if message and isinstance(parsed, DeviceTopic) and message.device == parsed.device else None
