"""Rows about what int8 costs and gains: its time (proved bounds are given), its file, and its memory (measured).

Int8 answers as float does. What is smaller or lighter about it is what float has beside: weights that only fill the
file, or activations that only fill memory.
"""

from collections.abc import Iterator

from verdicts.case import Case, FloatModel, Right, Tamper, accepted, refused
from verdicts.every_kind import WINDOWS, calibration, windows
from verdicts.traits import TRAITS

from edge_agent.wire.manifest import Gates, MinGain

FILLED = FloatModel(last="Softmax", ballast=1 << 16)
"""Int8's file has a tenth of its size."""
HEAVY = FloatModel(last="Softmax", scratch=24 << 20)
"""Takes three times the memory, in a file of the same size."""
SAME = FloatModel(last="Softmax")
USUAL = Gates()
ONLY_TIME = Gates(min_gain=MinGain(size=0.0, memory=0.0))
NOT_MEMORY = Gates(min_gain=MinGain(memory=0.0))
NO_GATE = Gates(min_gain=MinGain(0.0, 0.0, 0.0))
ANY_SIZE = Gates(max_size_ratio=0.0, min_gain=MinGain(memory=0.0))


def worth() -> list[Case]:
    """All of them."""
    return [*_gains(), *_times()]


def _row(  # the columns of the table
    name: str,
    took: tuple[float, float],
    model: FloatModel,
    right: Right,
    *,
    wrong: str = "nothing",
    gates: Gates = USUAL,
    tamper: Tamper | None = None,
) -> Case:
    """``took``: what int8 is proved to take at least and at most, as multiples of float's time."""
    heldout = windows("classes", WINDOWS, 3, marked=30)
    output = TRAITS["classes"].output
    return Case(
        name=f"classes: {name}", kind="classes", wrong=wrong, right=right, heldout=heldout, tamper=tamper, took=took,
        calibration=calibration("classes"), model=model, output=output, gates=gates,
    )  # fmt: skip


def _gains() -> Iterator[Case]:
    """One axis is enough, and none is not."""
    nothing, no_gain = "nothing gained", refused("no_gain")
    yield _row("gains nothing", (0.98, 0.99), SAME, no_gain, wrong=nothing)
    yield _row("gains nothing, memory is no matter", (0.98, 0.99), SAME, no_gain, wrong=nothing, gates=NOT_MEMORY)
    yield _row("gains nothing, and need not", (0.98, 0.99), SAME, accepted(), gates=NO_GATE)
    yield _row("gains only time", (0.93, 0.95), SAME, accepted())
    yield _row("gains only size", (0.98, 0.99), FILLED, accepted())
    yield _row("gains only memory", (0.98, 0.99), HEAVY, accepted())
    yield _row("gains memory, which is no matter", (0.98, 0.99), HEAVY, no_gain, wrong=nothing, gates=NOT_MEMORY)
    yield _row("gains size, which is no matter", (0.98, 0.99), FILLED, no_gain, wrong=nothing, gates=ONLY_TIME)
    yield _row("4.9 % faster, where time counts", (0.93, 0.951), FILLED, no_gain, wrong=nothing, gates=ONLY_TIME)
    wrong = refused("agreement_too_low", "class_lost")
    other = TRAITS["classes"].other
    yield _row("gains nothing and one in ten", (0.98, 0.99), SAME, wrong, wrong="one window in ten", gates=ANY_SIZE,
               tamper=other)  # fmt: skip


def _times() -> Iterator[Case]:
    """What is as fast as float is not slower, and a written limit is exact."""
    late, wrong = refused("latency_too_high"), "slower"
    yield _row("as fast and small", (0.99, 1.01), FILLED, accepted())
    yield _row("1 % slower and small", (1.005, 1.015), FILLED, accepted())
    yield _row("5 % slower and small", (1.04, 1.06), FILLED, late, wrong=wrong)
    yield _row("0 to 4 % slower and small", (1.0, 1.04), FILLED, refused("latency_inconclusive"), wrong=wrong)
    exact = Gates(latency_margin=0.0)
    yield _row("1 % slower, without a margin", (1.005, 1.015), FILLED, late, wrong=wrong, gates=exact)
    yield _row("no slower, without a margin", (0.98, 1.0), FILLED, accepted(), gates=exact)
    for limit, right, word in ((1.1, accepted(), "nothing"), (1.05, refused("latency_inconclusive"), wrong)):
        gates = Gates(max_latency_ratio=limit)
        yield _row(f"5 % slower, {limit} is allowed", (1.04, 1.06), FILLED, right, wrong=word, gates=gates)
    gates = Gates(max_latency_ratio=0.9)
    yield _row("7 % faster, 0.9 is asked for", (0.92, 0.94), FILLED, late, wrong=wrong, gates=gates)
