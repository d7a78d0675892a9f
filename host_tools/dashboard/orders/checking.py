"""Checks a model with its manifest before anything is sent, like ``push-model --dry-run``."""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.strict import read_toml
from edge_agent.wire.topics import Scope
from host_tools.broker.job_tracker import Progress
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders.uploads import TOML, Upload
from host_tools.display.progress import Display
from host_tools.push.push import PushRequest, announced, push

_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check.

    Attributes:
        announced: the push that would be sent; None: none is possible.
        notes: sentences for a person.
        code: code of the problem; empty if there is none.
        trouble: description of the problem.
    """

    announced: dict[str, Any] | None
    notes: tuple[str, ...]
    code: str = ""
    trouble: str = ""


def seal(scopes: Iterable[Scope], text: str) -> str:
    """A digest of a manifest and its targets, so that exactly what was checked is sent."""
    words = [*sorted(map(str, scopes)), "", _lines(text)]
    return hashlib.sha256("\n".join(words).encode(errors="replace")).hexdigest()


@contextlib.contextmanager
def requested(upload: Upload, scopes: Sequence[Scope], text: str, **more: Any) -> Iterator[PushRequest]:
    """The push of an upload with this manifest, which is a temporary file during the block; ``more``: further fields.

    Raises:
        ConfigError: ``usage``: no targets, a manifest that names a file of this host, or a model that is gone.
    """
    if not scopes:
        raise ConfigError("usage", "there are no targets; choose devices or a group")
    with upload.noted(_lines(text)) as manifest:
        if "eval" in read_toml(manifest):
            raise ConfigError("usage", "this page sends no labelled set; leave [eval] out, or use push-model --eval")
        yield PushRequest(model=upload.path, manifest=manifest, scopes=scopes, **more)


def check(settings: Settings, upload: Upload, scopes: Sequence[Scope], text: str) -> Checked:
    """Build the push and read the broker's state without sending anything."""
    listener = _Listener()
    try:
        with requested(upload, scopes, text, dry_run=True) as request:
            patient = msgspec.structs.replace(settings, broker_timeout_s=_PATIENCE_S)
            found = announced(request, push(patient, request, listener))
    except EdgeAgentError as error:
        return Checked(None, tuple(listener.notes), error.code, without_path(error.message, upload))
    return Checked(found, tuple(without_path(note, upload) for note in listener.notes))


def without_path(message: str, upload: Upload) -> str:
    """A message without paths of this host."""
    folder = re.escape(str(upload.path.parent))
    return re.sub(rf"{folder}/[^/\s]+/{TOML}", TOML, message).replace(str(upload.path), upload.shown)


def _lines(text: str) -> str:
    """The text as a browser's text area has it, whatever line ends it sends."""
    return text.replace("\r\n", "\n").lstrip("\n")


class _Listener(Display):
    """Stores the sentences of a dry run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def upload(self, done: int, total: int) -> None:
        """Ignored: nothing is sent."""

    def progress(self, progress: Progress) -> None:
        """Ignored: no device answers."""

    def note(self, text: str) -> None:
        """Store a sentence for a person."""
        self.notes.append(text)

    def summary(self, fields: dict[str, Any]) -> None:
        """Ignored: the page shows the result."""
