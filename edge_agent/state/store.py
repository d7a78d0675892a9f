"""The state directory: jobs, model records, seen commands, and the lock that makes one writer.

    state_dir/                     0755: applications read models/
      lock  control.sock  clock    0600
      commands.json                commands obeyed and their ends, until they expire
      keys.json                    the signed key list that holds, if there is one
      home-assistant.json          what Home Assistant was told that there is to see
      blobs/<sha256>               0700: float models by content address (.part, .bits, .pages while they arrive)
      jobs/<job>/                  0700: job.json, manifest.json, report.json
      work/<job>/                  0700: all that the job's workers read and write (jobs/task.py), and nothing of ours
      forms/                       0700: an optimised form that is being made anew, until it is in its release; foreign
      models/<name>.json           highest version accepted, its digest and end; never collected
      models/<name>/active         symlink into releases/ (edge_agent/state/releases.py)

Every write is durable before it returns. A state file whose bytes are no state is set aside as ``<name>.broken`` and
said so: what was active stays active. One that cannot be read now (no descriptor left, a bad sector) is left as it is,
and whoever needs it does without or is told: the record of a model is what keeps older versions out.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import LimitError, StoreError
from edge_agent.foreign.opening import read_file
from edge_agent.foreign.removal import remove_quietly
from edge_agent.jobs.job import Job
from edge_agent.state.clock import AHEAD_S
from edge_agent.state.durable import fsync_dir, write_durably
from edge_agent.state.separation import BROKEN, separate
from edge_agent.strict import UNDECODABLE

log = logging.getLogger(__name__)

KEPT_JOBS = 20
_NO_FILE_OF_OURS = (errno.ELOOP, errno.EINVAL, errno.EFBIG)
"""Of a link, of what is no file, and of one that is too large: it stays so, however often it is read."""
_MOST_BYTES = 16 << 20
"""Of a record; the commands of years are some hundred kilobytes."""

T = TypeVar("T")


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What this device has accepted under one model name."""

    version: int
    digest: str
    job: str
    scope: str
    status: str = ""
    """How that version's job ended; empty while it runs."""
    withdrawn: bool = False
    """Rolled back or canceled: the same want coming again does not bring it back."""
    code: str = ""
    """What that version's job ended with; empty while it runs, and of a record that was kept before it was."""
    created: float = 0.0
    """When that version's manifest was made (seconds since the epoch); 0: it does not say."""
    forgotten: float = 0.0
    """The name was forgotten: wants made before then (seconds since the epoch) are over. 0: never."""

    def dated_ahead(self, now: float) -> bool:
        """Whether that is by the date of a want whose maker's clock was wrong, and not by any that can be true."""
        return self.forgotten > now + AHEAD_S


class CommandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was obeyed; kept until it expires, so that it is obeyed once and its end can be said again."""

    expires: float
    """Seconds since the epoch."""
    ended: bool = False
    code: str = ""
    message: str = ""


class Announced(msgspec.Struct, frozen=True):
    """What Home Assistant was told, and what it therefore has to be told again when it is no longer there."""

    topic: str
    components: dict[str, str] = {}
    """Entity → its platform."""
    identifier: str = ""
    """Of the device there: one of another namespace is another device. Empty: that is not known."""


class Store:
    """The one writer of a state directory. Create it, :meth:`lock` it, then use it from one thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.jobs = root / "jobs"
        self.work = root / "work"
        self.forms = root / "forms"
        self.models = root / "models"
        self._lock: int | None = None
        self.unread: set[str] = set()
        """Jobs that are there and could not be read at boot, so that nobody knows what they need."""

    def lock(self) -> None:
        """Become the one writer; raises ``StoreError`` with ``locked`` if somebody else is.

        Or with ``permission_denied`` if this user may not write there. The lock dies with the process.
        """
        try:
            for folder in (self.root, self.models, self.blobs, self.jobs, self.work):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o755 if folder in (self.root, self.models) else 0o700)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except PermissionError:
            raise StoreError("permission_denied", not_permitted(self.root, owner=True)) from None
        except OSError as error:
            raise StoreError("state_unreadable", f"state_dir {self.root}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError("locked", f"another edge-agent uses {self.root}") from None
        self._lock = descriptor

    def unlock(self) -> None:
        """Let others write."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child just being started has a copy of it for a moment
            os.close(self._lock)
            self._lock = None

    def job_dir(self, job: str) -> Path:
        """The folder of what the daemon knows of a job; no worker can write there."""
        return self.jobs / job

    def work_dir(self, job: str) -> Path:
        """The folder of a job's workers; what is in it is foreign."""
        return self.work / job

    def separate_work(self) -> None:
        """Move what workers of a version before have left to where workers write now."""
        separate(self.jobs, self.work)

    def load_jobs(self) -> list[Job]:
        """Every job on disk that can be read now, oldest first; those that cannot are ``unread``."""
        found = []
        for path in self.jobs.glob("*/job.json"):
            try:
                found.append(self._load(path, Job))
            except StoreError as error:
                log.error("%s", error)  # noqa: TRY400  # a trace adds nothing
                self.unread.add(path.parent.name)
        return sorted((job for job in found if job), key=lambda job: (job.created, job.id))

    def create(self, job: Job, manifest: bytes) -> None:
        """Put a new job on disk: its manifest first, so a job always has one; raises ``LimitError`` (no_space)."""
        folder = self.job_dir(job.id)
        for made in (folder, self.work_dir(job.id)):
            try:
                made.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise _no_space(made, error) from None
        self._write(folder / "manifest.json", manifest)
        self.save(job)
        fsync_dir(self.jobs)

    def save(self, job: Job) -> None:
        """Make ``job`` what a boot would find."""
        self._write(self.job_dir(job.id) / "job.json", msgspec.json.encode(job))

    def manifest(self, job: str) -> bytes:
        """The manifest's bytes of a job."""
        try:
            return read_file(self.job_dir(job), "manifest.json")
        except OSError as error:
            raise StoreError("state_unreadable", f"manifest of job {job}: {error.strerror}") from None

    def record(self, model: str) -> ModelRecord | None:
        """What was accepted under a model name, or None; raises ``StoreError`` if it cannot be read now."""
        return self._load(self.models / f"{model}.json", ModelRecord)

    def records(self) -> dict[str, ModelRecord]:
        """Every model name's record that can be read now."""
        found = {}
        for path in sorted(self.models.glob("*.json")):
            with suppress(StoreError):
                found[path.stem] = self._load(path, ModelRecord)
        return {model: record for model, record in found.items() if record}

    def save_record(self, model: str, record: ModelRecord) -> None:
        """Remember the highest version accepted under a model name."""
        self._write(self.models / f"{model}.json", msgspec.json.encode(record))

    def commands(self) -> dict[str, CommandRecord]:
        """The commands that were obeyed, by id; raises ``StoreError`` if that cannot be read now."""
        return self._load(self.root / "commands.json", dict[str, CommandRecord]) or {}

    def save_commands(self, commands: Mapping[str, CommandRecord]) -> None:
        """Remember which commands were obeyed."""
        self._write(self.root / "commands.json", msgspec.json.encode(commands))

    def key_list(self) -> bytes:
        """The key list that holds; empty: none.

        Raises:
            StoreError: it is there and cannot be read. Without it, keys that it revokes would be trusted again.
        """
        path = self.root / "keys.json"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
        except PermissionError:
            raise StoreError("permission_denied", not_permitted(path)) from None
        except OSError as error:
            raise StoreError("state_unreadable", f"the key list {path}: {error.strerror}") from None

    def save_key_list(self, content: bytes) -> None:
        """Keep the key list that holds from now on."""
        self._write(self.root / "keys.json", content)

    def announced(self) -> Announced | None:
        """What Home Assistant was told; None: nothing. Raises ``StoreError`` if that cannot be read now."""
        return self._load(self.root / "home-assistant.json", Announced)

    def save_announced(self, announced: Announced | None) -> None:
        """Remember what Home Assistant was told; None: it knows nothing any more."""
        path = self.root / "home-assistant.json"
        if announced is not None:
            self._write(path, msgspec.json.encode(announced))
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _no_space(path, error) from None

    def report(self, job: str) -> bytes | None:
        """The last report of an ended job, as it was published; raises ``StoreError`` if it cannot be read now."""
        try:
            return read_file(self.job_dir(job), "report.json")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("state_unreadable", f"report of job {job}: {error.strerror}") from None

    def save_report(self, job: str, report: bytes) -> None:
        """Keep an ended job's report, which never changes again."""
        self._write(self.job_dir(job) / "report.json", report)

    def retire(self, job: str, *, keep: Iterable[str] = ()) -> None:
        """Delete what an ended job no longer needs: captured data first of all."""
        kept, work = set(keep), self.work_dir(job)
        if not kept:
            remove_quietly(work)
        elif work.is_dir():
            for path in work.iterdir():
                if path.name not in kept:
                    remove_quietly(path)

    def forget(self, job: str) -> None:
        """Delete an old job altogether."""
        for folder in (self.job_dir(job), self.work_dir(job)):
            remove_quietly(folder)

    def forget_others(self, known: Collection[str]) -> None:
        """Delete every job's folder that is none of ``known``: one whose state could not be read, or never was."""
        for path in (*self.jobs.iterdir(), *self.work.iterdir()):
            if path.name not in known and path.name not in self.unread:
                remove_quietly(path)

    def drop_blobs(self, digests: Iterable[str]) -> None:
        """Delete whole blobs that are not what their names say; who wants them fetches them anew."""
        for digest in digests:
            (self.blobs / digest).unlink(missing_ok=True)

    def collect_blobs(self, keep: Iterable[str]) -> list[str]:
        """Delete every blob, whole or partial, that is not in ``keep``; returns the digests that went."""
        kept, gone = set(keep), set()
        for path in self.blobs.iterdir():
            digest = path.name.split(".")[0]
            if digest not in kept:
                path.unlink(missing_ok=True)
                gone.add(digest)
        return sorted(gone)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_durably(path, data)
        except OSError as error:
            raise _no_space(path, error) from None

    def _load(self, path: Path, kind: type[T]) -> T | None:
        """What a state file holds, or None: there is none, or its bytes are no such thing and it is set aside.

        Raises:
            StoreError: ``state_unreadable``: it is there and cannot be read now.
        """
        try:
            return msgspec.json.decode(read_file(path.parent, path.name, most_bytes=_MOST_BYTES), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, *UNDECODABLE) as error:
            if isinstance(error, OSError) and error.errno not in _NO_FILE_OF_OURS:
                text = f"{path}: {error.strerror}; see how the device's disk does"
                raise StoreError("state_unreadable", text) from None
            log.error("state_unreadable: %s: %s; set aside", path, error)  # noqa: TRY400  # a trace adds nothing
            with suppress(OSError):  # a disk that is read only now
                path.rename(path.with_name(f"{path.name}{BROKEN}"))
            return None


def _no_space(path: Path, error: OSError) -> LimitError:
    return LimitError("no_space", f"cannot write {path}: {error.strerror}; free space in state_dir")
