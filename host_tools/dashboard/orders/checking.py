"""What devices would say to a model and its manifest, before anything is sent: as ``push-model --dry-run``."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.strict import read_toml
from edge_agent.wire.topics import Scope
from host_tools.broker.job_tracker import Progress
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders.uploads import Upload
from host_tools.push.push import PushRequest, announced, push

_PATIENCE_S: Final = 10.0
_TOML = "M.toml"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        announced: what would be sent; None: nothing could be.
        notes: what a person should know before.
        code: of the trouble; empty: there is none.
        trouble: what is wrong.
    """

    announced: dict[str, Any] | None
    notes: tuple[str, ...]
    code: str = ""
    trouble: str = ""


def request_of(upload: Upload, scopes: Sequence[Scope], text: str, *, dry_run: bool) -> PushRequest:
    """The push of an upload with this manifest, which is written beside it.

    Raises:
        ConfigError: ``usage``: nobody is meant, or the manifest names a file of this host.
    """
    if not scopes:
        raise ConfigError("usage", "nobody is meant; choose devices or a group")
    manifest = upload.written(text)
    if "eval" in read_toml(manifest):
        raise ConfigError("usage", "no labelled set goes by this page; leave [eval] out, or use push-model --eval")
    return PushRequest(model=upload.path, manifest=manifest, scopes=scopes, dry_run=dry_run)


def check(settings: Settings, upload: Upload, scopes: Sequence[Scope], text: str) -> Checked:
    """Build all of it, ask the broker what it knows, send nothing."""
    listener = _Listener()
    try:
        request = request_of(upload, scopes, text, dry_run=True)
        patient = msgspec.structs.replace(settings, broker_timeout_s=_PATIENCE_S)
        found = announced(request, push(patient, request, listener))
    except EdgeAgentError as error:
        return Checked(None, tuple(listener.notes), error.code, without_path(error.message, upload))
    return Checked(found, tuple(without_path(note, upload) for note in listener.notes))


def without_path(message: str, upload: Upload) -> str:
    """A message in the words of who sees no folder of this host."""
    folder = re.escape(f"{upload.path.parent}/")
    return re.sub(rf"{folder}[0-9a-f]{{8}}\.toml", _TOML, message).replace(str(upload.path), upload.shown)


def seal(scopes: Sequence[Scope], text: str) -> str:
    """What tells whether a manifest and its devices are those that were checked."""
    lines = "\n".join([*map(str, scopes), text])
    return hashlib.sha256(lines.encode(errors="replace")).hexdigest()


class _Listener:
    """Keeps the sentences of a dry run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def upload(self, done: int, total: int) -> None:
        """Nothing is sent."""

    def progress(self, progress: Progress) -> None:
        """Nobody is asked."""

    def note(self, text: str) -> None:
        """One sentence for a person."""
        self.notes.append(text)

    def summary(self, fields: dict[str, Any]) -> None:
        """The page has all of it."""
