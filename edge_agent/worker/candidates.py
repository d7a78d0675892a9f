"""Builds, screens, scores and times single candidates. Decides nothing: the order and the choice are the caller's.

Ranges are from one calibration, float outputs from one pass over the search set. A candidate is built when it is first
needed; one that cannot be built raises ``ModelError`` and concerns no other.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from edge_agent.backends import Backend, CandidateSpec, ModelInfo
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.quant.agreement import Judge
from edge_agent.quant.gates import evaluate_search
from edge_agent.task import Stage
from edge_agent.worker.calibrate import Ranges, prepared_path
from edge_agent.worker.context import Context
from edge_agent.worker.latency import Latency, Percentiles, compare, screen
from edge_agent.worker.pace import Pace
from edge_agent.worker.probe import Served
from edge_agent.worker.result import Record
from edge_agent.worker.scoring import FloatSet
from edge_agent.worker.search import SCREEN_SLACK, Tried

THREADS = 1


class Workbench:
    """The candidates of one model.

    Attributes:
        reference: the float model; its latency is from the last screening.
    """

    def __init__(
        self,
        context: Context,
        backend: Backend,
        info: ModelInfo,
        ranges: Ranges,
        *,
        floats: FloatSet,
        judge: Judge,
        feeds: Path,
    ) -> None:
        """Nothing is built yet.

        Args:
            context: the stage; candidates are written into its folder.
            backend: the model's format.
            info: the float model.
            ranges: what calibration found.
            floats: the search set with float's outputs.
            judge: has seen these outputs.
            feeds: one row, for timing.
        """
        self._context = context
        self._backend = backend
        self._info = info
        self._ranges = ranges
        self._floats = floats
        self._judge = judge
        self._feeds = feeds
        self._prepared = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
        self._folder = context.out_dir / "candidates"
        self._folder.mkdir()
        self._built: dict[CandidateSpec, Path] = {}
        self.reference = self._record("float", info.size_bytes)

    def build(self, spec: CandidateSpec) -> Path:
        """Rewrite the model and prove the file sound; at once if it is there already.

        Raises:
            ModelError: the format cannot express it, or the file is not sound.
        """
        if spec not in self._built:
            path = self._rewrite(spec)
            self._backend.check(self._context.model_path, path)
            self._built[spec] = path
        return self._built[spec]

    def _rewrite(self, spec: CandidateSpec, name: str = "") -> Path:
        path = self._folder / f"{name or len(self._built)}{self._backend.SUFFIX}"
        self._backend.rewrite(self._prepared, self._ranges.of(spec.calibration), spec, path)
        return path

    def blank(self, spec: CandidateSpec) -> Record:
        """What is known of a candidate before it is built."""
        record = self._record(spec.method, None)
        return msgspec.structs.replace(
            record,
            calibration=spec.calibration or None,
            operators=self._operators(spec),
            per_channel=spec.per_channel,
            float_layers=list(spec.float_layers),
        )

    def _operators(self, spec: CandidateSpec) -> str:
        if not spec.operators:
            return "all"
        return "products" if spec.operators == tuple(self._backend.product_operators()) else "core"

    def screen(self, spec: CandidateSpec) -> Record:
        """One process's word on the speed of the candidate's structure, and that it loads and runs at all.

        That process comes first: a file on which the runtime crashes must not be opened in this one.

        Raises:
            ModelError: as :meth:`build`, or the runtime crashes on it.
        """
        path = self._rewrite(spec)
        try:
            reference, target = screen([self._float(), self._served(path)], self._feeds)
        except StageError as error:
            raise ModelError("rewrite_invalid", f"the runtime crashes on the int8 model: {error.message}") from error
        self._backend.check(self._context.model_path, path)
        self._built[spec] = path
        self.reference = timed(self.reference, reference)
        ratio = target.p50_ms / reference.p50_ms
        return msgspec.structs.replace(timed(self.blank(spec), target), ratio_p50=ratio, ratio_p50_same_runtime=ratio)

    def score(self, spec: CandidateSpec, screened: Record, pace: Pace) -> Tried:
        """Run the candidate over the search set and hold it against the gates; raises as :meth:`build`.

        ``screened`` is the screening of its structure.
        """
        path = self.build(spec)
        score = self._floats.score(path, self._judge, pace)
        size = path.stat().st_size
        measured = score.measured(size_ratio=size / self._info.size_bytes, latency_ratio=screened.ratio_p50)
        judgement = evaluate_search(self._context.task.gates, self._judge.meaning.kind, measured)
        near = (screened.ratio_p50 or 0.0) <= self._context.task.gates.max_latency_ratio * SCREEN_SLACK
        record = msgspec.structs.replace(
            self.blank(spec),
            size_bytes=size,
            latency_p50_ms=screened.latency_p50_ms,
            latency_p95_ms=screened.latency_p95_ms,
            latency_p99_ms=screened.latency_p99_ms,
            ratio_p50=screened.ratio_p50,
            ratio_p50_same_runtime=screened.ratio_p50_same_runtime,
            **score.fields(),
            gates=[msgspec.to_builtins(gate) for gate in judgement.gates],
            code=judgement.code or None,
            message=judgement.message or None,
        )
        return Tried(spec, record, judgement.passed or (judgement.code == "latency_too_high" and near))

    def float_costs(self, spec: CandidateSpec, layers: Sequence[str]) -> dict[str, float]:
        """What a call takes longer (ms) with each of ``layers`` alone left float; below zero: it takes less.

        Measured: one process holds all and calls them in turn, so they share whatever slows the device. Empty where
        they cannot be built or do not fit into memory together.
        """
        if not layers:
            return {}
        specs = [replace(spec, float_layers=floats) for floats in ((), *((layer,) for layer in layers))]
        try:
            paths = [self._rewrite(one, f"float{number}") for number, one in enumerate(specs)]
            plain, *others = screen([self._served(path) for path in paths], self._feeds)
        except (ModelError, StageError, LimitError):  # an explanation less, no reason to end the job
            return {}
        return {layer: other.p50_ms - plain.p50_ms for layer, other in zip(layers, others, strict=True)}

    def time(self, spec: CandidateSpec, pace: Pace) -> Latency:
        """The full latency statistic of a candidate."""
        limit = self._context.task.gates.max_latency_ratio
        return compare([self._float()], self._served(self.build(spec)), self._feeds, limit=limit, on_process=pace)

    def _record(self, method: str, size: int | None) -> Record:
        return Record(
            method=method,
            runtime=self._backend.RUNTIME,
            runtime_version=self._backend.runtime_version(),
            threads=THREADS,
            size_bytes=size,
        )

    def _float(self) -> Served:
        return self._served(self._context.model_path)

    def _served(self, path: Path) -> Served:
        return Served(str(path), self._backend.RUNTIME, THREADS)


def timed(record: Record, times: Percentiles) -> Record:
    """``record`` with these latencies."""
    return msgspec.structs.replace(
        record, latency_p50_ms=times.p50_ms, latency_p95_ms=times.p95_ms, latency_p99_ms=times.p99_ms
    )
