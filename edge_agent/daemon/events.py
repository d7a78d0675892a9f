"""Events that the daemon's own threads put into its inbox, besides the MQTT link's events and control requests."""

from collections.abc import Callable

import msgspec

from edge_agent.execution.run import StageEnd
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.sharing import SourceState


class StageProgress(msgspec.Struct, frozen=True):
    """Progress reported by a stage's worker."""

    run: int
    fraction: float
    detail: str
    eta_s: float | None


class StageEnded(msgspec.Struct, frozen=True):
    """The end of a stage's worker."""

    run: int
    end: StageEnd


class ChildEnded(msgspec.Struct, frozen=True):
    """The end of a short child; the consumer calls ``then`` with its exit and its standard output."""

    then: Callable[[ChildExit, str], None]
    exit: ChildExit
    output: str

    def go_on(self) -> None:
        """Pass the end to the receiver."""
        self.then(self.exit, self.output)


class Due(msgspec.Struct, frozen=True):
    """The next part of a longer work; other events that have arrived meanwhile come first."""

    then: Callable[[], None]

    def go_on(self) -> None:
        """Do the next part."""
        self.then()


class StepEnded(msgspec.Struct, frozen=True):
    """The end of what a job's activation waited for: disk work, or the operator's hook."""

    job: str
    end: StageEnd


class WorkEnded(msgspec.Struct, frozen=True):
    """The end of long disk work; the consumer calls ``then``, which holds the result."""

    then: Callable[[], None]


class SensorSaid(msgspec.Struct, frozen=True):
    """A state report of a shared sensor's process, or the end of that process."""

    name: str
    state: SourceState


class Stop(msgspec.Struct, frozen=True):
    """A request to stop the daemon."""

    reason: str
