"""The access rules of the dashboard: people, their sessions, login attempts, and the server's exposure."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from host_tools.broker.session import to_stderr
from host_tools.dashboard.access.attempts import Attempts
from host_tools.dashboard.access.exposure import Exposure
from host_tools.dashboard.access.record import Record
from host_tools.dashboard.access.sessions import Sessions
from host_tools.dashboard.access.users import Users
from host_tools.dashboard.access.viewer import Viewer

_NAME: Final = "edge-agent"


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of one server.

    Attributes:
        exposure: by whom and by which names the page can be reached.
        users: people who may log in; None: no login, as only this machine reaches the page.
        commanding: whether orders can be sent at all.
        tls: certificate and key; None: this server does not use TLS.
        record: receives logins, attempts and refusals.
        secret: key of the forms' tokens; a new one after each start.
    """

    exposure: Exposure
    users: Users | None = None
    commanding: bool = False
    tls: tuple[Path, Path] | None = None
    sessions: Sessions = field(default_factory=Sessions)
    attempts: Attempts = field(default_factory=Attempts)
    record: Record = field(default_factory=lambda: Record(to_stderr))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def session_cookie(self) -> str:
        """The name of the session cookie; browsers accept a ``__Host-`` cookie only from this host over TLS."""
        return f"__Host-{_NAME}" if self.exposure.secure else _NAME

    @property
    def form_cookie(self) -> str:
        """The name of the cookie behind the forms' tokens where nobody has logged in."""
        return f"{self.session_cookie}-form"

    def set_session_cookie(self, cookie: str) -> str:
        """The header that logs a browser in."""
        return self._set(self.session_cookie, cookie)

    def set_form_cookie(self, cookie: str) -> str:
        """The header that lets a browser send forms."""
        return self._set(self.form_cookie, cookie)

    def _set(self, name: str, cookie: str) -> str:
        secure = "; Secure" if self.exposure.secure else ""
        return f"{name}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def viewer(self, cookie: str, *, used: bool = True) -> Viewer | None:
        """The person with this session; None: a login is needed."""
        if self.users is None:
            return Viewer("", "operator" if self.commanding else "viewer")
        return self.sessions.viewer(cookie, used=used)
