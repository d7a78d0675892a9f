"""A search that has ended, made up: candidates as they were screened, and measurements that say what a test sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_agent.backends import CandidateSpec
from edge_agent.errors import EdgeAgentError
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.quant.gain import meets
from edge_agent.quant.prospect import Prospect
from edge_agent.wire.manifest import Gates, MinGain, Preference, Recipe
from edge_agent.worker.measure.latency import Decision, Latency, Percentiles
from edge_agent.worker.measure.memory import Memory
from edge_agent.worker.measure.question import Answer, Request, Served
from edge_agent.worker.measure.race import Raced
from edge_agent.worker.search import blame, contest, speed_proof
from edge_agent.worker.search.freezing import Finalist
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import costs, preferred
from edge_agent.worker.search.speed_proof import SpeedProof
from support.captures import context
from support.speeds import RACE_ERROR, latency, taking

MIB = 1 << 20
LIMIT = 1.02
FLOAT = MeasuredModel(method="float", size_bytes=1000, latency_p50_ms=1.0, runtime="onnxruntime", threads=1)


@dataclass
class Finals:
    """Candidates by name, as they were screened, and what measuring them would say.

    Attributes:
        raced: name → ratio in a race; as screened where it is not said.
        memory: name → bytes; float's are 40 MiB.
        proofs: name → how its proof ends; accepted where it is not said.
        proved_at: name → the ratio of its proof, whose bound is a tenth more; 0.9 where it is not said.
        left_s: of the budget.
        broken: name → why it cannot be measured, alone or beside others.
        asked: what was measured, in order.
        goals: name → the ratio that its proof was to reach beside the limit.
    """

    prefer: Preference = "balanced"
    min_gain: MinGain = field(default_factory=MinGain)
    max_memory_ratio: float | None = None
    raced: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    proofs: dict[str, Decision] = field(default_factory=dict)
    proved_at: dict[str, float] = field(default_factory=dict)
    left_s: float = 100.0
    broken: dict[str, EdgeAgentError] = field(default_factory=dict)
    reference: MeasuredModel = FLOAT
    tried: list[EvaluatedCandidate] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    goals: dict[str, float] = field(default_factory=dict)
    feeds = Path("feeds.npz")
    most_bytes = 0

    def add(
        self, name: str, time: float, size: int = 300, *, ranges: str = "", chance: float = 1.0, wrong: int = -1
    ) -> None:
        """A candidate that passed; those of one name are of one structure."""
        spec = CandidateSpec("static", ranges, (name,))
        record = MeasuredModel(
            method="static", operators=name, calibration=ranges or None, ratio_p50=time, size_bytes=size,
            agreement=0.99, gates=[GateResult("max_latency_ratio", LIMIT, time, time <= LIMIT)],
        )  # fmt: skip
        record = preferred(record, self.reference, self.prefer)
        gained = meets(costs(record, self.reference).gain, self.min_gain)
        prospect = Prospect(wrong, 150, 1.0, 300, 0.95) if wrong >= 0 else None
        self.tried.append(EvaluatedCandidate(spec, record, passed=True, chance=chance, gains=gained, prospect=prospect))

    def float_served(self) -> Served:
        return Served("float", "onnxruntime")

    def float_served_like(self, _item: EvaluatedCandidate) -> None:
        return None

    def target_served(self, item: EvaluatedCandidate) -> Served:
        return Served(item.record.operators or "", "onnxruntime")

    def of_float(self, reference: MeasuredModel) -> MeasuredModel:
        return reference

    def of(self, item: EvaluatedCandidate) -> EvaluatedCandidate:
        return item

    def ask(self, request: Request) -> Answer:
        self._check(request.models)
        return Answer()

    def _check(self, models: Sequence[Served]) -> None:
        for one in models:
            if one.path in self.broken:
                raise self.broken[one.path]

    def race(self, reference: Served, targets: Sequence[Served], *_: Any, **__: Any) -> list[Raced]:
        self._check([reference, *targets])
        self.asked.append(("race", *(one.path for one in targets)))
        screened = {item.record.operators: item.record.ratio_p50 for item in self.tried}
        ratios = [self.raced.get(one.path, screened[one.path] or 0.0) for one in targets]
        return [Raced(Percentiles(ratio, ratio, ratio), ratio, RACE_ERROR) for ratio in ratios]

    def measure_memory(self, models: Sequence[Served], *_: Any, **__: Any) -> list[Memory]:
        self._check(models)
        self.asked.append(("memory", *(one.path for one in models)))
        taken = [self.memory.get(one.path, 40 * MIB) for one in models]
        return [taking(one) for one in taken]

    def compare(self, reference: Served, target: Served, *_: Any, confidence: float, goal: float, **__: Any) -> Latency:
        self._check([reference, target])
        self.asked.append(("proof", target.path, confidence))
        self.goals[target.path] = goal
        return latency(self.proofs.get(target.path, Decision.ACCEPTED), self.proved_at.get(target.path, 0.9))

    def proof(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SpeedProof:
        monkeypatch.setattr(contest, "race", self.race)
        monkeypatch.setattr(blame, "ask", self.ask)
        monkeypatch.setattr(contest, "measure_memory", self.measure_memory)
        monkeypatch.setattr(speed_proof, "compare", self.compare)
        task = Task(
            job="j", name="m", version=1, model="model.onnx", format="onnx",
            recipe=Recipe(prefer=self.prefer),
            gates=Gates(min_gain=self.min_gain, max_memory_ratio=self.max_memory_ratio),
        )  # fmt: skip
        evaluator: Any = self
        span = 0.6, 0.95
        return SpeedProof(
            context(folder, task), evaluator, self.tried, forms=self, left_s=lambda: self.left_s, span=span
        )

    def run(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finalist]:
        return self.proof(folder, monkeypatch).finalists()

    @property
    def proved(self) -> list[str]:
        """Which structures were asked for a proof."""
        return [one[1] for one in self.asked if one[0] == "proof"]
