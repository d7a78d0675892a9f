"""What a push of the demo's model comes to, all gates at their defaults: a real broker, daemon and sensor on a pty.

    python tests/bench/end_to_end.py [--rounds 1]

Goals: agreement and its bound at least 0.95, the latency ratio's bound at most 1, and the search within the larger of
60 s and 40 float passes. The sensor plays a real recording much faster than real time, so capturing takes seconds.
"""

import argparse
import secrets
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.brokers import MOSQUITTO, IotcoreBroker, MosquittoBroker  # noqa: E402  # after the path above
from support.device import Device, push  # noqa: E402

from edge_agent.wire.manifest import Gates, Recipe  # noqa: E402
from host_tools.demo.simulator import SerialImu  # noqa: E402

MEASURED = ("agreement", "agreement_lower", "accuracy", "ratio_p50", "ratio_p50_upper", "size_ratio")


def measure(folder: Path) -> dict[str, float]:
    """One push; the numbers of its verdict, and seconds of each stage."""
    broker = MosquittoBroker(folder) if MOSQUITTO else IotcoreBroker(folder)
    broker.start()
    with Device(folder, broker.url, f"bench/{secrets.token_hex(4)}") as device, SerialImu(device.port):
        push(device, recipe=Recipe(), gates=Gates())
        end = device.end_of(1, 600)
    broker.kill()
    chosen, reference = end.results["chosen"], end.results["reference"]
    if chosen is None:
        raise SystemExit(f"{end.code}: {end.message}")
    print(f"{end.status}: {end.code}")
    chosen["size_ratio"] = chosen["size_bytes"] / reference["size_bytes"]
    found = {name: float(chosen[name]) for name in MEASURED if chosen[name] is not None}
    return found | {f"seconds of {stage}": float(seconds) for stage, seconds in end.results["seconds"].items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            for what, value in measure(Path(name)).items():
                rounds[what].append(value)
    print(f"demo model, {options.rounds} pushes, medians")
    for what, values in rounds.items():
        print(f"{what:24}{statistics.median(values):8.3f}")


if __name__ == "__main__":
    main()
