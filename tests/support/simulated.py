"""A simulated fleet that speaks on a real broker while its ``with`` block runs."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from host_tools.broker.settings import Settings
from host_tools.simulation.plan import Plan
from host_tools.simulation.simulate import Simulation
from support.brokers import Broker


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Return once ``condition`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def simulated(broker: Broker, namespace: str, plan: Plan, connections: int = 0) -> Iterator[Simulation]:
    """The fleet, each device connected and all that it says first at the broker; it leaves in good order."""
    settings = Settings(url=broker.url, namespace=namespace)
    version = "5" if broker.kind == "mosquitto" else "3.1.1"
    simulation = Simulation(settings, plan, version, connections=connections, ramp=5000)
    ending = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(simulation.run, ending.is_set)
        try:
            wait_for(lambda: run.done() or (simulation.all_connected and simulation.settled))
            if not run.done():  # it has failed, otherwise
                yield simulation
        finally:
            ending.set()
            run.result()
