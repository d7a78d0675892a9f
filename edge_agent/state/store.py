"""The state directory: jobs, model records, executed commands, and the lock that ensures a single writer.

    state_dir/                     0755: applications read models/
      lock  control.sock  clock    0600
      commands.json                executed commands and their outcomes, until they expire
      keys.json                    the signed key list in force, if there is one
      home-assistant.json          the entities announced to Home Assistant
      blobs/<sha256>               0700: float models by content address (.part, .bits, .pages while they arrive)
      jobs/<job>/                  0700: job.json, manifest.json, report.json
      work/<job>/                  0700: files of the job's workers (jobs/task.py), none of the daemon's own
      forms/                       0700: an optimised form while a worker makes it again; foreign
      models/<name>.json           highest version accepted, its digest and end; never collected
      models/<name>/active         symlink into releases/ (edge_agent/state/releases.py)

Every write is durable before it returns. A state file with invalid content is logged and set aside as
``<name>.broken``; the active release stays active. A file that cannot be read now (no descriptor left, a bad sector)
stays in place, and the caller gets an error: a model's record must not be lost, as it keeps older versions out.
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
"""Errors of a link, of a path that is not a file, and of a file that is too large: reading again does not help."""
_MOST_BYTES = 16 << 20
"""Largest state file; years of commands take a few hundred kilobytes."""

T = TypeVar("T")


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The latest version that this device has accepted under one model name."""

    version: int
    digest: str
    job: str
    scope: str
    status: str = ""
    """How that version's job ended; empty while it runs."""
    withdrawn: bool = False
    """Rolled back or canceled: the same want, received again, does not bring it back."""
    code: str = ""
    """The code that ended that version's job; empty while it runs, and in records of versions that did not store it."""
    created: float = 0.0
    """Creation time of that version's manifest (seconds since the epoch); 0: not given."""
    forgotten: float = 0.0
    """When the name was forgotten (seconds since the epoch): earlier wants are void. 0: never."""

    def dated_ahead(self, now: float) -> bool:
        """Whether ``forgotten`` is impossibly late, because the clock of a want's author was wrong."""
        return self.forgotten > now + AHEAD_S


class CommandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An executed command. It is stored until it expires, to run it only once and to report its outcome again."""

    expires: float
    """Seconds since the epoch."""
    ended: bool = False
    code: str = ""
    message: str = ""


class Announced(msgspec.Struct, frozen=True):
    """The entities announced to Home Assistant, which must be withdrawn when they disappear."""

    topic: str
    components: dict[str, str] = {}
    """Entity → its platform."""
    identifier: str = ""
    """The device's identifier in Home Assistant, which differs by namespace; empty: not known."""


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
        """Jobs on disk that could not be read at boot; their files must be kept."""

    def lock(self) -> None:
        """Become the only writer. The lock ends with the process.

        Raises:
            StoreError: ``locked`` if another process is the writer, ``permission_denied`` if this user may not write
                there, ``state_unreadable`` for any other error.
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
        """Release the lock."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child that is just starting holds a copy for a moment
            os.close(self._lock)
            self._lock = None

    def job_dir(self, job: str) -> Path:
        """The folder of the daemon's own files of a job; workers cannot write there."""
        return self.jobs / job

    def work_dir(self, job: str) -> Path:
        """The folder of a job's workers; its content is foreign."""
        return self.work / job

    def separate_work(self) -> None:
        """Move the workers' files of an older version to the folder that workers use now."""
        separate(self.jobs, self.work)

    def load_jobs(self) -> list[Job]:
        """Load every job on disk, oldest first; jobs that cannot be read now go to ``unread``."""
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
        """Write ``job`` to disk, so that the next boot finds it."""
        self._write(self.job_dir(job.id) / "job.json", msgspec.json.encode(job))

    def manifest(self, job: str) -> bytes:
        """The bytes of a job's manifest."""
        try:
            return read_file(self.job_dir(job), "manifest.json")
        except OSError as error:
            raise StoreError("state_unreadable", f"manifest of job {job}: {error.strerror}") from None

    def record(self, model: str) -> ModelRecord | None:
        """The record of a model name, or None; raises ``StoreError`` if it cannot be read now."""
        return self._load(self.models / f"{model}.json", ModelRecord)

    def records(self) -> dict[str, ModelRecord]:
        """Every model name's record that can be read now."""
        found = {}
        for path in sorted(self.models.glob("*.json")):
            with suppress(StoreError):
                found[path.stem] = self._load(path, ModelRecord)
        return {model: record for model, record in found.items() if record}

    def save_record(self, model: str, record: ModelRecord) -> None:
        """Store the record of a model name."""
        self._write(self.models / f"{model}.json", msgspec.json.encode(record))

    def commands(self) -> dict[str, CommandRecord]:
        """The executed commands by id; raises ``StoreError`` if they cannot be read now."""
        return self._load(self.root / "commands.json", dict[str, CommandRecord]) or {}

    def save_commands(self, commands: Mapping[str, CommandRecord]) -> None:
        """Store the executed commands."""
        self._write(self.root / "commands.json", msgspec.json.encode(commands))

    def key_list(self) -> bytes:
        """The key list in force; empty: none.

        Raises:
            StoreError: it exists but cannot be read. Without it, revoked keys would be trusted again.
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
        """Store the key list in force from now on."""
        self._write(self.root / "keys.json", content)

    def announced(self) -> Announced | None:
        """The entities announced to Home Assistant, or None; raises ``StoreError`` if they cannot be read now."""
        return self._load(self.root / "home-assistant.json", Announced)

    def save_announced(self, announced: Announced | None) -> None:
        """Store the entities announced to Home Assistant; None: all were withdrawn."""
        path = self.root / "home-assistant.json"
        if announced is not None:
            self._write(path, msgspec.json.encode(announced))
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _no_space(path, error) from None

    def report(self, job: str) -> bytes | None:
        """The final report of an ended job, as published; raises ``StoreError`` if it cannot be read now."""
        try:
            return read_file(self.job_dir(job), "report.json")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("state_unreadable", f"report of job {job}: {error.strerror}") from None

    def save_report(self, job: str, report: bytes) -> None:
        """Store an ended job's report, which is final."""
        self._write(self.job_dir(job) / "report.json", report)

    def retire(self, job: str, *, keep: Iterable[str] = ()) -> None:
        """Delete an ended job's work files, such as captured data, except those named in ``keep``."""
        kept, work = set(keep), self.work_dir(job)
        if not kept:
            remove_quietly(work)
        elif work.is_dir():
            for path in work.iterdir():
                if path.name not in kept:
                    remove_quietly(path)

    def forget(self, job: str) -> None:
        """Delete an old job with all its files."""
        for folder in (self.job_dir(job), self.work_dir(job)):
            remove_quietly(folder)

    def forget_others(self, known: Collection[str]) -> None:
        """Delete the folders of all jobs except ``known`` and ``unread`` ones, for example jobs that were set aside."""
        for path in (*self.jobs.iterdir(), *self.work.iterdir()):
            if path.name not in known and path.name not in self.unread:
                remove_quietly(path)

    def drop_blobs(self, digests: Iterable[str]) -> None:
        """Delete complete blobs that do not match their names; jobs that need them fetch them again."""
        for digest in digests:
            (self.blobs / digest).unlink(missing_ok=True)

    def collect_blobs(self, keep: Iterable[str]) -> list[str]:
        """Delete every blob, whole or partial, that is not in ``keep``; returns the deleted digests."""
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
        """Load a state file. None: it does not exist, or its content was invalid and it was set aside.

        Raises:
            StoreError: ``state_unreadable``: it exists but cannot be read now.
        """
        try:
            return msgspec.json.decode(read_file(path.parent, path.name, most_bytes=_MOST_BYTES), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, *UNDECODABLE) as error:
            if isinstance(error, OSError) and error.errno not in _NO_FILE_OF_OURS:
                text = f"{path}: {error.strerror}; check the device's disk"
                raise StoreError("state_unreadable", text) from None
            log.error("state_unreadable: %s: %s; the file was set aside", path, error)  # noqa: TRY400  # a trace adds nothing
            with suppress(OSError):  # the disk may have become read-only
                path.rename(path.with_name(f"{path.name}{BROKEN}"))
            return None


def _no_space(path: Path, error: OSError) -> LimitError:
    return LimitError("no_space", f"cannot write {path}: {error.strerror}; free space in state_dir")
