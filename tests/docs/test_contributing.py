"""What ``CONTRIBUTING.md`` says would fail, where no other test sees that a step of a walk was left out."""

from typing import get_args

import numpy as np
import pytest
import test_schemas
from verdicts.signals import SIGNALS
from verdicts.traits import TRAITS

from edge_agent.calibration import METHODS, find_range
from edge_agent.calibration.histogram import Histogram
from edge_agent.cli import _STAY_ROOT, COMMANDS, add_command, new_parser
from edge_agent.wire.channels import CHANNELS
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.manifest import OutputKind, RangeMethod


def test_every_range_method_can_be_asked_for_and_gives_what_can_be_stored() -> None:
    assert {"auto", *METHODS} == set(get_args(RangeMethod))
    seen = Histogram()
    seen.add(np.linspace(-1, 2, 1000, dtype=np.float32))
    for method in METHODS:
        for symmetric in (False, True):
            found = find_range(method, seen, symmetric=symmetric)
            assert (type(found.low), type(found.high)) == (float, float), f"{method}: numpy's are no JSON"


def test_every_kind_of_output_is_in_the_conformance_set() -> None:
    assert SIGNALS.keys() == TRAITS.keys() == set(get_args(OutputKind))


def test_every_message_has_a_schema() -> None:
    messages = {kind for channel in CHANNELS.values() for kind in (channel.message, *channel.signed)}

    assert messages - {None, Envelope} <= set(test_schemas.KINDS.values())


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - _STAY_ROOT))
def test_a_command_that_root_runs_as_the_owner_knows_whose_state_it_is(command: str) -> None:
    parser, _ = add_command(new_parser()[1], command)

    assert "--config" in {option for action in parser._actions for option in action.option_strings}
