"""Opens a release: its optimised form if the form fits this process, else its model file."""

import logging
from pathlib import Path
from typing import NamedTuple

from edge_agent import backends
from edge_agent.advice.installation import how_to_add
from edge_agent.backends import Backend, Session
from edge_agent.device.optimized_form import OPTIMIZED_FILE, form_key, processor_known
from edge_agent.errors import ModelError
from edge_agent.state.release import Release, intact_model
from edge_agent.state.served_form import ServedForm, damage_of

log = logging.getLogger(__name__)

_OTHER = "is not for this version of the runtime on this processor"
_UNKNOWN = "may not be for this processor, as this program cannot read /proc/cpuinfo"


class Opened(NamedTuple):
    """A model on its runtime, and the runtime's version.

    Attributes:
        session: the model.
        runtime_version: version of the runtime in this process.
        form_problem: why the release's optimised form was not used; empty if it was used, or if there is none.
        form_failed: whether that form fits this process, and is damaged or refused.
    """

    session: Session
    runtime_version: str
    form_problem: str = ""
    form_failed: bool = False


def open_release(folder: Path, model_format: str, release: Release) -> Opened:
    """Open the release in ``folder`` on its runtime: its optimised form if that may serve here, else its model file.

    Raises:
        StoreError: ``release_corrupt``: the model file is needed, and no longer matches its hash.
        ModelError: ``format_unsupported`` if the runtime is not installed here; or the runtime rejects the model.
    """
    opened = _open(folder, model_format, release)
    _warn(release, opened)
    return opened


def _open(folder: Path, model_format: str, release: Release) -> Opened:
    try:
        backend = backends.load(model_format)
        here = backend.runtime_version(release.runtime)
        problem, failed = "", False
        if (form := release.served) is not None:
            if form.key != form_key(release.runtime, here):
                problem = _OTHER if processor_known() else _UNKNOWN
            else:
                session, problem = _open_form(backend, folder, release, form)
                if session is not None:
                    return Opened(session, here)
                failed = True
        path = intact_model(folder, release)
        return Opened(backend.open(path, runtime=release.runtime, threads=release.threads), here, problem, failed)
    except ImportError as error:
        text = f"{release.model} needs the package {error.name} where the application runs; {how_to_add('device')}"
        raise ModelError("format_unsupported", text) from error


def _open_form(backend: Backend, folder: Path, release: Release, form: ServedForm) -> tuple[Session | None, str]:
    """The form, or why it cannot be used. A form with another key is never opened: it may crash this process."""
    if damage := damage_of(folder, form):
        return None, f"is damaged: {damage}"
    path = folder / form.folder / OPTIMIZED_FILE
    try:
        return backend.open(path, runtime=release.runtime, threads=release.threads), ""
    except ModelError as error:
        return None, f"cannot be used: {error.message}"


def _warn(release: Release, opened: Opened) -> None:
    """Log each difference from the proved state once, with its consequence."""
    if opened.runtime_version != release.runtime_version:
        log.warning(
            "%s %d was proved with %s %s, this process has %s%s; run edge-agent recalibrate or install that version",
            release.model, release.version, release.runtime, release.runtime_version, opened.runtime_version,
            f", and its optimised form {opened.form_problem}" if opened.form_problem else "",
        )  # fmt: skip
    elif opened.form_problem:
        log.warning(
            "the optimised form of %s %d %s; its model file answers alike but takes more memory; %s",
            release.model, release.version, opened.form_problem, _to_do(opened),
        )  # fmt: skip


def _to_do(opened: Opened) -> str:
    """What brings the form back: the agent looks for forms of other devices at once, and for damage when it starts."""
    if opened.form_problem == _UNKNOWN:
        return "let it read that file"
    if opened.form_failed:
        return "restart edge-agent, which rebuilds a damaged form; if that does not help, run edge-agent recalibrate"
    return "the agent rebuilds the form; if it has not within minutes, restart edge-agent"
