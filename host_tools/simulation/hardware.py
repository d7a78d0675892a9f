"""The boards of simulated devices, and the models on them, with typical numbers. Pure."""

from dataclasses import dataclass, replace
from random import Random

from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel

SIMULATED = "simulated"
"""Part of every simulated board's name, so that it is never taken for a real device, and so that only such are
cleared."""
_GIB = 1 << 30
_MIB = 1 << 20
RUNTIME, RUNTIME_VERSION = "onnxruntime", "1.23.2"


@dataclass(frozen=True, slots=True)
class Board:
    """A kind of device.

    Attributes:
        slowness: duration of an inference relative to a Raspberry Pi 4.
        idle_c: temperature of its processor without load.
        share: its share of a fleet.
    """

    name: str
    cpu: str
    cores: int
    memory_bytes: int
    slowness: float
    idle_c: float
    share: float


BOARDS = (
    Board("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72", 4, 4 * _GIB, 1.0, 52.0, 0.4),
    Board("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", 4, 8 * _GIB, 0.42, 49.0, 0.25),
    Board("Raspberry Pi 3 Model B Plus Rev 1.3", "Cortex-A53", 4, 1 * _GIB, 2.3, 55.0, 0.15),
    Board("Raspberry Pi Zero 2 W Rev 1.0", "Cortex-A53", 4, _GIB // 2, 3.1, 58.0, 0.1),
    Board("NVIDIA Jetson Orin Nano Developer Kit", "Cortex-A78AE", 6, 8 * _GIB, 0.35, 46.0, 0.1),
)


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """A model that devices run: its size, its latency on a Raspberry Pi 4, and its accuracy."""

    name: str
    float_bytes: int
    float_ms: float
    accuracy: float
    a_second: float
    """Inferences per second of an application."""


MODELS = (
    SimulatedModel("har", 436_000, 2.4, 0.93, 2.0),
    SimulatedModel("keyword", 1_240_000, 8.1, 0.95, 5.0),
    SimulatedModel("vibration", 88_000, 0.7, 0.9, 10.0),
    SimulatedModel("detector", 12_600_000, 118.0, 0.71, 1.0),
)


def draw_board(chance: Random) -> Board:
    """A random board, weighted by its share of a fleet."""
    return chance.choices(BOARDS, [board.share for board in BOARDS])[0]


def known_model(name: str) -> SimulatedModel:
    """The model of that name; an unknown one, which was pushed, has the numbers of the first model."""
    return next((model for model in MODELS if model.name == name), replace(MODELS[0], name=name))


@dataclass(frozen=True, slots=True)
class Measured:
    """A job's measurements on a device: the float model, and the int8 one."""

    reference: MeasuredModel
    chosen: MeasuredModel
    layers: list[LayerLoss]


def measure(model: SimulatedModel, board: Board, chance: Random) -> Measured:
    """Random but plausible measurements of such a model on such a board."""
    float_ms = model.float_ms * board.slowness * chance.uniform(0.95, 1.08)
    ratio, size_ratio = chance.uniform(0.38, 0.72), chance.uniform(0.27, 0.34)
    windows, wrong = 300, chance.randrange(7)
    agreement = 1 - wrong / windows
    reference = _measured("float", model.float_bytes, float_ms, model.accuracy, chance)
    int8 = _measured(
        "static", int(model.float_bytes * size_ratio), float_ms * ratio, model.accuracy - wrong / windows / 3, chance
    )
    gates = [
        GateResult("min_agreement", 0.95, round(agreement - 0.015, 4), passed=True),
        GateResult("max_latency_ratio", 1.02, round(ratio + 0.02, 4), passed=True, margin=0.02),
        GateResult("max_size_ratio", 1.0, round(size_ratio, 4), passed=True),
        GateResult("min_gain", 0.05, round(1 - ratio, 4), passed=True, axis="time"),
    ]
    chosen = MeasuredModel(
        **{name: getattr(int8, name) for name in int8.__struct_fields__}
        | {
            "calibration": chance.choice(("minmax", "percentile", "mse")),
            "ratio_p50": round(ratio, 4),
            "ratio_p50_upper": round(ratio + 0.02, 4),
            "ratio_confidence": 0.95,
            "windows": windows,
            "windows_effective": 290.0,
            "disagreements": wrong,
            "agreement": round(agreement, 4),
            "agreement_lower": round(agreement - 0.015, 4),
            "confidence": 0.95,
            "sqnr_db": round(chance.uniform(22, 41), 2),
            "cosine": 0.999,
            "gates": gates,
        }
    )
    layers = [
        LayerLoss(name=f"conv_{number}", op="Conv", sqnr_db=round(chance.uniform(18, 40), 2), cause="range", remedy="")
        for number in range(6)
    ]
    return Measured(reference, chosen, layers)


def _measured(method: str, size_bytes: int, p50_ms: float, accuracy: float, chance: Random) -> MeasuredModel:
    rss = size_bytes * 2 + _MIB
    return MeasuredModel(
        method=method,
        runtime=RUNTIME,
        runtime_version=RUNTIME_VERSION,
        threads=1,
        size_bytes=size_bytes,
        latency_p50_ms=round(p50_ms, 3),
        latency_p95_ms=round(p50_ms * chance.uniform(1.05, 1.2), 3),
        latency_p99_ms=round(p50_ms * chance.uniform(1.2, 1.6), 3),
        peak_rss_bytes=rss + 48 * _MIB,
        model_rss_bytes=rss,
        loaded_rss_bytes=int(0.8 * rss),
        steady_rss_bytes=int(0.9 * rss),
        load_ms=round(20 + size_bytes / 50_000, 1),
        first_ms=round(2 * p50_ms, 3),
        accuracy=round(accuracy, 4),
    )
