"""``host-tools simulate``: a simulated fleet for load tests and capacity planning."""

import json
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Annotated

import msgspec
import typer

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.strict import counted
from host_tools.broker.session import Session, to_stderr
from host_tools.broker.settings import Settings
from host_tools.cli.options import Connection, name_of
from host_tools.exits import INTERRUPTED, UNREACHABLE
from host_tools.simulation.clearing import check_names, clear_fleet, left_topics
from host_tools.simulation.open_files import permit_open_files
from host_tools.simulation.plan import MOST_DEVICES, MOST_MODELS, Plan
from host_tools.simulation.simulate import Counts, Simulation

_TELL_EVERY_S = 10.0
_CLEAR_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(Connection):
    """The properties of the fleet, and the connection to the broker."""

    prefix: Annotated[str, typer.Option("--prefix", metavar="NAME", help="devices are NAME-0001, NAME-0002, …")] = "sim"
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="the same seed gives the same fleet")] = 1
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="a group of all devices; may be given several times"),
    ] = None
    models: Annotated[
        int, typer.Option("--models", metavar="K", min=0, max=MOST_MODELS, help="how many models each device runs")
    ] = 1
    jobs_per_hour: Annotated[
        float, typer.Option("--jobs-per-hour", metavar="X", min=0, max=3600, help="jobs that start on each device")
    ] = 0.1
    job_seconds: Annotated[
        float, typer.Option("--job-seconds", metavar="S", min=0.1, max=604_800, help="approximate duration of a job")
    ] = 600.0
    failures: Annotated[
        float, typer.Option("--failures", metavar="SHARE", min=0, max=1, help="share of jobs that are rejected or fail")
    ] = 0.15
    drops_per_hour: Annotated[
        float, typer.Option("--drops-per-hour", metavar="X", min=0, max=3600, help="connections lost by each device")
    ] = 0.0
    health_s: Annotated[
        float, typer.Option("--health", metavar="S", min=0, help="interval of health samples; 0: none")
    ] = 60.0
    model_s: Annotated[
        float, typer.Option("--samples", metavar="S", min=0, help="interval of serving samples; 0: none")
    ] = 60.0
    beside_real: Annotated[
        bool,
        typer.Option("--beside-real", help="allow real devices in the namespace, and ignore orders for --all"),
    ] = False
    connections: Annotated[
        int, typer.Option("--connections", metavar="K", min=0, help="shared by all devices; 0: one each, with a will")
    ] = 0
    ramp: Annotated[
        float, typer.Option("--ramp", metavar="X", min=0.1, max=10_000, help="new connections per second")
    ] = 500.0
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, show_default=False, help="end after this time")
    ] = None
    keep: Annotated[
        bool, typer.Option("--keep", help="leave the devices' messages at the broker, as offline devices do")
    ] = False
    clear: Annotated[
        bool, typer.Option("--clear", help="only clear the messages left by a simulation with this prefix")
    ] = False
    even_online: Annotated[
        bool, typer.Option("--even-online", help="with --clear: also of devices that report that they are online")
    ] = False

    def plan(self, devices: int) -> Plan:
        """The plan of the fleet."""
        return Plan(
            devices=devices,
            prefix=name_of(self.prefix, "prefix"),
            seed=self.seed,
            groups=tuple(name_of(name, "group") for name in self.group or ()),
            models=self.models,
            jobs_per_hour=self.jobs_per_hour,
            job_s=self.job_seconds,
            failures=self.failures,
            drops_per_hour=self.drops_per_hour,
            health_s=self.health_s,
            model_s=self.model_s,
            beside_real=self.beside_real,
        )


def simulate(
    context: typer.Context,
    *,
    devices: Annotated[
        int | None,
        typer.Argument(metavar="N", min=1, max=MOST_DEVICES, show_default=False, help="how many devices"),
    ] = None,
) -> None:
    """Simulate a fleet of devices on a broker.

    They publish what real devices do, and accept pushes, without work, sensors or signature checks. Use it on your own
    broker: its ACL must let you write as any device. Ctrl-C ends the simulation and clears the messages of its
    devices.
    """
    options: SimulateOptions = context.obj
    settings = options.settings()
    if options.clear:
        if devices is not None:
            raise ConfigError("usage", "--clear clears every device of that prefix: leave out the number")
        raise typer.Exit(_clear(settings, options))
    if devices is None:
        raise ConfigError("usage", "give the number of devices: host-tools simulate N")
    if options.connections and options.drops_per_hour:
        text = "--drops-per-hour is for devices with a connection of their own: leave out --connections"
        raise ConfigError("usage", text)
    plan = options.plan(devices)
    permit_open_files(min(options.connections or devices, devices))
    with Session(settings) as session:
        check_names(session, plan)
        version = session.link.version
    simulation = Simulation(settings, plan, version, connections=min(options.connections, devices), ramp=options.ramp)
    watch = _Watch(simulation, options)
    cleared = True
    try:
        simulation.run(watch.over)
    finally:
        if simulation.may_clear and not options.keep:
            cleared = _tidy(settings, simulation, plan.prefix)
    code = INTERRUPTED if watch.stopped else 0 if cleared else UNREACHABLE
    watch.tell("summary", simulation.counts, exit=code)
    raise typer.Exit(code)


def _tidy(settings: Settings, simulation: Simulation, prefix: str) -> bool:
    """Clear the fleet's messages; returns whether the broker was reachable."""
    # A person waits for the end.
    patience_s = min(settings.broker_timeout_s, _CLEAR_PATIENCE_S)
    try:
        with Session(msgspec.structs.replace(settings, broker_timeout_s=patience_s)) as session:
            session.say_left(clear_fleet(session, simulation))
    except BrokerError as error:
        to_stderr(f"not cleared: {error.message}; later: {_later(prefix)}")
        return False
    return True


def _later(prefix: str) -> str:
    return f"host-tools simulate --clear --prefix {prefix}"


def _clear(settings: Settings, options: SimulateOptions) -> int:
    with Session(settings) as session:
        topics = left_topics(session, name_of(options.prefix, "prefix"), even_online=options.even_online)
        left = session.clear(topics)
        session.say_left(left)
    cleared = len(topics) - len(left)
    print(json.dumps({"cleared": cleared}) if options.as_json else f"cleared {counted(cleared, 'message')}")
    return UNREACHABLE if left else 0


class _Watch:
    """Reports progress to a person or a script, and decides when the simulation is over."""

    def __init__(self, simulation: Simulation, options: SimulateOptions) -> None:
        self._simulation, self._options = simulation, options
        self._deadline = time.monotonic() + (float("inf") if options.timeout is None else options.timeout)
        self._told_at, self._all = time.monotonic(), False
        self._before: Counts | None = None
        self.stopped = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def over(self) -> bool:
        """Report progress; returns whether the simulation is over."""
        now = time.monotonic()
        if not self._all and self._simulation.all_connected:
            self._all, self._told_at = True, now
            self.tell("online", self._simulation.counts)
        elif now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            self.tell("rate", self._simulation.counts)
        over = self.stopped or now >= self._deadline
        if over and not self._options.keep:
            to_stderr(f"clearing …; Ctrl-C again leaves it ({_later(self._options.prefix)})")
        return over

    def tell(self, event: str, counts: Counts, **more: int) -> None:
        """Print one line."""
        rate = counts.since(self._before)
        self._before = counts
        if self._options.as_json:
            fields = {
                "event": event, "connected": counts.connected, "working": counts.working, "messages": counts.messages,
                "payload_bytes": counts.payload_bytes, "seconds": round(counts.seconds, 2),
                "messages_per_s": round(rate, 1),
            }  # fmt: skip
            print(json.dumps(fields | more), flush=True)
            return
        text = f"{counts.seconds:.0f} s: {counted(counts.connected, 'device')} online, {counted(counts.working, 'job')}"
        print(f"{text}, {counted(counts.messages, 'message')}, {rate:.1f} a second", file=sys.stderr, flush=True)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.stopped = True
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
