"""What a fleet costs a broker and a host: simulated devices, each with its connection, on a real mosquitto.

    python tests/bench/fleet_snapshot.py [--devices 2000 5000] [--seconds 30] [--busy] [--embedded]

A row for each size: seconds until all devices are online, the samples a second that a subscriber heard then, seconds
until ``host-tools devices`` is complete and how many devices it has shown with their info, the memory of broker,
simulator and command, and their processor time. With ``--busy`` every device says its health and what serves once a
second; ``--embedded`` measures the demo's broker, by MQTT 3.1.1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.brokers import IotcoreBroker, MosquittoBroker  # noqa: E402  # after the path above

from edge_agent.wire.telemetry import HEALTH  # noqa: E402
from edge_agent.wire.topics import MODEL_STREAMS  # noqa: E402
from host_tools.broker.session import Session  # noqa: E402
from host_tools.broker.settings import Settings  # noqa: E402

TOOLS = [sys.executable, "-c", "from host_tools.cli.app import main; main()"]
TICKS = os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int, key: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def heard_a_second(url: str, seconds: float) -> float:
    """The samples that one subscriber hears a second."""
    with Session(Settings(url=url)) as session:
        topics = session.topics
        session.subscribe(topics.device("+", "tele", HEALTH), topics.device("+", "tele", MODEL_STREAMS + "+"))
        began = time.monotonic()
        count = 0
        while time.monotonic() - began < seconds:
            count += session.next(0.5) is not None
        return count / (time.monotonic() - began)


def complete(url: str) -> tuple[float, int, float, float]:
    """``host-tools devices``: seconds, devices with their info, memory in MB, processor seconds."""
    began = time.monotonic()
    process = subprocess.Popen([*TOOLS, "devices", "--json", "--broker", url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    rows = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    took = time.monotonic() - began
    known = sum(bool(row.get("board")) for row in rows)
    return took, known, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def measure(folder: Path, devices: int, seconds: float, *, busy: bool, embedded: bool) -> str:
    broker = IotcoreBroker(folder) if embedded else MosquittoBroker(folder)
    broker.start()
    pid = broker._process.pid if isinstance(broker, IotcoreBroker) and broker._process else getattr(broker, "pid", 0)
    empty = resident_mb(pid)
    pace = ["--health", "1", "--samples", "1"] if busy else []
    argv = [*TOOLS, "simulate", str(devices), "--broker", broker.url, "--json", "--ramp", "2000", *pace]
    simulator = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert simulator.stdout is not None
        event: dict[str, float] = {}
        while event.get("event") != "online":
            event = json.loads(simulator.stdout.readline())
        began, before, broker_before = time.monotonic(), cpu_s(simulator.pid), cpu_s(pid)
        rate = heard_a_second(broker.url, seconds)
        lasted = time.monotonic() - began
        shares = [(cpu_s(simulator.pid) - before) / lasted, (cpu_s(pid) - broker_before) / lasted]
        runs = sorted(complete(broker.url) for _ in range(3))
        took, known, memory, cpu = runs[1]
        return (
            f"| {devices} | {event['seconds']:.1f} | {rate:.0f} | {took:.1f} ({cpu:.1f} s of a core) | {known} | "
            f"{empty:.0f} → {resident_mb(pid):.0f} | {resident_mb(simulator.pid):.0f} | {memory:.0f} | "
            f"{shares[0]:.0%}, {shares[1]:.0%} |"
        )
    finally:
        simulator.terminate()
        simulator.communicate()
        broker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[2000, 5000])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--embedded", action="store_true")
    options = parser.parse_args()
    print("| devices | online after, s | messages/s heard | `devices` complete, s | with info | broker RSS, MB "
          "| simulator RSS, MB | `devices` RSS, MB | cores: simulator, broker |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for devices in options.devices:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(Path(folder), devices, options.seconds, busy=options.busy, embedded=options.embedded)
            print(row, flush=True)


if __name__ == "__main__":
    main()
