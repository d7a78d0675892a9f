"""How many events get lost, or come twice, while the broker is restarted and the agent is killed.

    python tests/bench/events_lost.py [--restarts 100] [--kills 20] [--broker-kills 0]

A real agent, a real mosquitto with persistence, and a subscriber with a session that the broker keeps (QoS 1). The
broker is ended by SIGTERM ``restarts`` times, by SIGKILL ``broker-kills`` times, and the agent by SIGKILL ``kills``
times, each at a random moment. Meanwhile signed orders come that have expired: each is an event (``refused``), and a
line of the agent's log, by which they are counted; a start after a kill is one, too. Whoever subscribes passes over
an event whose ``event_seq`` is not above the one before, as the protocol says; what it so passes over is counted.

Agent and subscriber try to connect again at once, where a minute may pass in the field: else it would take hours.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.agents import wanted  # noqa: E402  # after the path above
from support.brokers import MosquittoBroker  # noqa: E402
from support.device import Device  # noqa: E402
from support.ear import Ear  # noqa: E402

from edge_agent.errors import BrokerError  # noqa: E402
from edge_agent.mqtt import Link  # noqa: E402
from edge_agent.mqtt import link as link_module  # noqa: E402
from edge_agent.settings.broker import BrokerSettings  # noqa: E402
from edge_agent.wire.envelope import MANIFEST_TYPE  # noqa: E402
from edge_agent.wire.manifest import encode_manifest  # noqa: E402
from edge_agent.wire.topics import Scope  # noqa: E402
from host_tools.broker.signing import enclose, generate_key  # noqa: E402

QUICK = {"_SHORT_S": 0.1, "_FIRST_DELAY_S": 0.2, "_SUSPICIOUS": 10**9}
PROGRAM = f"""
import sys
from edge_agent.daemon import log_limit
from edge_agent.mqtt import link
link.__dict__.update({QUICK!r})
log_limit.BURST = 10**6
from edge_agent.cli import main
sys.exit(main())
"""
REFUSED = re.compile(r"refused (m\d+) for ")
CRASHED = "ended without a word"
QUIET_S = 20.0


class Trial:
    """One agent, its broker, and what is done to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  # a schedule, no secret
        self.folder = folder
        self.broker = MosquittoBroker(folder)
        self.broker.start()
        keys = folder / "keys"
        keys.mkdir()
        generate_key(folder / "a.key", keys / "a.pem")
        trust = {"allow_unsigned": False, "keys_dir": str(keys)}
        self.device = Device(folder, self.broker.url, "ea/v1", trust=trust)
        self.device.program = ["-c", PROGRAM]
        self.operator = Link(BrokerSettings(url=self.broker.url), "operator", on_event=lambda _event: None)
        self.orders = self.kills = 0
        self.standing: set[str] = set()

    def raised(self) -> Counter[str]:
        """Model → how often the log says that an order of it was refused."""
        return Counter(REFUSED.findall(self.device.log.read_text(errors="replace")))

    def order(self) -> None:
        """Send one that is refused; take back those that were."""
        model = f"m{self.orders}"
        self.orders += 1
        manifest = encode_manifest(wanted(1, model, expires="2001-01-01T00:00:00Z"))
        self._publish(model, enclose(manifest, MANIFEST_TYPE, str(self.folder / "a.key")))
        self.standing.add(model)
        for over in self.standing & set(self.raised()):
            self._publish(over, b"")
            self.standing.discard(over)

    def _publish(self, model: str, payload: bytes) -> None:
        topic = self.device.topics.want(Scope("d", self.device.name), model)
        while True:
            try:
                self.operator.wait_connected(30)
                if self.operator.publish(topic, payload, retain=True).wait(5):
                    return
            except BrokerError:
                continue

    def kill_agent(self) -> None:
        """The agent ends without a word, and is started again."""
        self.device.kill()
        self.kills += 1
        self.device.launch()

    def run(self, restarts: int, kills: int, broker_kills: int, ear: Ear) -> None:
        acts = ["restart"] * restarts + ["kill"] * kills + ["kill broker"] * broker_kills
        self.random.shuffle(acts)
        for number, act in enumerate(acts):
            self.order()
            self._listen(ear, self.random.uniform(0.0, 2.0))
            match act:
                case "restart":
                    self.broker.restart()
                case "kill broker":
                    self.broker.kill()
                    self.broker.start()
                case _:
                    self.kill_agent()
            self._listen(ear, self.random.uniform(0.0, 1.0))
            print(f"\r{number + 1} of {len(acts)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    def _listen(self, ear: Ear, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ear.take(min(left, 0.2))

    def settle(self, ear: Ear) -> None:
        """Listen until nothing has come for a while and nothing waits on the agent's disk."""
        quiet, heard = time.monotonic(), -1
        while time.monotonic() - quiet < QUIET_S or list(self.device.state.glob("events/*.json")):
            ear.take(0.2)
            if len(ear.events) != heard:
                quiet, heard = time.monotonic(), len(ear.events)
            if time.monotonic() - quiet > 6 * QUIET_S:
                break


def measure(folder: Path, restarts: int, kills: int, broker_kills: int, seed: int) -> None:
    trial = Trial(folder, seed)
    trial.operator.start()
    with Ear(trial.broker.url, f"ea/v1/d/{trial.device.name}") as ear, trial.device:
        began = time.monotonic()
        trial.run(restarts, kills, broker_kills, ear)
        trial.settle(ear)
        seconds = time.monotonic() - began
        raised, restarted = trial.raised(), trial.device.log.read_text(errors="replace").count(CRASHED)
        waiting = len(list(trial.device.state.glob("events/*.json")))
    trial.operator.stop()
    trial.broker.kill()
    heard = Counter(event.model for event in ear.events if event.kind == "refused")
    crashes = ear.kinds.count("restarted_after_crash")
    numbers = [event.event_seq for event in ear.events]
    rows = {
        "broker restarts by SIGTERM": restarts,
        "broker kills by SIGKILL": broker_kills,
        "agent kills by SIGKILL": trial.kills,
        "events raised: refused": raised.total(),
        "events raised: restarted_after_crash": restarted,
        "events heard: refused": heard.total(),
        "events heard: restarted_after_crash": crashes,
        "lost": (raised - heard).total() + max(0, restarted - crashes),
        "heard, not raised": (heard - raised).total() + max(0, crashes - restarted),
        "twice, by event_seq": len(numbers) - len(set(numbers)),
        "deliveries that were passed over": ear.again,
        "still on the disk": waiting,
        "seconds": round(seconds),
    }
    for what, value in rows.items():
        print(f"{what:40}{value:8}")
    if missing := raised - heard:
        print("missing:", dict(missing))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--broker-kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    link_module.__dict__.update(QUICK)
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), options.restarts, options.kills, options.broker_kills, options.seed)


if __name__ == "__main__":
    main()
