"""What the daemon's own threads put into its inbox, beside the MQTT link's events and control requests."""

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.execution.run import StageEnd
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.sharing import SourceState


@dataclass(frozen=True, slots=True)
class StageProgress:
    """A stage's worker said how far it is."""

    run: int
    fraction: float
    detail: str
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage's worker has ended."""

    run: int
    end: StageEnd


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A short child has ended; the consumer calls ``then`` with how, and with its standard output."""

    then: Callable[[ChildExit, str], None]
    exit: ChildExit
    output: str


@dataclass(frozen=True, slots=True)
class HookEnded:
    """The operator's hook has judged the release of a job that is being activated."""

    job: str
    end: StageEnd


@dataclass(frozen=True, slots=True)
class SensorSaid:
    """A shared sensor's process said how it does, or ended."""

    name: str
    state: SourceState


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asked the daemon to end."""

    reason: str
