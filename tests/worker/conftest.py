"""What the tests of several stages share: a small classifier, and measurements that are no subject of theirs."""

from pathlib import Path

import pytest
from support.speeds import latency, prove, screened_at
from support.trained import write_classifier

from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.search import screening


@pytest.fixture
def speed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every candidate takes half of float's time, and the full statistic says yes."""
    monkeypatch.setattr(screening, "screen", screened_at(0.5))
    prove(monkeypatch, lambda *_, **__: latency(Decision.ACCEPTED))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier that answers probabilities."""
    return write_classifier(tmp_path_factory.mktemp("model") / "classifier.onnx")
