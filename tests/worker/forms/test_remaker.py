"""The comparison of a rebuilt form with its model file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import onnx_models
from support.served import activate, contract

from edge_agent.backends import TensorSpec
from edge_agent.errors import ModelError
from edge_agent.serving.loaded import Loaded
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.manifest import State
from edge_agent.worker.forms import remaker
from edge_agent.worker.forms.remaker import remake

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "feed",
    [lambda _spec: np.zeros((1, 99), np.float32), lambda _: remaker._values(TensorSpec("x", "string", (1,)), RANDOM)],
)
def test_a_model_that_random_values_cannot_be_made_for_or_that_fails_on_them_could_not_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: Any
) -> None:
    store = Store(tmp_path / "state")
    model = onnx_models.save(onnx_models.stateful_net(), tmp_path / "m.onnx")
    made = activate(store, 1, model, [contract(4, ["ax", "ay"])], state=[State("h", "hN")])
    (tmp_path / "out").mkdir()

    def failing(loaded: Loaded) -> Iterator[dict[str, Any]]:
        yield {spec.name: feed(spec) for spec in loaded.session.inputs}

    monkeypatch.setattr(remaker, "made_up", failing)

    with pytest.raises(ModelError, match="its answers could not be compared with the model file's"):
        remake(Releases(store.models, "har").path(made.name), tmp_path / "out")
