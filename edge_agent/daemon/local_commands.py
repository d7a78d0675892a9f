"""Commands that arrive through the control socket; each gets an answer, as a person waits for it."""

import logging
from collections.abc import Callable
from typing import Any

from edge_agent.daemon.commands import Commands
from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.state.clock import Clock

log = logging.getLogger(__name__)


class LocalCommands:
    """Executes rollback, cancel, recalibrate, forget and the clock's reset; answers status requests."""

    def __init__(
        self, commands: Commands, clock: Clock, status: Callable[[], dict[str, Any]], on_reset: Callable[[], None]
    ) -> None:
        """``on_reset`` is called after the clock's floor was reset, as expired orders may be valid again."""
        self._commands = commands
        self._clock = clock
        self._status = status
        self._on_reset = on_reset

    def take(self, request: ControlRequest) -> None:
        """Execute a local command and answer it, also after an error."""
        try:
            self._obey(request)
        except EdgeAgentError as error:
            request.refuse(error)
        except Exception as error:
            log.exception("internal: %s", request.action)
            request.refuse(StoreError("internal", f"{request.action} failed: {error!r}; see the daemon's log"))

    def _obey(self, request: ControlRequest) -> None:
        match request.action:
            case "status":
                request.reply(self._status())
            case "rollback":
                self._commands.roll_back(request.subject, 0, request.reply, request.refuse)
            case "cancel":
                self._commands.cancel(request.subject, request.reply)
            case "recalibrate":
                self._commands.recalibrate(request.subject, 0, f"local-{self._clock.now()}", request.reply)
            case "forget":
                self._commands.forget(request.subject, float(int(self._clock.now())), request.reply)
            case "clock":
                request.reply(self._clock.as_dict())
            case "clock-reset":
                self._clock.reset()
                self._on_reset()
                request.reply(self._clock.as_dict())
            case _:
                raise StoreError("usage", f"the daemon knows no command {request.action!r}")
