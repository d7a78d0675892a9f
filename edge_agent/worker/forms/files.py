"""Finds the optimised form beside a model file, and selects which of the two serves.

The form of ``chosen.onnx`` is ``chosen-form/optimized.onnx``, with ``optimized.onnx.data`` for large weights. The file
``key`` names the runtime and the processor that the form was made for. If the runtime is upgraded between two stages of
a job, the key no longer matches, and the form is not opened.
"""

import shutil
from pathlib import Path

from edge_agent.backends import Backend
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE, form_key
from edge_agent.foreign.removal import remove_quietly
from edge_agent.jobs.task import FLOAT_FORM
from edge_agent.state.model_file import sha256_of

_KEY_FILE = "key"


def key_here(backend: Backend, runtime: str) -> str:
    """The key that a form of ``runtime`` needs to be opened here."""
    return form_key(runtime, backend.runtime_version(runtime))


def seal_form(folder: Path, key: str) -> None:
    """Mark the form in ``folder`` as complete, and as made for ``key``."""
    (folder / _KEY_FILE).write_text(key)


def form_folder_of(model: Path) -> Path:
    """The folder of a model file's form."""
    return model.with_name(f"{model.stem}-form")


def served_file(model: Path, key: str) -> Path:
    """The file that serves a candidate: its form if that has ``key``, else the model file."""
    return _served(model, form_folder_of(model), key)


def served_float(model: Path, folder: Path, key: str) -> Path:
    """The file that serves the float file ``model``: its form in ``folder`` if that has ``key``, else ``model``."""
    return _served(model, folder / FLOAT_FORM, key)


def form_bytes(folder: Path) -> int:
    """Size on disk of the form in ``folder``, finished or not; 0: there is none."""
    return sum(path.stat().st_size for path in _files(folder))


def form_sha256(folder: Path) -> dict[str, str]:
    """File → SHA-256, of the form in ``folder``; empty: there is none, or nobody has marked it as complete."""
    return {path.name: sha256_of(path) for path in _files(folder)} if (folder / _KEY_FILE).is_file() else {}


def copy_form(model: Path, target: Path) -> bool:
    """Copy the form of ``model``, if it has one, beside the copy ``target``; False if the copy could not be written."""
    source, folder = form_folder_of(model), form_folder_of(target)
    if not (source / _KEY_FILE).is_file():
        return True
    try:
        folder.mkdir()
        for path in (*_files(source), source / _KEY_FILE):
            shutil.copyfile(path, folder / path.name)  # and no more: a confined process may not set modes and times
    except OSError:
        remove_quietly(folder)
        return False
    return True


def _served(model: Path, folder: Path, key: str) -> Path:
    try:
        fits = (folder / _KEY_FILE).read_text() == key
    except FileNotFoundError:
        fits = False
    return folder / OPTIMIZED_FILE if fits else model


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in FORM_FILES if (folder / name).is_file()]
