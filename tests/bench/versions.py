"""Hosts and devices of two versions together: real processes, a real broker, the demo's model and its sensor.

    python tests/bench/versions.py --old DIR [--replace]

DIR is a checkout of the older version with its own ``.venv``; it is only read. The newer version is the one that this
file lies in. A row of the table is a host with a device:

    old  new          the older host's commands, the newer daemon
    new  old          the other way round
    old  old > new    the device is upgraded after its first job: the newer daemon on the older one's state directory
    old  old | new    with --replace: the daemon is the older one; its files are replaced under it, and it goes on

Each pushes a signed model, asks for its report, pushes it again and rolls back. The sensor is read by a process of its
own. The first thing that goes wrong is shown, and the exit code is 1.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
sys.path[:0] = [str(ROOT), str(TESTS)]

from support.brokers import MosquittoBroker  # noqa: E402  # after the path above
from support.demo import MANIFEST, MODEL  # noqa: E402
from support.device import SMALL_AND_EASY  # noqa: E402

from host_tools.demo.simulator import SerialImu  # noqa: E402

PACKAGES = ("edge_agent", "host_tools")
DEVICE = "pi-01"
ONLINE_S, COMMAND_S, STOP_S = 60, 300, 30
CONFIG = """\
device_id = "pi-01"
state_dir = "{folder}/state"
[mqtt]
url = "{url}"
namespace = "{namespace}"
[trust]
keys_dir = "{folder}"
[sources.imu]
kind = "serial"
port = "{folder}/imu"
channels = ["ax", "ay", "az", "gx", "gy", "gz"]
rate_hz = 50
share = true
"""


class WrongError(Exception):
    """Something is not as it should be."""


@dataclass(frozen=True)
class Version:
    """A checkout with what is installed for it; ``packages``: where its modules are, if not where it was installed."""

    name: str
    bin: Path
    packages: Path | None = None

    def command(self, name: str, *arguments: str) -> list[str]:
        """A console script of it."""
        return [str(self.bin / name), *arguments]

    def environment(self, folder: Path) -> dict[str, str]:
        """Of its processes: nobody's settings."""
        base = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        where = {"PYTHONPATH": str(self.packages)} if self.packages else {}
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
        return base | home | where | {"ORT_DISABLE_TELEMETRY": "1"}


@dataclass
class Case:
    """One host with one device, at a broker and a folder of their own."""

    folder: Path
    url: str
    namespace: str
    host: Version
    log: Path

    @property
    def key(self) -> str:
        """The operator's, whose public half lies beside it for the device."""
        return str(self.folder / "operator.key")

    def make_key(self) -> None:
        """As an operator does."""
        self.tell("host-tools", "keygen", self.key.removesuffix(".key"), at_broker=False)

    def tell(self, name: str, *arguments: str, at_broker: bool = True) -> str:
        """Run a host's command; what it printed."""
        where = ["--broker", self.url, "--namespace", self.namespace] if at_broker else []
        ended = subprocess.run(
            self.host.command(name, *arguments, *where),
            capture_output=True, text=True, timeout=COMMAND_S, env=self.host.environment(self.folder), check=False,
        )  # fmt: skip
        if ended.returncode:
            said = (ended.stdout.strip().splitlines() or [""])[-1] + " " + ended.stderr.strip()[-300:]
            raise WrongError(f"{name} {arguments[0]}: exit {ended.returncode}: {said}")
        return ended.stdout

    def wait_online(self) -> None:
        """Until the host sees the device."""
        deadline = time.monotonic() + ONLINE_S
        while True:
            with contextlib.suppress(WrongError):
                known = json.loads(self.tell("host-tools", "devices", "--json"))
                if any(one["device"] == DEVICE and one["online"] for one in known):
                    return
            if time.monotonic() > deadline:
                raise WrongError(f"the device does not come online; its log ends: {self.log.read_text()[-500:]}")
            time.sleep(0.5)

    def push(self) -> None:
        """Send the model; it must be accepted."""
        manifest = self.folder / "M.toml"
        manifest.write_text(MANIFEST.read_text(encoding="utf-8") + SMALL_AND_EASY, encoding="utf-8")
        sent = [str(MODEL), "--manifest", str(manifest), "--sign", self.key]
        said = self.tell("push-model", *sent, "--device", DEVICE, "--json")
        summary = json.loads(said.splitlines()[-1])
        if summary["devices"][DEVICE]["code"] != "accepted":
            raise WrongError(f"push-model: {summary}")

    def report(self) -> None:
        """Ask for the newest report."""
        [found] = json.loads(self.tell("host-tools", "report", "har", "--json"))
        if (found["status"], found["results"]["verdict"]) != ("succeeded", "accepted"):
            raise WrongError(f"host-tools report: {found['status']}, {found['results']['verdict']}")

    def roll_back(self) -> None:
        """Go back to the first version."""
        self.tell("host-tools", "rollback", "har", "--sign", self.key, "--device", DEVICE, "--json")
        active = (self.folder / "state" / "models" / "har" / "active").readlink().name
        if not active.startswith("1-"):
            raise WrongError(f"host-tools rollback: {active} is active")

    @contextlib.contextmanager
    def daemon(self, version: Version) -> Iterator[int]:
        """The device, by its process id, until it is told to stop; it must end well."""
        argv = version.command("edge-agent", "run", "--config", str(self.folder / "config.toml"))
        with self.log.open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=version.environment(self.folder))
        try:
            self.wait_online()
            yield process.pid
            if process.poll() is not None:
                raise WrongError(f"the daemon has ended with {process.returncode}")
        finally:
            process.terminate()
            code = process.wait(STOP_S)
        if code:
            raise WrongError(f"the daemon ended with {code}")


Story = Callable[[Case], None]


def together(device: Version) -> Story:
    """Two jobs and a rollback."""

    def run(case: Case) -> None:
        with case.daemon(device):
            case.push()
            case.report()
            case.push()
            case.roll_back()

    return run


def upgraded(before: Version, after: Version) -> Story:
    """The second job and the rollback are the newer version's, on what the older one left."""

    def run(case: Case) -> None:
        with case.daemon(before):
            case.push()
        with case.daemon(after):
            case.report()
            case.push()
            case.roll_back()

    return run


def replaced(old: Path, new: Version, copy: Path) -> Story:
    """The modules of a running daemon become those of the newer version, and what is installed beside them.

    The daemon runs in the newer version's environment from the start, as an upgrade changes the one that there is.
    """
    for package in PACKAGES:
        shutil.copytree(old / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))

    def run(case: Case) -> None:
        with case.daemon(Version("old | new", new.bin, copy)) as daemon:
            for package in PACKAGES:
                shutil.rmtree(copy / package)
                shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
            kill_sensing(daemon)
            case.push()
            case.report()
            case.push()
            case.roll_back()

    return run


def kill_sensing(daemon: int) -> None:
    """End the process that reads the sensor; the daemon starts another one."""
    children = Path(f"/proc/{daemon}/task").glob("*/children")
    pids = [pid for path in children for pid in path.read_text(encoding="ascii").split()]
    sensing = [int(pid) for pid in pids if b"edge_agent.sensing" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if len(sensing) != 1:
        raise WrongError(f"{len(sensing)} processes read the sensor")
    os.kill(sensing[0], signal.SIGKILL)


def outcome(host: Version, story: Story) -> str:
    """What is wrong; empty: nothing."""
    with tempfile.TemporaryDirectory(prefix="versions-") as name:
        folder = Path(name)
        broker = MosquittoBroker(folder)
        broker.start()
        case = Case(folder, broker.url, f"bench/{secrets.token_hex(4)}", host, folder / "agent.log")
        text = CONFIG.format(folder=folder, url=case.url, namespace=case.namespace)
        (folder / "config.toml").write_text(text, encoding="utf-8")
        try:
            case.make_key()
            with SerialImu(folder / "imu"):
                story(case)
        except (WrongError, subprocess.TimeoutExpired) as error:
            return f"{error}\n{case.log.read_text()[-1500:]}"
        finally:
            broker.kill()
    return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the older version, with its .venv")
    parser.add_argument("--replace", action="store_true", help="also replace the files of a daemon that runs")
    options = parser.parse_args()
    root: Path = options.old.resolve()
    old, new = Version("old", root / ".venv" / "bin"), Version("new", Path(sys.executable).parent)
    with tempfile.TemporaryDirectory(prefix="replaced-") as copy:
        rows: list[tuple[Version, str, Story]] = [
            (old, "new", together(new)), (new, "old", together(old)), (old, "old > new", upgraded(old, new)),
        ]  # fmt: skip
        if options.replace:
            rows.append((old, "old | new", replaced(root, new, Path(copy))))
        print(f"{'host':6}{'device':12}{'seconds':>8}  outcome", flush=True)
        wrong: dict[str, Any] = {}
        for host, device, story in rows:
            begun = time.monotonic()
            found = outcome(host, story)
            seconds = time.monotonic() - begun
            print(f"{host.name:6}{device:12}{seconds:8.0f}  {'wrong' if found else 'ok'}", flush=True)
            if found:
                wrong[f"{host.name}, {device}"] = found
    for row, found in wrong.items():
        print(f"\n{row}: {found}")
    sys.exit(int(bool(wrong)))


if __name__ == "__main__":
    main()
