"""Who is to blame where models cannot be measured together: each is asked to serve one call, alone in a fresh process.

What one candidate breaks is no reason to end the search: that candidate fails, by its name, and the others go on.
"""

from collections.abc import Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_in

from edge_agent.errors import EdgeAgentError, LimitError, ModelError, StageError
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.question import Request, Served
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.policy import EvaluatedCandidate

MEASURING = (ModelError, LimitError, StageError)
"""What measuring models may raise."""


def blamed(evaluator: CandidateEvaluator, items: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """``items``, those that cannot be served alone with why."""
    return [item if (error := _refusal(evaluator, item)) is None else failed(item, error) for item in items]


def float_fails(evaluator: CandidateEvaluator) -> bool:
    """Whether float itself cannot be served, so that no candidate is to blame."""
    return _alone(evaluator, evaluator.float_served()) is not None


def failed(item: EvaluatedCandidate, error: EdgeAgentError) -> EvaluatedCandidate:
    """A candidate that could not be measured."""
    return replace(item, passed=False, record=replace_in(item.record, code=error.code, message=error.message))


def _refusal(evaluator: CandidateEvaluator, item: EvaluatedCandidate) -> EdgeAgentError | None:
    try:
        return _alone(evaluator, evaluator.target_served(item))
    except ModelError as error:
        return error


def _alone(evaluator: CandidateEvaluator, model: Served) -> EdgeAgentError | None:
    try:
        ask(Request(feeds=str(evaluator.feeds), models=[model], rounds=1, min_rounds=1, seconds=0.0))
    except MEASURING as error:
        return error
    return None
