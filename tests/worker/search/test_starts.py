"""Groups of layers that a graph gives away as the ones that int8 ruins."""

from edge_agent.backends import Flow, Layer, Node
from edge_agent.worker.search.starts import known_starts


def layers(*named: str) -> list[Layer]:
    """``name:operator`` each."""
    return [Layer(name, operator, (), ()) for name, operator in (one.split(":") for one in named)]


PLAIN = [
    Node("first", ["x"], ["a"], 100),
    Node("relu", ["a"], ["b"]),
    Node("middle", ["b"], ["c"], 100),
    Node("last", ["c"], ["y"], 100),
]
GATED = [
    Node("conv", ["x"], ["a"], 100),
    Node("pool", ["a"], ["p"]),
    Node("squeeze", ["p"], ["s"], 10),
    Node("excite", ["s"], ["e"], 10),
    Node("sigmoid", ["e"], ["g"]),
    Node("scale", ["a", "g"], ["m"]),
    Node("swish", ["m"], ["n"]),
    Node("silu", ["m", "n"], ["o"]),
    *(Node(f"conv{n}", ["o" if n == 0 else f"o{n - 1}"], [f"o{n}"], 100) for n in range(6)),
]
RESIDUAL = [
    Node("one", ["x"], ["a"], 100),
    Node("bias", ["a", "constant"], ["b"]),
    Node("two", ["b"], ["c"], 100),
    Node("sum", ["b", "c"], ["d"]),
    Node("norm", ["d", "gamma"], ["e"]),
    Node("three", ["e"], ["y"], 100),
]


def test_the_ends_are_the_first_and_the_last_layer_with_weights() -> None:
    found = known_starts(Flow(PLAIN, ["y"]), layers("first:Conv", "relu:Relu", "middle:Conv", "last:Gemm"),
                         ["first", "middle", "last"])  # fmt: skip

    assert found == {"ends": ("first", "last")}


def test_a_gate_is_a_product_with_what_layers_made_of_the_same_tensor_and_silu_is_none() -> None:
    named = ["conv:Conv", "pool:GlobalAveragePool", "squeeze:Conv", "excite:Conv", "sigmoid:Sigmoid", "scale:Mul",
             "swish:Sigmoid", "silu:Mul", *(f"conv{n}:Conv" for n in range(6))]  # fmt: skip
    found = known_starts(Flow(GATED, ["o5"]), layers(*named), [])

    assert found == {"gates": ("pool", "squeeze", "excite", "sigmoid", "scale")}


def test_sums_are_what_adds_two_activations_and_scales_beside_it() -> None:
    named = layers("one:MatMul", "bias:Add", "two:MatMul", "sum:Add", "norm:Mul", "three:MatMul")

    assert known_starts(Flow(RESIDUAL, ["y"]), named, [])["sums"] == ("bias", "sum", "norm")
    no_stream = [node for node in RESIDUAL if node.name != "sum"]
    assert "sums" not in known_starts(Flow(no_stream, ["y"]), named, [])


def test_a_group_of_most_layers_is_none() -> None:
    assert known_starts(Flow(PLAIN[:2], ["b"]), layers("first:Conv", "relu:Relu"), ["first", "relu"]) == {}
