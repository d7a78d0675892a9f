"""Builds, screens and scores candidates. Decides nothing but how each is served: the rest is the caller's.

Ranges are from one calibration, float outputs from one pass over the search set. A candidate is built when it is first
needed; one that cannot be built concerns no other. Where a model can be served in several ways (runtimes, threads), a
candidate's is the one in which its structure was screened fastest, and float's the one in which float was.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_agent.backends import Backend, CandidateSpec, ModelInfo
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Stage
from edge_agent.quant.agreement import Judge
from edge_agent.quant.dependence import effective_windows
from edge_agent.quant.detection.kept import with_detections
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import agreement_to_prove, drop_to_exclude, evaluate_search
from edge_agent.quant.prospect import Prospect
from edge_agent.quant.ruin import with_outputs
from edge_agent.quant.stopping import goes_on, stopped
from edge_agent.worker.artefacts import Ranges, prepared_path
from edge_agent.worker.context import Context
from edge_agent.worker.measure.comparison import SCREENINGS, screen
from edge_agent.worker.measure.latency import Percentiles
from edge_agent.worker.measure.question import Served
from edge_agent.worker.measure.runtimes import ServingOption
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.doubt import is_worth_asking
from edge_agent.worker.search.layer_selection import with_float
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import preferred
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs
from edge_agent.worker.search.screened import with_speed
from edge_agent.worker.search.screening import Screening, Speed


class HeldOut(NamedTuple):
    """What is known of the held-out set before it is opened: how many windows, of what kind."""

    windows: int
    labelled: bool
    in_time: bool
    """One window follows on the other, as in the search set."""


class CandidateEvaluator:
    """The candidates of one model.

    Attributes:
        reference: the float model, served in its fastest way; its latency is from the last screening.
        feeds: one row, for timing.
        forms: model file → its optimised form, which is served in its place.
    """

    def __init__(
        self,
        context: Context,
        backend: Backend,
        info: ModelInfo,
        ranges: Ranges,
        *,
        floats: ReferenceOutputs,
        judge: Judge,
        feeds: Path,
        options: Sequence[ServingOption],
        heldout: HeldOut,
        screening_s: float,
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
            options: how a model can be served here, what is preferred among equals first.
            heldout: what the verdict will have.
            screening_s: after which a screening begins nothing new.
        """
        self._context = context
        self._backend = backend
        self._info = info
        self._ranges = ranges
        self._floats = floats
        self._judge = judge
        self._heldout = heldout
        self.feeds = feeds
        self.forms: dict[str, Path] = {}
        memory_bytes = context.task.memory_bytes
        self._screening = Screening(context.model_path, feeds, options, memory_bytes, screening_s)
        self._prepared = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
        self._folder = context.out_dir / "candidates"
        self._folder.mkdir()
        self._numbers = count()
        self._built: dict[CandidateSpec, Path] = {}
        self.reference = self._served_by(options[0], MeasuredModel(method="float", size_bytes=info.size_bytes))

    def build(self, spec: CandidateSpec, runtime: str) -> Path:
        """Rewrite the model and prove the file sound on a runtime; at once if it is there already.

        Raises:
            ModelError: the format cannot express it, or the file is not sound.
        """
        if spec not in self._built:
            path = self._rewrite(spec)
            self._backend.check(self._context.model_path, path, runtime=runtime)
            self._built[spec] = path
        return self._built[spec]

    def _rewrite(self, spec: CandidateSpec) -> Path:
        path = self._folder / f"{next(self._numbers)}{self._backend.SUFFIX}"
        ranges = self._ranges
        self._backend.rewrite(self._prepared, ranges.of(spec.calibration), ranges.bounded(spec), path)
        return path

    def blank(self, spec: CandidateSpec) -> MeasuredModel:
        """What is known of a candidate before it is built."""
        if spec.method == "float16":
            return MeasuredModel(method=spec.method)
        return MeasuredModel(
            method=spec.method,
            calibration=spec.calibration or None,
            operators=self._operators(spec),
            types=spec.types,
            per_channel=spec.per_channel,
            float_layers=list(spec.float_layers),
        )

    def _operators(self, spec: CandidateSpec) -> str:
        if not spec.operators:
            return "all"
        return "products" if spec.operators == tuple(self._backend.product_operators()) else "core"

    def screen(
        self, specs: Sequence[CandidateSpec], processes: int = SCREENINGS
    ) -> dict[CandidateSpec, MeasuredModel | ModelError]:
        """The speed of each candidate's structure beside float's and the others', or why it is no candidate.

        Nothing of those for which there was no time: the last ones of ``specs``.
        Other processes load the files first: one on which the runtime crashes must not be opened in this one.
        """
        found: dict[CandidateSpec, MeasuredModel | ModelError] = {}
        paths: dict[CandidateSpec, Path] = {}
        for spec in specs:
            try:
                paths[spec] = self._built.get(spec) or self._rewrite(spec)
            except ModelError as error:
                found[spec] = error
        for spec, speed in zip(paths, self._screening(list(paths.values()), processes) if paths else (), strict=True):
            if speed is not None:
                found[spec] = speed if isinstance(speed, ModelError) else self._sound(spec, paths[spec], speed)
        if self._screening.float_times is not None:
            reference = self._served_by(self._screening.float_option, self.reference)
            self.reference = timed(reference, self._screening.float_times)
        return found

    def _sound(self, spec: CandidateSpec, path: Path, speed: Speed) -> MeasuredModel | ModelError:
        """Its record, if the file is sound too."""
        try:
            self._backend.check(self._context.model_path, path, runtime=speed.option.runtime)
        except ModelError as error:
            return error
        self._built[spec] = path
        screened = msgspec.structs.replace(
            timed(self._served_by(speed.option, self.blank(spec)), speed.times),
            ratio_p50=speed.ratio,
            ratio_p50_same_runtime=speed.ratio_same_option,
            size_bytes=path.stat().st_size,
        )
        return preferred(screened, self.reference, self._context.task.recipe.prefer)

    def load(self, spec: CandidateSpec, like: MeasuredModel) -> None:
        """Prove in another process that a candidate can be served as ``like`` is; raises ``ModelError`` if not."""
        path = self._rewrite(spec)
        option = _serving(like)
        if (error := self._screening.refusal(path, option)) is not None:
            raise error
        self._backend.check(self._context.model_path, path, runtime=option.runtime)
        self._built[spec] = path

    def score(self, spec: CandidateSpec, served: MeasuredModel, pace: Pace) -> EvaluatedCandidate:
        """Run the candidate over the search set and hold it against the gates, but for speed; raises as :meth:`build`.

        ``served``: how it is served, as by a screening.
        """
        runtime = served.runtime or ""
        path = self.build(spec, runtime)
        score = self._floats.score(path, self._judge, pace, runtime=runtime, goes_on=self._goes_on)
        size = path.stat().st_size
        effect = score.design_effect(in_time=self._heldout.in_time)
        measured = score.measured(
            windows_effective=effective_windows(len(score.agreed), effect), size_ratio=size / self._info.size_bytes
        )
        gates, kind, labels_follow = self._context.task.gates, self._judge.meaning.kind, self._heldout.labelled
        outputs = score.outputs(gates)
        if measured.windows < self._floats.windows:
            judgement = stopped(gates, kind, measured, self._floats.windows, labels_follow=labels_follow)
        else:
            judgement = with_outputs(evaluate_search(gates, kind, measured, labels_follow=labels_follow), outputs)
            judgement = with_detections(judgement, score.detections)
        record = score.recorded(
            self._served_by(_serving(served), self.blank(spec)),
            size_bytes=size,
            gates=list(judgement.gates),
            code=judgement.code or None,
            message=judgement.message or None,
        )
        return EvaluatedCandidate(spec, record, judgement.passed, prospect=self._prospect(measured), outputs=outputs)

    def with_speed(self, item: EvaluatedCandidate, screened: MeasuredModel) -> EvaluatedCandidate:
        """``item`` with what a screening of its structure showed, in place of any before."""
        return with_speed(item, screened, self.reference, self._context.task, self._judge.meaning.kind)

    def _goes_on(self, score: Score) -> bool:
        """Whether the rest of a pass is of use: it may pass, or at least be worth asking for."""
        gates, kind, labelled = self._context.task.gates, self._judge.meaning.kind, self._heldout.labelled
        seen, windows = score.measured(), self._floats.windows
        if goes_on(gates, kind, seen, windows, labels_follow=labelled):
            return True
        prospect = self._prospect(replace(seen, windows=windows, windows_effective=windows))
        chance = None if prospect is None else prospect.chance()
        return is_worth_asking(chance, 1.0 - (seen.disagreements or 0) / windows)

    def _prospect(self, measured: Measured) -> Prospect | None:
        """What a candidate has shown of what will decide; None where search windows say nothing of it."""
        gates, kind, heldout = self._context.task.gates, self._judge.meaning.kind, self._heldout
        windows, effect = measured.windows, measured.design_effect
        limit = agreement_to_prove(gates, kind, measured, labels_follow=heldout.labelled)
        if 0 < limit < 1 and windows and measured.disagreements is not None:
            return Prospect(measured.disagreements, windows, effect, heldout.windows, limit)
        drop = drop_to_exclude(gates, kind, measured)
        if not 0 < drop < 1 or not windows or measured.lost is None or not heldout.labelled:
            return None
        return Prospect(measured.lost, windows, effect, heldout.windows, drop, won=measured.won)

    def float_costs(self, item: EvaluatedCandidate, layers: Sequence[str]) -> dict[str, float]:
        """The time (ms) that a call takes longer with each of ``layers`` alone left float, too; below zero: less.

        Measured: a process holds all of them and calls them in turn, so they share whatever slows the device. The
        candidate itself is among them twice, and a cost that its two copies do not exceed is 0. Empty where the models
        cannot be built or do not fit into memory together.
        """
        if not layers:
            return {}
        specs = [with_float(item.spec, floats) for floats in ((), (), *((layer,) for layer in layers))]
        try:
            paths = [self._rewrite(one) for one in specs]
            option = _serving(item.record)
            models = [self._served(path, option) for path in paths]
            one, twin, *others = screen(models, self.feeds, most_bytes=self.most_bytes)
        except (ModelError, StageError, LimitError):  # an explanation less, no reason to end the job
            return {}
        return {layer: other.cost_ms(one, twin) for layer, other in zip(layers, others, strict=True)}

    @property
    def most_bytes(self) -> int:
        """What the models that one process holds may take."""
        return self._screening.most_bytes

    def float_served(self) -> Served:
        """The float model in its fastest way."""
        return self._served(self._context.model_path, _serving(self.reference))

    def float_file_served(self) -> Served:
        """The float model file in its fastest way, even where its optimised form serves in place of it."""
        option = _serving(self.reference)
        return Served(str(self._context.model_path), option.runtime, option.threads)

    def float_served_like(self, item: EvaluatedCandidate) -> Served | None:
        """The float model served as a candidate is; None where that is its fastest way."""
        option = _serving(item.record)
        return None if option == _serving(self.reference) else self._served(self._context.model_path, option)

    def target_served(self, item: EvaluatedCandidate) -> Served:
        """A candidate's file, served as it was screened; raises as :meth:`build`."""
        option = _serving(item.record)
        return self._served(self.build(item.spec, option.runtime), option)

    def _served_by(self, option: ServingOption, record: MeasuredModel) -> MeasuredModel:
        version = self._backend.runtime_version(option.runtime)
        return msgspec.structs.replace(record, runtime=option.runtime, runtime_version=version, threads=option.threads)

    def _served(self, path: Path, option: ServingOption) -> Served:
        return Served(str(self.forms.get(str(path), path)), option.runtime, option.threads)


def _serving(record: MeasuredModel) -> ServingOption:
    """How a screened model is served."""
    if record.runtime is None or record.threads is None:
        raise StageError("stage_crashed", f"{record.method}: not screened, so nobody knows how it is served")
    return ServingOption(record.runtime, record.threads)


def timed(record: MeasuredModel, times: Percentiles) -> MeasuredModel:
    """``record`` with these latencies."""
    return msgspec.structs.replace(
        record, latency_p50_ms=times.p50_ms, latency_p95_ms=times.p95_ms, latency_p99_ms=times.p99_ms
    )
