"""``edge-agent run``: builds the daemon, runs its one consumer, and stops it cleanly.

Threads (the MQTT link, the control socket, one per running child) only put events into the inbox. Only the consumer
pings the watchdog, so systemd restarts the service when the consumer hangs.
"""

import logging
import os
import queue
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from edge_agent import __version__
from edge_agent.advice.permission import not_permitted
from edge_agent.daemon.admission.key_files import kept_key_list
from edge_agent.daemon.agent import Agent, InboxEvent
from edge_agent.daemon.background import run_in_background
from edge_agent.daemon.control_socket import SOCKET_NAME, ControlServer
from edge_agent.daemon.device_info import INVENTORY_TIMEOUT_S, Identity
from edge_agent.daemon.events import ChildEnded, Stop
from edge_agent.daemon.log_limit import LogLimit
from edge_agent.daemon.publisher import offline
from edge_agent.daemon.sd_notify import Notifier
from edge_agent.errors import ConfigError, StoreError
from edge_agent.execution.launcher import Launcher
from edge_agent.jobs.job import Status
from edge_agent.mqtt import Link
from edge_agent.mqtt.inflow import Inflow
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.layers import check_confinement, without
from edge_agent.process.program import python_child
from edge_agent.process.sandbox import close_memory
from edge_agent.process.strays import adopt
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store
from edge_agent.strict import counted
from edge_agent.trust.keyring import read_keyring
from edge_agent.wire.acl import line_for_device
from edge_agent.wire.limits import most_bytes

log = logging.getLogger(__name__)

TICK_S = 1.0
_MOST_WAITING_BYTES = 4 * 1024 * 1024
"""Size of the messages in the inbox: as many chunks as the broker sends without an acknowledgement."""
EXIT_CODES = {Status.SUCCEEDED: 0, Status.REJECTED: 4, Status.FAILED: 5, Status.CANCELED: 8}


def run(config: Config, *, once: bool = False) -> int:
    """Run until a signal arrives, or with ``once`` until the first job has ended; returns the exit code.

    Raises:
        StoreError: ``locked``: another daemon uses the state directory; ``permission_denied``.
        ConfigError: the configuration is unusable, or ``confinement_missing``.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogLimit())
    check_trust(config)
    if lacking := check_confinement(required=config.limits.require_confinement):
        log.warning("%s", without(lacking))
    close_memory()
    adopt()
    store = Store(Path(config.state_dir))
    store.lock()
    inbox: queue.SimpleQueue[InboxEvent | Stop] = queue.SimpleQueue()
    notifier = Notifier()
    identity = Identity()
    clock = Clock(store.root / "clock")
    topics = config.topics
    link = Link(
        config.mqtt,
        f"edge-agent-{config.device_id}",
        on_event=inbox.put,
        will=(topics.device(config.device_id, "status"), offline(config.device_id, identity.boot_id)),
        clean=False,
        inflow=Inflow(_MOST_WAITING_BYTES, partial(most_bytes, topics)),
        acl_line=partial(line_for_device, topics),
    )
    agent = Agent(config, store, link, inbox.put, clock, identity, Launcher(config))
    agent.boot()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        inbox.put(Stop(signal.Signals(number).name))

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    _outlive_hangup(on_signal)
    control = ControlServer(store.root / SOCKET_NAME, inbox.put)
    run_in_background(
        python_child("edge_agent.worker.measure.inventory"),
        ChildLimits(timeout_s=INVENTORY_TIMEOUT_S),
        inbox.put,
        partial(ChildEnded, agent.take_inventory),
    )
    agent.sensors.start()
    agent.serving_samples.start()
    link.start()
    log.info(
        "edge-agent %s: device %s, broker %s, state %s", __version__, config.device_id, config.mqtt.url, store.root
    )
    notifier.ready(f"device {config.device_id}, broker {config.mqtt.url}")
    clean = False
    try:
        code = _consume(agent, inbox, notifier, once=once)
        clean = True
    finally:
        notifier.stopping()
        control.close()
        agent.stop(clean=clean)
        link.stop()
        store.unlock()
    return code


def _outlive_hangup(stop: Callable[[int, FrameType | None], None]) -> None:
    """SIGHUP stops a daemon whose terminal closes; a service only logs it, as many tools send it to reload."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
        return

    def go_on(_number: int, _frame: FrameType | None) -> None:
        log.warning("SIGHUP: the configuration is read at start only; restart edge-agent to read it again")

    signal.signal(signal.SIGHUP, stop if os.isatty(0) else go_on)


def _consume(agent: Agent, inbox: "queue.SimpleQueue[InboxEvent | Stop]", notifier: Notifier, *, once: bool) -> int:
    ended_before = {job.id for job in agent.jobs.values() if job.ended}
    wait_s = min(TICK_S, notifier.interval_s or TICK_S)
    ticked = time.monotonic()
    while True:
        try:
            event = inbox.get(timeout=wait_s)
        except queue.Empty:
            pass
        else:
            if isinstance(event, Stop):
                log.info("%s: stopping; jobs go on at the next start", event.reason)
                return 0
            agent.handle(event)
        if time.monotonic() - ticked >= TICK_S:
            ticked = time.monotonic()
            agent.tick()
        notifier.alive()
        if once:
            for job in agent.jobs.values():
                if job.ended and job.id not in ended_before:
                    return EXIT_CODES[job.status]


def check_trust(config: Config) -> None:
    """Raise ``ConfigError``, or ``StoreError`` (permission_denied), if the configuration trusts no usable key."""
    if config.trust.allow_unsigned:
        log.warning("trust.allow_unsigned is true: anybody who can write to the broker decides what this device runs")
        return
    try:
        os.listdir(config.trust.keys_dir)  # noqa: PTH208  # only to check the permission
    except PermissionError:  # a glob would report an empty folder
        raise StoreError("permission_denied", not_permitted(config.trust.keys_dir)) from None
    except OSError:
        pass
    found = read_keyring(Path(config.trust.keys_dir), kept_key_list(Store(Path(config.state_dir))))
    if len(found.keys) < config.trust.min_signatures:
        unused = f" ({'; '.join(found.problems)})" if found.problems else ""
        raise ConfigError(
            "usage",
            f"{config.trust.keys_dir} holds {counted(len(found.keys), 'key')}{unused}, "
            f"trust.min_signatures is {config.trust.min_signatures}; "
            "make a key with host-tools keygen and copy its public half there",
        )
