"""Models that people upload to the page: each in its own folder, inside one that is deleted with the program.

Uploads are untrusted: limited in size, number and time, and stored under names of our own.
"""

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from edge_agent.draft.manifest import model_name
from edge_agent.errors import ConfigError
from host_tools.push.manifest_file import FORMATS

MOST_BYTES: Final = 512 << 20
"""Size limit of a model; larger ones need push-model."""
MOST: Final = 8
KEPT_S: Final = 3600.0
_BLOCK = 1 << 20
_MOST_CHECKED = 16
TOML: Final = "M.toml"
_GONE = "the model is no longer stored here; choose its file again"


@dataclass(slots=True)
class Upload:
    """A model that waits to be described and sent.

    Attributes:
        who: the person who uploaded it.
        shown: its original file name, as far as that is a valid model name.
        path: path of the file.
        size: size in bytes.
        manifest: the uploaded TOML; empty: none.
        used: time of the last access.
        sending: whether it is being sent to devices, so that it must stay until that has ended.
        checked: :func:`seal` → version, for the newest successful checks.
    """

    id: str
    who: str
    shown: str
    path: Path
    size: int
    manifest: str
    used: float
    sending: bool = False
    checked: dict[str, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def noted(self, text: str) -> Iterator[Path]:
        """A temporary file for a manifest, separate for each request.

        Raises:
            ConfigError: ``usage``: the model is gone, or the disk is full.
        """
        try:
            folder = Path(tempfile.mkdtemp(dir=self.path.parent))
        except OSError:
            raise ConfigError("usage", _GONE) from None
        try:
            try:
                (folder / TOML).write_text(text, encoding="utf-8", errors="replace")
            except OSError as error:
                raise ConfigError("usage", f"the manifest cannot be stored: {error.strerror}; free space") from None
            yield folder / TOML
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def passed(self, sealed: str, version: int) -> None:
        """Record a successful check of the content with the digest ``sealed``."""
        self.checked = dict([*self.checked.items(), (sealed, version)][-_MOST_CHECKED:])


class Uploads:
    """All uploads. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Upload] = {}
        self._folder: Path | None = None

    def take(self, who: str, name: str, file: BinaryIO, manifest: str = "") -> Upload:
        """Store a copy of ``file``.

        Raises:
            ConfigError: ``usage``: it is not a model, is too large, or too many uploads wait.
        """
        stem, ending = Path(name).stem, Path(name).suffix.lower()
        if ending not in FORMATS:
            raise ConfigError("usage", "a model is a file named *.onnx or *.tflite; choose one")
        number = secrets.token_hex(8)
        folder = self._new_folder(number)
        path = folder / f"{model_name(stem)}{ending}"
        try:
            size = _copy(file, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        upload = Upload(number, who, path.name, path, size, manifest, self._clock())
        with self._lock:
            self._known[number] = upload
        return upload

    def get(self, number: str, who: str) -> Upload | None:
        """The upload of this person, or None."""
        self._forget_old()
        with self._lock:
            upload = self._known.get(number)
            if upload is None or upload.who != who:
                return None
            upload.used = self._clock()
            return upload

    def claim(self, number: str) -> None:
        """Reserve it for one order; raises ``ConfigError`` (usage) if it is gone or reserved by another."""
        with self._lock:
            upload = self._known.get(number)
            if upload is None or upload.sending:
                raise ConfigError("usage", _GONE)
            upload.sending = True

    def release(self, number: str) -> None:
        """Undo the reservation, as it was not sent."""
        with self._lock:
            if (upload := self._known.get(number)) is not None:
                upload.sending, upload.used = False, self._clock()

    def give_up(self, number: str) -> None:
        """Delete it, unless it is being sent."""
        with self._lock:
            upload = self._known.get(number)
            if upload is None or upload.sending:
                return
            del self._known[number]
        shutil.rmtree(upload.path.parent, ignore_errors=True)

    def drop(self, number: str) -> None:
        """Delete it."""
        with self._lock:
            upload = self._known.pop(number, None)
        if upload is not None:
            shutil.rmtree(upload.path.parent, ignore_errors=True)

    def forget(self) -> None:
        """Delete all uploads at the end of the program."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _new_folder(self, number: str) -> Path:
        self._forget_old()
        with self._lock:
            if len(self._known) >= MOST:
                raise ConfigError("usage", f"{MOST} models wait here to be sent; send or drop one of them first")
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="edge-agent-dashboard-"))
            folder = self._folder / number
            folder.mkdir(mode=0o700)
            return folder

    def _forget_old(self) -> None:
        due = self._clock() - KEPT_S
        with self._lock:
            old = [number for number, one in self._known.items() if one.used < due]
        for number in old:
            self.give_up(number)


def _copy(file: BinaryIO, path: Path) -> int:
    size = 0
    try:
        with path.open("xb") as out:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > MOST_BYTES:
                    raise ConfigError("usage", f"a model has {MOST_BYTES >> 20} MiB at most here; use push-model")
                out.write(block)
    except OSError as error:
        raise ConfigError("usage", f"the model cannot be stored: {error.strerror}; free some space") from None
    if not size:
        raise ConfigError("usage", "the file is empty; choose a model")
    return size
