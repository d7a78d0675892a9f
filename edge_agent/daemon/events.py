"""What the daemon's own threads put into its inbox, beside the MQTT link's events and control requests."""

from collections.abc import Callable

import msgspec

from edge_agent.execution.run import StageEnd
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.sharing import SourceState


class StageProgress(msgspec.Struct, frozen=True):
    """A stage's worker said how far it is."""

    run: int
    fraction: float
    detail: str
    eta_s: float | None


class StageEnded(msgspec.Struct, frozen=True):
    """A stage's worker has ended."""

    run: int
    end: StageEnd


class ChildEnded(msgspec.Struct, frozen=True):
    """A short child has ended; the consumer calls ``then`` with how, and with its standard output."""

    then: Callable[[ChildExit, str], None]
    exit: ChildExit
    output: str

    def go_on(self) -> None:
        """Tell whoever waits for it."""
        self.then(self.exit, self.output)


class Due(msgspec.Struct, frozen=True):
    """More of a longer work is to be done; whatever else has come in the meantime is dealt with first."""

    then: Callable[[], None]

    def go_on(self) -> None:
        """Do some more."""
        self.then()


class StepEnded(msgspec.Struct, frozen=True):
    """What a job's activation waited for has ended: work on the disk, or the operator's hook."""

    job: str
    end: StageEnd


class WorkEnded(msgspec.Struct, frozen=True):
    """Long work on the disk has ended; the consumer calls ``then``, which knows how."""

    then: Callable[[], None]


class SensorSaid(msgspec.Struct, frozen=True):
    """A shared sensor's process said how it does, or ended."""

    name: str
    state: SourceState


class Stop(msgspec.Struct, frozen=True):
    """Somebody asked the daemon to end."""

    reason: str
