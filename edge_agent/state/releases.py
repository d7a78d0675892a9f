"""Releases: activated models on disk, one folder each, and the link to the active one.

    models/<name>/
      active -> releases/3-967d8f006cb0ab14      the only symlink; swapped in one rename
      releases/3-967d8f006cb0ab14/
        model.onnx       the model to load, or model.tflite
        release.json     :class:`.release.Release`: hashes, runtime, contract, verdict, previous
        manifest.json    the manifest it came from, with the input contract
        report.json      the result object that justified it
        served-1f0c9a3e/ optional: the optimised form to serve (:mod:`edge_agent.state.served_form`)

A release's folder gets its name after it is complete and fsynced. Applications read through ``active``
(:mod:`edge_agent.serving`).
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from edge_agent.errors import LimitError, StoreError
from edge_agent.foreign.removal import remove_quietly
from edge_agent.state.durable import fsync_dir, link_durably, publish_dir, write_durably
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import (
    MANIFEST_FILE,
    RELEASE_FILE,
    REPORT_FILE,
    Release,
    intact_model,
    read_release,
    unusable,
)
from edge_agent.state.served_form import copy_form, put_form, remove_others
from edge_agent.strict import did_you_mean


class Releases:
    """The releases of one model name."""

    def __init__(self, models: Path, model: str) -> None:
        self.model = model
        self.folder = models / model
        self.link = self.folder / "active"

    def path(self, name: str) -> Path:
        """The folder of a release."""
        return self.folder / "releases" / name

    def has(self, version: int) -> bool:
        """Whether a release of ``version`` is on disk."""
        return any((self.folder / "releases").glob(f"{version}-*"))

    def active(self) -> Release | None:
        """The active release, or None."""
        try:
            return self.read(self.link.readlink().name)
        except OSError:
            return None

    def activated_at(self) -> float:
        """Time of the link's last change, in seconds since the epoch; 0 if there is no link."""
        try:
            return self.link.lstat().st_mtime
        except OSError:
            return 0.0

    def read(self, name: str) -> Release | None:
        """A release on disk, or None."""
        try:
            return read_release(self.path(name))
        except StoreError:
            return None

    def all(self) -> list[Release]:
        """Every release on disk, oldest version first."""
        found = [self.read(path.name) for path in (self.folder / "releases").glob("*")]
        return sorted((release for release in found if release), key=lambda release: release.version)

    def prepare(
        self, release: Release, model: ModelFile, manifest: bytes, report: bytes, form: Sequence[ModelFile] = ()
    ) -> None:
        """Put a release on disk under its name, without activating it. Idempotent.

        ``form``: the files of ``release.served``.

        Raises:
            StoreError: ``release_corrupt``: the model or its form is no longer the file that was judged.
            LimitError: ``no_space``.
        """
        final = self.path(release.name)
        temporary = final.with_name(f"{release.name}.tmp")
        remove_quietly(temporary)
        try:
            temporary.mkdir(mode=0o755, parents=True)
            if model.copy(temporary / release.file).sha256 != release.sha256:
                raise StoreError("release_corrupt", f"{model.path} changed while it was copied; check the SD card")
            if release.served is not None:
                copy_form(form, temporary / release.served.folder)
            write_durably(temporary / MANIFEST_FILE, manifest)
            write_durably(temporary / REPORT_FILE, report)
            write_durably(temporary / RELEASE_FILE, _encoded(release))
            _let_others_read(self.folder, self.folder / "releases", temporary, *temporary.iterdir())
            publish_dir(temporary, final)
            fsync_dir(self.folder)
        except OSError as error:
            raise LimitError("no_space", f"cannot write release {final}: {error.strerror}") from None

    def renew_form(self, release: Release, form: Sequence[ModelFile]) -> None:
        """Give a release on disk the files of a new ``release.served``; serving applications notice the change.

        The new form is on disk before ``release.json`` names it, and the old one is removed last. The release is
        therefore complete whenever the power fails.

        Raises:
            StoreError: ``release_corrupt``: a file of the form has changed.
            LimitError: ``no_space``.
        """
        folder = self.path(release.name)
        try:
            if release.served is not None:
                put_form(form, folder, release.served)
            write_durably(folder / RELEASE_FILE, _encoded(release), mode=0o644)
            remove_others(folder, release.served)
        except OSError as error:
            raise LimitError("no_space", f"cannot write to release {folder}: {error.strerror}") from None

    def swap(self, name: str) -> None:
        """Make a release the active one."""
        try:
            link_durably(f"releases/{name}", self.link)
        except OSError as error:
            raise LimitError("no_space", f"cannot point {self.link} at {name}: {error.strerror}") from None

    def withdraw(self, release: Release) -> str:
        """Undo ``release``'s swap: its previous becomes active again, or nothing if there was none."""
        if release.previous and self.path(release.previous).is_dir():
            self.swap(release.previous)
            return release.previous
        self.link.unlink(missing_ok=True)
        fsync_dir(self.folder)
        return ""

    def rollback_target(self) -> tuple[Release, Release]:
        """The active release and its previous; raises ``StoreError`` with ``not_active`` or ``no_previous``."""
        current = self.active()
        if current is None:
            raise self.none_active()
        previous = self.read(current.previous) if current.previous else None
        if previous is None:
            raise StoreError("no_previous", f"{self.model} {current.version} has no previous release on disk")
        return current, previous

    def none_active(self) -> StoreError:
        """The error for a model without an active release, with the nearest known model name."""
        active = [link.parent.name for link in self.folder.parent.glob("*/active")]
        hint = did_you_mean(self.model, active) or "; see edge-agent releases"
        return StoreError("not_active", f"no release of {self.model!r} is active here{hint}")

    def diagnose(self) -> tuple[str, str]:
        """Find the active release's fault and the release that can replace it. Changes nothing.

        Hashes the model files, so the time depends on the disk.

        Returns:
            The fault (empty: none), and the name of the newest sound release (empty: none).

        Raises:
            StoreError: ``state_unreadable``: the active release cannot be read now, but may be intact.
        """
        try:
            current = read_release(self.path(self.link.readlink().name))
        except OSError as error:
            current, problem = None, str(unusable(self.link, error))
        except StoreError as error:
            _raise_if_passing(error)
            current, problem = None, str(error)
        if current is None:
            others = reversed(self.all())
        elif problem := self._problem(current):
            previous = self.read(current.previous) if current.previous else None
            others = iter([previous] if previous else [])
        else:
            return "", ""
        return problem, next((other.name for other in others if not self._problem(other)), "")

    def replace(self, problem: str, successor: str) -> str:
        """Deactivate the active release and activate ``successor``, if any; returns a clause that reports both."""
        if successor:
            self.swap(successor)
            return f"{problem}; {successor} is active again"
        self.link.unlink(missing_ok=True)
        fsync_dir(self.folder)
        return f"{problem}; nothing is active"

    def _problem(self, release: Release) -> str:
        try:
            self.verify(release)
        except StoreError as error:
            _raise_if_passing(error)
            return str(error)
        return ""

    def verify(self, release: Release) -> None:
        """Raise ``StoreError`` unless the model file still matches its hash, as :func:`intact_model`."""
        intact_model(self.path(release.name), release)

    def standing(self, on_trial: Collection[str] = ()) -> list[Release]:
        """The active release; while it is ``on_trial``, also its predecessor, which may become active again."""
        found: list[Release] = []
        release = self.active()
        while release is not None and release not in found:
            found.append(release)
            release = self.read(release.previous) if release.previous and release.name in on_trial else None
        return found

    def collect(self, on_trial: Collection[str] = ()) -> None:
        """Delete every release except standing ones, their predecessors and those ``on_trial``."""
        standing = self.standing(on_trial)
        if not standing and self.link.is_symlink():
            return  # the active release is unreadable, so the releases that it needs are unknown
        kept = {*on_trial, *(name for release in standing for name in (release.name, release.previous))}
        for path in (self.folder / "releases").glob("*"):
            if path.name not in kept:
                remove_quietly(path)


def _encoded(release: Release) -> bytes:
    return msgspec.json.format(msgspec.json.encode(release), indent=2)


def _raise_if_passing(error: StoreError) -> None:
    if error.code == "state_unreadable":
        raise error


def _let_others_read(*paths: Path) -> None:
    """Make paths readable: applications run as other users, and the service's umask hides new files."""
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)
