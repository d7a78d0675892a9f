from edge_agent.backends import Node
from edge_agent.wire.manifest import Recipe
from edge_agent.worker.search.unplanned import why_unplanned

NODES = [
    Node("cell", ["x"], ["h"], 100, operator="GRU"),
    Node("turn", ["h"], ["t"], operator="Transpose"),
    Node("head", ["t"], ["y"], 10, operator="Gemm"),
]


def test_the_layers_with_weights_are_named_with_their_operators() -> None:
    message = why_unplanned(Recipe(method="static"), NODES, ())

    assert "static int8" in message
    assert "GRU 'cell', Gemm 'head'" in message
    assert "turn" not in message


def test_a_layer_that_data_binds_to_float_is_told_of() -> None:
    assert "'head' stays float" in why_unplanned(Recipe(method="dynamic"), NODES, ["head"])


def test_a_recipe_that_asks_for_ranges_is_told_to_leave_them_out() -> None:
    assert "without calibration and io" in why_unplanned(Recipe(calibration="mse"), NODES, ())


def test_of_many_layers_some_are_named() -> None:
    message = why_unplanned(Recipe(method="static"), [Node(str(n), [], [], 1, operator="GRU") for n in range(9)], ())

    assert "GRU '2' and 6 more" in message
    assert "'3'" not in message
