"""The properties of a simulated fleet, chosen by an operator. Pure."""

from dataclasses import dataclass

from edge_agent.wire.topics import EVERYONE, check_name
from host_tools.simulation.hardware import MODELS

MOST_DEVICES = 5000
MOST_MODELS = len(MODELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fleet.

    Attributes:
        devices: number of devices.
        prefix: beginning of their names.
        seed: the same seed gives the same devices, jobs and numbers.
        groups: groups of every device.
        models: number of models on each device.
        jobs_per_hour: jobs that start by themselves on each device.
        job_s: approximate duration of a successful job.
        failures: share of jobs that are rejected or fail.
        drops_per_hour: how often each device loses its connection without a DISCONNECT.
        health_s: interval between health samples; 0: none.
        model_s: interval between serving samples; 0: none.
        beside_real: whether the namespace has real devices, so that orders for everyone are ignored.
    """

    devices: int
    prefix: str = "sim"
    seed: int = 1
    groups: tuple[str, ...] = ()
    models: int = 1
    jobs_per_hour: float = 0.1
    job_s: float = 600.0
    failures: float = 0.15
    drops_per_hour: float = 0.0
    health_s: float = 60.0
    model_s: float = 60.0
    beside_real: bool = False

    def __post_init__(self) -> None:
        check_name(self.name(0), "prefix")

    def name(self, number: int) -> str:
        """The device id of a number from 0."""
        return f"{self.prefix}-{number + 1:04}"

    @property
    def obeyed_groups(self) -> tuple[str, ...]:
        """The groups whose orders these devices execute."""
        return self.groups if self.beside_real else (EVERYONE, *self.groups)

    @property
    def names(self) -> list[str]:
        """The device ids, in order."""
        return [self.name(number) for number in range(self.devices)]
