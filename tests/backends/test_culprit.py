from typing import Any

from edge_agent.backends.culprit import place_of


class Quantizer:
    """Somebody else's, who calls things as he likes."""

    def __init__(self, current: str) -> None:
        self.current = current

    def run(self, parts: list[str]) -> None:
        for part in parts:
            self._quantize(part.upper())

    def _quantize(self, thing: str) -> None:
        raise IndexError(len(thing))


def told(nodes: set[str], tensors: set[str]) -> str:
    def within(names: set[str]) -> Any:
        return lambda value: value if isinstance(value, str) and value in names else ""

    try:
        Quantizer("conv").run(["w"])
    except IndexError as error:
        return place_of(error, within(nodes), within(tensors))
    return ""


def test_the_innermost_node_and_tensor_are_told() -> None:
    assert told({"conv"}, {"w", "W"}) == " at node 'conv' at tensor 'W'"
    assert told({"conv"}, {"w"}) == " at node 'conv' at tensor 'w'"


def test_what_is_not_known_is_not_told() -> None:
    assert told(set(), {"w"}) == " at tensor 'w'"
    assert told({"other"}, {"conv"}) == " at tensor 'conv'"
    assert told({"w"}, {"w"}) == " at node 'w'"
    assert told(set(), set()) == ""
