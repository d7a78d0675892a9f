"""Screens and scores candidates. It decides how each is served; the caller decides everything else.

Ranges come from one calibration, float outputs from one pass over the search set. A candidate is built when it is first
needed, and a failed build affects no other candidate. If a model has several serving options (runtimes, threads), a
candidate uses the one in which its structure screened fastest, and float uses the one in which float screened fastest.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_agent.backends import Backend, CandidateSpec, ModelInfo
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.agreement import Judge
from edge_agent.quant.dependence import effective_windows
from edge_agent.quant.detection.kept import with_detections
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import agreement_to_prove, drop_to_exclude, evaluate_search
from edge_agent.quant.prospect import Prospect
from edge_agent.quant.ruin import with_outputs
from edge_agent.quant.stopping import goes_on, stopped
from edge_agent.worker.artefacts import Ranges
from edge_agent.worker.context import Context
from edge_agent.worker.measure.comparison import SCREENINGS, screen
from edge_agent.worker.measure.latency import Percentiles
from edge_agent.worker.measure.question import Served
from edge_agent.worker.measure.runtimes import ServingOption
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.candidate_files import CandidateFiles
from edge_agent.worker.search.doubt import is_worth_asking
from edge_agent.worker.search.layer_selection import with_float
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import preferred
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs
from edge_agent.worker.search.screened import with_speed
from edge_agent.worker.search.screening import Screening, Speed


class HeldOut(NamedTuple):
    """Facts about the held-out set that are known before it is opened."""

    windows: int
    labelled: bool
    in_time: bool
    """Whether consecutive windows follow each other in time, as in the search set."""


class CandidateEvaluator:
    """The candidates of one model.

    Attributes:
        reference: the float model in its fastest serving option, with the latency of the last screening.
        feeds: one row, for timing.
        forms: model file → its optimised form, which is served in its place.
        files: the candidates' files.
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
        """Build nothing yet.

        Args:
            context: the stage; candidates are written into its folder.
            backend: the backend of the model's format.
            info: the float model.
            ranges: the ranges of the calibration.
            floats: the search set with float's outputs.
            judge: a judge that has seen these outputs.
            feeds: one row, for timing.
            options: the serving options on this device; the first of equally fast ones is preferred.
            heldout: facts about the set of the verdict.
            screening_s: time after which a screening starts nothing new.
        """
        self._context = context
        self._backend = backend
        self._info = info
        self._floats = floats
        self._judge = judge
        self._heldout = heldout
        self.feeds = feeds
        self.forms: dict[str, Path] = {}
        self.files = CandidateFiles(context, backend, ranges)
        memory_bytes = context.task.memory_bytes
        self._screening = Screening(context.model_path, feeds, options, memory_bytes, screening_s)
        self.reference = self._served_by(options[0], MeasuredModel(method="float", size_bytes=info.size_bytes))

    def blank(self, spec: CandidateSpec) -> MeasuredModel:
        """The record of a candidate before it is built."""
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
        """Measure the speed of each candidate's structure beside float and the others; a failure yields its error.

        If time is short, the last of ``specs`` are missing from the result. Other processes load the files first,
        because this process must not open a file that crashes the runtime.
        """
        found: dict[CandidateSpec, MeasuredModel | ModelError] = {}
        paths: dict[CandidateSpec, Path] = {}
        for spec in specs:
            try:
                paths[spec] = self.files.found(spec) or self.files.rewrite(spec)
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
        """The screened record, or the error if the file is not sound."""
        try:
            self.files.keep(spec, path, speed.option.runtime)
        except ModelError as error:
            return error
        screened = msgspec.structs.replace(
            timed(self._served_by(speed.option, self.blank(spec)), speed.times),
            ratio_p50=speed.ratio,
            ratio_p50_same_runtime=speed.ratio_same_option,
            size_bytes=path.stat().st_size,
        )
        return preferred(screened, self.reference, self._context.task.recipe.prefer)

    def load(self, spec: CandidateSpec, like: MeasuredModel) -> None:
        """Check in another process that a candidate can be served like ``like``; raise ``ModelError`` if not."""
        path = self.files.rewrite(spec)
        option = _serving(like)
        if (error := self._screening.refusal(path, option)) is not None:
            raise error
        self.files.keep(spec, path, option.runtime)

    def score(self, spec: CandidateSpec, served: MeasuredModel, pace: Pace) -> EvaluatedCandidate:
        """Run the candidate over the search set and judge it by all gates except speed.

        Raises the errors of :meth:`.CandidateFiles.build`. ``served``: a record with the serving option, for example of
        a screening.
        """
        runtime = served.runtime or ""
        path = self.files.build(spec, runtime)
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
        """``item`` with the screening of its structure, which replaces any earlier one."""
        return with_speed(item, screened, self.reference, self._context.task, self._judge.meaning.kind)

    def _goes_on(self, score: Score) -> bool:
        """Whether to continue a pass: the candidate may pass, or may at least be worth the held-out set."""
        gates, kind, labelled = self._context.task.gates, self._judge.meaning.kind, self._heldout.labelled
        seen, windows = score.measured(), self._floats.windows
        if goes_on(gates, kind, seen, windows, labels_follow=labelled):
            return True
        prospect = self._prospect(replace(seen, windows=windows, windows_effective=windows))
        chance = None if prospect is None else prospect.chance()
        return is_worth_asking(chance, 1.0 - (seen.disagreements or 0) / windows)

    def _prospect(self, measured: Measured) -> Prospect | None:
        """The evidence for the verdict from the search windows; None if they carry none."""
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
        """The extra time (ms) of a call with each single one of ``layers`` left float as well; negative if faster.

        One process holds all variants and calls them in turn, so load on the device affects them alike. It also holds
        the candidate twice; a cost no larger than the difference between the two copies is 0. The result is empty if
        the models cannot be built or do not fit into memory together.
        """
        if not layers:
            return {}
        specs = [with_float(item.spec, floats) for floats in ((), (), *((layer,) for layer in layers))]
        try:
            paths = [self.files.rewrite(one) for one in specs]
            option = _serving(item.record)
            models = [self._served(path, option) for path in paths]
            one, twin, *others = screen(models, self.feeds, most_bytes=self.most_bytes)
        except (ModelError, StageError, LimitError):  # the job goes on without this explanation
            return {}
        return {layer: other.cost_ms(one, twin) for layer, other in zip(layers, others, strict=True)}

    @property
    def most_bytes(self) -> int:
        """Memory limit for the models of one process."""
        return self._screening.most_bytes

    def float_served(self) -> Served:
        """The float model in its fastest serving option."""
        return self._served(self._context.model_path, _serving(self.reference))

    def float_file_served(self) -> Served:
        """The float model file in its fastest way, even where its optimised form serves in place of it."""
        option = _serving(self.reference)
        return Served(str(self._context.model_path), option.runtime, option.threads)

    def float_served_like(self, item: EvaluatedCandidate) -> Served | None:
        """The float model with the candidate's serving option; None if that is float's fastest option."""
        option = _serving(item.record)
        return None if option == _serving(self.reference) else self._served(self._context.model_path, option)

    def target_served(self, item: EvaluatedCandidate) -> Served:
        """A candidate's file with its screened serving option. Raises the errors of :meth:`.CandidateFiles.build`."""
        option = _serving(item.record)
        return self._served(self.files.build(item.spec, option.runtime), option)

    def _served_by(self, option: ServingOption, record: MeasuredModel) -> MeasuredModel:
        version = self._backend.runtime_version(option.runtime)
        return msgspec.structs.replace(record, runtime=option.runtime, runtime_version=version, threads=option.threads)

    def _served(self, path: Path, option: ServingOption) -> Served:
        return Served(str(self.forms.get(str(path), path)), option.runtime, option.threads)


def _serving(record: MeasuredModel) -> ServingOption:
    """The serving option of a screened model."""
    if record.runtime is None or record.threads is None:
        raise StageError("stage_crashed", f"{record.method}: not screened, so its serving option is unknown")
    return ServingOption(record.runtime, record.threads)


def timed(record: MeasuredModel, times: Percentiles) -> MeasuredModel:
    """Return ``record`` with these latencies."""
    return msgspec.structs.replace(
        record, latency_p50_ms=times.p50_ms, latency_p95_ms=times.p95_ms, latency_p99_ms=times.p99_ms
    )
