"""Writes the files of candidates, each when it is first needed, and proves them sound."""

import time
from itertools import count
from pathlib import Path

from edge_agent.backends import Backend, CandidateSpec
from edge_agent.errors import ModelError
from edge_agent.jobs.task import Stage
from edge_agent.worker.artefacts import Ranges, prepared_path
from edge_agent.worker.context import Context


class CandidateFiles:
    """The candidates' files of one search.

    Attributes:
        rewriting_s: seconds of the slowest rewrite so far.
    """

    def __init__(self, context: Context, backend: Backend, ranges: Ranges) -> None:
        """Make the folder in the stage's own; write no file yet."""
        self._original = context.model_path
        self._backend = backend
        self._ranges = ranges
        self._prepared = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
        self._folder = context.out_dir / "candidates"
        self._folder.mkdir()
        self._numbers = count()
        self._sound: dict[CandidateSpec, Path] = {}
        self.rewriting_s = 0.0

    def found(self, spec: CandidateSpec) -> Path | None:
        """The sound file of a candidate, if there is one."""
        return self._sound.get(spec)

    def build(self, spec: CandidateSpec, runtime: str) -> Path:
        """Rewrite the model and check the file on a runtime; return the file at once if it exists.

        Raises:
            ModelError: the format cannot express the candidate, or the file is not sound.
        """
        if spec not in self._sound:
            self.keep(spec, self.rewrite(spec), runtime)
        return self._sound[spec]

    def rewrite(self, spec: CandidateSpec) -> Path:
        """Write the file of a candidate, without a look at whether it is sound; raises ``ModelError``."""
        path = self._folder / f"{next(self._numbers)}{self._backend.SUFFIX}"
        ranges = self._ranges
        begun = time.monotonic()
        try:
            self._backend.rewrite(self._prepared, ranges.of(spec.calibration), ranges.bounded(spec), path)
        except BaseException as error:
            path.unlink(missing_ok=True)  # a partial file takes disk space that later steps may need
            if isinstance(error, MemoryError) and spec.method == "float16":  # the int8 candidates may still fit
                raise ModelError("out_of_memory", "the conversion needs more memory than this stage may use") from error
            raise
        self.rewriting_s = max(self.rewriting_s, time.monotonic() - begun)
        return path

    def keep(self, spec: CandidateSpec, path: Path, runtime: str) -> None:
        """Prove a rewritten file sound on a runtime, and keep it for its candidate; raises ``ModelError``."""
        self._backend.check(self._original, path, runtime=runtime, float16=spec.method == "float16")
        self._sound[spec] = path

    def discard(self, spec: CandidateSpec) -> None:
        """Remove the file of a candidate, if there is one."""
        if (path := self._sound.pop(spec, None)) is not None:
            path.unlink(missing_ok=True)
