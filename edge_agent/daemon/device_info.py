"""The facts about this device that the ``info`` message contains: board, runtimes, sources, releases."""

import json
import logging
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from edge_agent import __version__
from edge_agent.advice.installation import lacking
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.sensor_processes import Sensors
from edge_agent.device import board
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.sandbox import active
from edge_agent.settings.device import Config
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.manifest import FEATURES
from edge_agent.wire.messages import ActiveRelease, DeviceInfo

log = logging.getLogger(__name__)

INVENTORY_TIMEOUT_S = 300.0
"""Importing every runtime took over a minute on an emulated machine during boot. Nothing waits for it."""
_NO_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'", re.MULTILINE)
_SHOWN_OF_SOURCE = ("kind", "channels", "rate_hz", "port")


class Identity:
    """Facts about the device; a child finds out those about runtimes, as an import may crash the process."""

    def __init__(self) -> None:
        self.boot_id = boot_id()
        self.runtimes: dict[str, str] = {}
        self.broken: dict[str, str] = {}
        """Installed runtimes that do not work on this processor → how they end."""
        self.formats: tuple[str, ...] = ("onnx", "tflite")
        """Model formats that this device can process; until the inventory is known, all of them."""
        self.confinement: list[str] = []
        self.layers: dict[str, list[str]] = {}
        """Kind of process → mechanisms that confine it; empty until the inventory is known, or if it reports none."""

    def take_inventory(self, ended: ChildExit, output: str) -> None:
        """Store the working runtimes from the inventory child's output, or log why there are none."""
        try:
            found = json.loads(output)
            self.runtimes, self.formats = found["runtimes"], tuple(found["formats"])
            self.broken, self.confinement = found["broken"], found["confinement"]
            self.layers = {"daemon": active(), **found.get("layers", {})}
        except (ValueError, KeyError, TypeError):
            self._no_inventory(ended)
            return
        log.info("runtimes: %s", ", ".join(f"{name} {version}" for name, version in self.runtimes.items()) or "none")
        for name, why in self.broken.items():
            log.warning("%s does not work on this device and is left out: %s", name, why)

    def _no_inventory(self, ended: ChildExit) -> None:
        """Log why there is no inventory. Without numpy no format can be processed; a timeout proves nothing."""
        if sentence := lacking(_NO_MODULE.findall(ended.stderr_tail)[-1:]):
            self.formats = ()
            log.error("no model can be quantized here: %s", sentence)
            return
        why = f"nothing within {INVENTORY_TIMEOUT_S:g} s" if ended.reason == "timeout" else f"it {ended.describe()}"
        log.error("the inventory of runtimes did not answer (%s); run edge-agent doctor", why)

    def active(self, store: Store) -> list[Release]:
        """The active release of every model that has one."""
        found = (Releases(store.models, path.parent.name).active() for path in sorted(store.models.glob("*/active")))
        return [release for release in found if release is not None]

    def stale(self, release: Release) -> bool:
        """Whether the release was judged on another version of its runtime than the installed one."""
        return bool(self.runtimes) and self.runtimes.get(release.runtime) != release.runtime_version

    def info(self, config: Config, store: Store, sensors: Mapping[str, dict[str, Any]]) -> DeviceInfo:
        """The ``info`` message; ``sensors`` are the states of the shared sensors."""
        described = board.describe()
        return DeviceInfo(
            device=config.device_id,
            groups=config.groups,
            agent_version=__version__,
            board=described.board,
            arch=described.arch,
            cpu=described.cpu,
            cores=described.cores,
            memory_bytes=described.memory_bytes,
            python=platform.python_version(),
            runtimes=self.runtimes,
            formats=list(self.formats),
            sources={
                name: _shown(source) | ({"shared": sensors[name]} if name in sensors else {})
                for name, source in config.sources.items()
            },
            active=[
                ActiveRelease(
                    model=release.model,
                    version=release.version,
                    job=release.job,
                    verdict=release.verdict,
                    runtime=f"{release.runtime} {release.runtime_version}".strip(),
                    stale=self.stale(release),
                )
                for release in self.active(store)
            ],
            highest={model: record.version for model, record in store.records().items() if record.version},
            thermal=asdict(board.conditions()),
            confinement=self.confinement,
            layers=self.layers or msgspec.UNSET,
            features=[feature.name for feature in FEATURES],
        )


class InfoPublisher:
    """Publishes ``info`` whenever one of its facts has changed."""

    def __init__(
        self, config: Config, store: Store, identity: Identity, sensors: Sensors, publisher: Publisher,
        on_publish: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``on_publish`` is called after each publish."""
        self._on_publish = on_publish
        self._config = config
        self._store = store
        self._identity = identity
        self._sensors = sensors
        self._publisher = publisher

    def publish(self) -> None:
        """Publish the current facts."""
        self._publisher.info(self._identity.info(self._config, self._store, self._sensors.as_dict()))
        self._on_publish()


def _shown(source: dict[str, Any]) -> dict[str, Any]:
    return {key: source[key] for key in _SHOWN_OF_SOURCE if key in source}


def boot_id() -> str:
    """The kernel's id of this boot; empty if unavailable."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
