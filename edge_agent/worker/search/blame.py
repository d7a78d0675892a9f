"""Finds the models that break a joint measurement: each model makes one call, alone in a fresh process.

A broken candidate does not end the search: it fails with its own error, and the others continue.
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
"""Errors that a measurement of models may raise."""


def blamed(evaluator: CandidateEvaluator, items: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """``items``; those that cannot be served alone have failed with their error."""
    return [item if (error := _refusal(evaluator, item)) is None else failed(item, error) for item in items]


def float_fails(evaluator: CandidateEvaluator) -> bool:
    """Whether float itself cannot be served, which clears the candidates."""
    return _alone(evaluator, evaluator.float_served()) is not None


def failed(item: EvaluatedCandidate, error: EdgeAgentError) -> EvaluatedCandidate:
    """``item`` as a failed candidate, with the error of its measurement."""
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
