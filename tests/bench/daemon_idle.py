"""Memory and CPU of the daemon when it has nothing to do: the real process, a real broker, signatures checked.

    python tests/bench/daemon_idle.py [--jobs 100] [--seconds 60] [--rounds 1]

Goals: at most 28 MiB resident at idle, 30 MiB after 100 jobs, 1 MiB more than before them; 0.2 % of a core. Memory is
read once the daemon is online and has taken its inventory, and again when ``jobs`` jobs have ended; each of them is a
signed manifest, a transfer and a worker that finds that the bytes are no model. ``private`` is what no other process
shares. CPU is what the scheduler has charged the process over ``seconds`` idle ones after the jobs. In a virtual
machine that was 0.17 % to 4.3 % of a core for the same two wake-ups and six system calls a second, most where the
machine did nothing else, for a reason that is not found: believe a board. Modules are compiled beforehand, as an
installation leaves them: compiling at start costs up to 7 MiB that are never given back.
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.brokers import MOSQUITTO, IotcoreBroker, MosquittoBroker  # noqa: E402  # after the path above
from support.device import Device, demo_contract  # noqa: E402

from edge_agent.wire.envelope import MANIFEST_TYPE  # noqa: E402
from edge_agent.wire.manifest import Manifest, encode_manifest  # noqa: E402
from edge_agent.wire.messages import DeviceInfo  # noqa: E402
from edge_agent.wire.topics import Scope  # noqa: E402
from host_tools.broker.session import Session  # noqa: E402
from host_tools.broker.settings import Settings  # noqa: E402
from host_tools.broker.signing import enclose, generate_key  # noqa: E402
from host_tools.push.manifest_file import read_blob  # noqa: E402
from host_tools.push.upload import Uploader  # noqa: E402

SETTLE_S = 3.0


def resident_mib(pid: int) -> float:
    return kilobytes(pid, "status", "VmRSS:") / 1024


def private_mib(pid: int) -> float:
    return sum(kilobytes(pid, "smaps_rollup", key) for key in ("Private_Clean:", "Private_Dirty:")) / 1024


def kilobytes(pid: int, file: str, key: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def cpu_s(pid: int) -> float:
    """Of all its threads, by the scheduler's own account: ticks are too coarse for a process that hardly runs."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def send_garbage(device: Device, session: Session, model: Path, key: Path, version: int) -> None:
    """Upload bytes that are no model, and ask the device to quantize them."""
    model.write_bytes(os.urandom(5000))
    blob = read_blob(model)
    scope = Scope("d", device.name)
    manifest = Manifest(
        namespace=device.namespace,
        name="garbage",
        version=version,
        format="onnx",
        blob=blob,
        inputs=demo_contract(),
        targets=[str(scope)],
    )
    Uploader(session, [(model, blob)]).upload()
    order = enclose(encode_manifest(manifest), MANIFEST_TYPE, str(key))
    session.publish(device.topics.want(scope, manifest.name), order)


def measure(folder: Path, jobs: int, seconds: float) -> dict[str, float]:
    """One life of a daemon."""
    broker = MosquittoBroker(folder) if MOSQUITTO else IotcoreBroker(folder)
    broker.start()
    keys = folder / "keys"
    keys.mkdir()
    generate_key(folder / "operator.key", keys / "operator.pem")
    trust = {"allow_unsigned": False, "keys_dir": str(keys)}
    found: dict[str, float] = {}
    telemetry = {"home_assistant": True}  # the rest of it is on by default
    with Device(folder, broker.url, f"bench/{secrets.token_hex(4)}", trust=trust, telemetry=telemetry) as device:
        device.expect(DeviceInfo, lambda info: bool(info.runtimes), 60)
        time.sleep(SETTLE_S)
        found["RSS at idle, MiB"] = before = resident_mib(device.pid)
        found["private at idle, MiB"] = private_mib(device.pid)
        with Session(Settings(url=device.url, namespace=device.namespace)) as session:
            for version in range(1, jobs + 1):
                send_garbage(device, session, folder / "garbage.onnx", folder / "operator.key", version)
                end = device.end_of(version)
                if end.code != "model_unreadable":
                    raise SystemExit(f"job {version} ended with {end.code}: {end.message}")
        time.sleep(SETTLE_S)
        found[f"RSS after {jobs} jobs, MiB"] = after = resident_mib(device.pid)
        found[f"private after {jobs} jobs, MiB"] = private_mib(device.pid)
        found["growth of RSS, MiB"] = after - before
        used, began = cpu_s(device.pid), time.monotonic()
        time.sleep(seconds)
        found["CPU at idle, % of a core"] = 100 * (cpu_s(device.pid) - used) / (time.monotonic() - began)
    broker.kill()
    return found


def compile_modules() -> None:
    """Leave bytecode of all that the daemon imports."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-c", "import edge_agent.cli.run"], cwd=TESTS.parent, check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    compile_modules()
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            for what, value in measure(Path(name), options.jobs, options.seconds).items():
                rounds[what].append(value)
    print(f"daemon, {options.rounds} rounds, medians")
    for what, values in rounds.items():
        print(f"{what:34}{statistics.median(values):8.2f}")


if __name__ == "__main__":
    main()
