"""Rebuilds optimised forms of active releases that are damaged, or that no longer fit this device.

A form stops fitting when the runtime is upgraded, or when the card moves to another board. The model file answers in
the meantime, so nothing is urgent: one form is rebuilt after the other, while no worker has a model open. The child
that rebuilds it is as confined as a worker. Each release is checked once for each key, until the next start or until it
becomes active again. A failure is logged once.
"""

import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_agent.advice.space import SPARE_BYTES, lacks_space
from edge_agent.daemon.activation.release_steps import served_form
from edge_agent.daemon.background import work_in_background
from edge_agent.daemon.device_info import Identity
from edge_agent.daemon.events import WorkEnded
from edge_agent.daemon.workers import Workers
from edge_agent.device.optimized_form import FORM_FILES, form_key, most_form_bytes
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.foreign.removal import remove, remove_quietly
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.served_form import damage_of, remove_others
from edge_agent.state.store import Store

log = logging.getLogger(__name__)

_COPIES = 3
MakeForm = Callable[[Path, Path], str]
"""Makes the form of the release in the first folder in the second; returns why that failed, or an empty text."""


class Renewal(NamedTuple):
    """A release whose form is to be rebuilt."""

    releases: Releases
    release: Release
    version: str
    """Version of the release's runtime on this device."""

    @property
    def key(self) -> str:
        """The key that a fitting form has."""
        return form_key(self.release.runtime, self.version)

    @property
    def folder(self) -> Path:
        """The release's folder."""
        return self.releases.path(self.release.name)

    @property
    def active(self) -> bool:
        """Whether the release is still the active one."""
        return self.releases.active() == self.release

    @property
    def lacks_space(self) -> str:
        """Why the disk cannot hold the new form, its copy and the old form together; empty if it can."""
        form = self.release.served
        needed = _COPIES * (form.size_bytes if form is not None else 0) + SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        return lacks_space("that", needed, free, "state_dir") if free < needed else ""

    @property
    def needed(self) -> bool:
        """Whether the form has another key or is damaged. Reads the form, which is slow on a slow card."""
        form = self.release.served
        return form is not None and (form.key != self.key or bool(damage_of(self.folder, form)))


class FormRenewal:
    """Finds the forms to rebuild, and starts their children. Used from the consumer only."""

    def __init__(
        self, store: Store, identity: Identity, workers: Workers, make: MakeForm, put: Callable[[WorkEnded], None]
    ) -> None:
        self._store = store
        self._identity = identity
        self._workers = workers
        self._make = make
        self._put = put
        self._look = False
        self._busy = False
        self._seen: set[tuple[str, str, str]] = set()
        self._waiting: deque[Renewal] = deque()

    def clean(self) -> None:
        """Remove partial forms that a power cut has left, at boot."""
        remove_quietly(self._store.forms)
        for release in self._identity.active(self._store):
            if release.served is not None:
                remove_others(Releases(self._store.models, release.model).path(release.name), release.served)

    def active_changed(self) -> None:
        """Note that other releases may be active, or other runtimes known."""
        self._look = True

    def tick(self) -> None:
        """Rebuild the next waiting form if no worker is running; otherwise check for forms to rebuild."""
        if self._busy:
            return
        if self._waiting and self._workers.reserve():
            one = self._waiting.popleft()
            if not one.active:
                self._workers.free()
                return
            self._busy = True
            work_in_background(
                partial(self._renew, one), self._put, lambda why: WorkEnded(partial(self._made, one, why))
            )
        elif self._look and self._identity.runtimes:
            self._look = False
            if found := list(self._new()):
                self._busy = True
                work_in_background(partial(_needed, found), self._put, lambda due: WorkEnded(partial(self._found, due)))

    def _new(self) -> Iterator[Renewal]:
        """Active releases with a form that was not checked since they became active."""
        seen, self._seen = self._seen, set()
        for release in self._identity.active(self._store):
            version = self._identity.runtimes.get(release.runtime)
            if release.served is None or version is None:
                continue
            one = Renewal(Releases(self._store.models, release.model), release, version)
            name = release.model, release.name, one.key
            self._seen.add(name)
            if name not in seen:
                yield one

    def _found(self, due: list[Renewal]) -> None:
        self._busy = False
        self._waiting.extend(due)

    def _renew(self, one: Renewal) -> str:
        """Make one form and put it into its release; returns why that failed, or an empty text."""
        work = self._store.forms
        try:
            if why := one.lacks_space:
                return why
            one.releases.verify(one.release)
            remove(work)
            work.mkdir(mode=0o700)
            if why := self._make(one.folder, work):
                return why
            _publish(one, work)
        except EdgeAgentError as error:
            return error.message
        except OSError as error:
            return f"{error.filename or work}: {error.strerror}"
        except Exception as error:
            log.exception("internal: making the optimised form of %s", one.release.name)
            return repr(error)
        finally:
            remove_quietly(work)
        return ""

    def _made(self, one: Renewal, why: str) -> None:
        self._busy = False
        self._workers.free()
        name = f"{one.release.model} {one.release.version}"
        if why:
            log.warning(
                "the optimised form of %s cannot be rebuilt: %s; the model file answers; the next start tries again",
                name, why,
            )  # fmt: skip
        else:
            log.info("rebuilt the optimised form of %s, for %s %s", name, one.release.runtime, one.version)


def _needed(found: list[Renewal]) -> list[Renewal]:
    return [one for one in found if one.needed]


def _publish(one: Renewal, work: Path) -> None:
    """Copy the child's files into the release. The copied bytes are the hashed ones."""
    most_bytes = most_form_bytes(one.release.size_bytes)
    files = [ModelFile(work, (name,), "", most_bytes) for name in FORM_FILES if (work / name).exists()]
    form = served_form(files, one.release.runtime, one.version)
    if form is None:
        raise StoreError("release_corrupt", "the child has left no form")
    if one.releases.read(one.release.name) != one.release:
        raise StoreError("not_active", "the release has changed meanwhile")
    hashed = [ModelFile(work, file.names, form.files[file.path.name], most_bytes) for file in files]
    one.releases.renew_form(msgspec.structs.replace(one.release, served=form), hashed)
