"""A gate that can be written into a manifest is judged by a rule of its name."""

import ast
from pathlib import Path

import msgspec

from edge_agent import quant
from edge_agent.wire.manifest import Gates

NO_GATES = {"latency_margin"}
"""Parts of another gate."""


def test_every_gate_of_a_manifest_has_a_rule_that_names_it() -> None:
    files = Path(quant.__file__).parent.rglob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    named = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}

    assert {field.name for field in msgspec.structs.fields(Gates)} - NO_GATES - named == set()
