"""The checks of ``edge-agent doctor``: everything that the daemon needs on this device, with remedies.

The checks read, connect, and import runtimes in children. They change nothing. A source is opened for a moment, unless
somebody else holds it. The messages to the broker are ignored by every reader.
"""

import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge_agent import __version__
from edge_agent.advice.installation import absent, how_to_add
from edge_agent.advice.remedy import remedy_for, split_advice
from edge_agent.cli.check import Check, Level
from edge_agent.cli.doctor_sources import check_sources
from edge_agent.cli.doctor_topics import check_topics
from edge_agent.cli.owner import as_owner
from edge_agent.cli.service_rights import ServiceRights, rights_as_installed
from edge_agent.daemon.control_socket import ask
from edge_agent.daemon.device_info import INVENTORY_TIMEOUT_S, Identity
from edge_agent.daemon.main import check_trust
from edge_agent.daemon.sensor_processes import describe
from edge_agent.device import board, interpreter
from edge_agent.device.memory import worker_memory_bytes
from edge_agent.errors import EdgeAgentError
from edge_agent.mqtt import Link
from edge_agent.process.cgroup import delegated, limits_memory
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.layers import REMEDY, missing, without
from edge_agent.process.program import python_child, worker_env
from edge_agent.settings.device import Config, read_config
from edge_agent.settings.sharing import SourceState
from edge_agent.strict import counted
from edge_agent.trust.keyring import read_keyring

_BROKER_TIMEOUT_S = 5.0
_AS_ROOT = "sudo edge-agent doctor"
_OTHER_NAME = (
    "make the two the same, unless the broker's ACL lets that user write below ea/v1/d/DEVICE_ID (docs/broker.md)"
)
_CERTIFICATE = "set [mqtt] ca_file to the CA that signed the broker's certificate, and url to a name that is in it"
_LITTLE_SPACE_BYTES = 1 << 30
_LITTLE_MEMORY_BYTES = 256 << 20


def examine(config_path: Path, root: Path = Path("/")) -> list[Check]:
    """Every check, in the order in which a person would fix the problems."""
    python = _interpreter()
    runtimes = _runtimes() if python.level == "ok" else ()  # that check reports that none can be installed
    checks = [python, _board(root), *_conditions(root), *runtimes]
    try:
        config = read_config(config_path)
    except EdgeAgentError as error:
        return [*checks, _failed("config", error, "correct the file; see edge-agent check-config")]
    service = rights_as_installed(root)
    return [
        *checks,
        _config(config, config_path, service),
        _state(config, service),
        _memory(config, root, service),
        _trust(config, service),
        *check_sources(config, service),
        *_daemon(config),
        *check_broker(config, service),
    ]


def _interpreter() -> Check:
    detail = f"edge-agent {__version__}, Python {platform.python_version()}, {platform.machine()}"
    bits = interpreter.address_bits()
    if bits < interpreter.ENOUGH_BITS:
        return Check("interpreter", "fail", f"{detail}, {bits} bit", interpreter.NO_WHEELS)
    return Check("interpreter", "ok", detail)


def _board(root: Path) -> Check:
    found = board.describe(root)
    memory = f"{found.memory_bytes >> 20} MiB"
    return Check(
        "board", "ok", f"{found.board or 'unknown board'}: {found.cores} x {found.cpu or found.arch}, {memory}"
    )


def _conditions(root: Path) -> Iterator[Check]:
    now = board.conditions(root)
    if now.governor in ("powersave", "ondemand", "conservative"):
        files = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        remedy = f"latency is steadier with: echo performance | sudo tee {files}"
        yield Check("governor", "warn", now.governor, remedy)
    elif now.governor:
        yield Check("governor", "ok", now.governor)
    if now.throttled:
        yield Check("throttling", "warn", ", ".join(now.throttled), "check the power supply and the cooling")
    if now.temperature_c:
        zones = ", ".join(f"{name} {value:.0f} °C" for name, value in now.temperature_c.items())
        yield Check("temperature", "ok", zones)


def _runtimes() -> Iterator[Check]:
    if absent("numpy"):
        yield Check("runtimes", "fail", "none: not even numpy is installed", how_to_add("device"))
        return
    identity = Identity()
    argv = python_child("edge_agent.worker.measure.inventory")
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=worker_env(), timeout=INVENTORY_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        detail = f"the runtimes do not answer within {INVENTORY_TIMEOUT_S:g} s"
        yield Check("runtimes", "fail", detail, "the device is busy, or one of them hangs: stop other load, try again")
        return
    except OSError as error:
        yield Check("runtimes", "fail", f"{argv[0]} cannot be started: {error.strerror}", _AS_ROOT)
        return
    identity.take_inventory(ChildExit(done.returncode, "exited", 0, done.stderr, 0.0), done.stdout)
    if identity.runtimes:
        yield Check("runtimes", "ok", ", ".join(f"{name} {version}" for name, version in identity.runtimes.items()))
        for name, why in identity.broken.items():
            remedy = f"install another version of {name}, or uninstall it"
            yield Check("runtimes", "warn", f"{name} does not work on this processor: {why}", remedy)
        for model_format in Identity().formats:
            if model_format not in identity.formats:
                detail = f".{model_format} models cannot be quantized here"
                yield Check("runtimes", "warn", detail, how_to_add("device"))
        yield _confinement(identity.confinement)
    else:
        broken = [f"{name} does not work on this processor: {why}" for name, why in identity.broken.items()]
        words = broken or done.stderr.strip().splitlines()[-1:] or ["none can be imported"]
        yield Check("runtimes", "fail", words[0], how_to_add("device"))


def _confinement(held: list[str]) -> Check:
    detail = ", ".join(held) or "none"
    if lacking := missing():
        return Check("confinement", "fail", f"{without(lacking)}; what holds: {detail}", REMEDY)
    return Check("confinement", "ok", detail)


def _config(config: Config, path: Path, service: ServiceRights | None) -> Check:
    if service is not None and (why := service.unreadable(path)):
        return Check("config", "fail", why, service.how_to_read(path))
    return Check("config", "ok", f"{path}: device {config.device_id}")


def _state(config: Config, service: ServiceRights | None) -> Check:
    folder = Path(config.state_dir)
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110  # or is hidden
    if not os.access(existing, os.W_OK):
        return Check("state", "fail", f"{folder} cannot be written by this user", "run as the service's user, or sudo")
    if service is not None and existing == folder and not service.may("-w", folder):
        detail = f"{folder}: the service's user {service.user} may not write there"
        return Check("state", "fail", detail, f"sudo chown -R {service.user}: {folder}")
    free = shutil.disk_usage(existing).free
    detail = f"{folder}: {free >> 20} MiB free"
    if free < _LITTLE_SPACE_BYTES:
        return Check(
            "state", "warn", detail, "free some space: a job needs about five times its model, and captured data"
        )
    return Check("state", "ok", detail)


def _memory(config: Config, root: Path, service: ServiceRights | None) -> Check:
    limit = worker_memory_bytes(config.limits.worker_memory_bytes, root)
    how = "a cgroup of its own" if _limited_by_cgroup(root, service) else "RLIMIT_AS"
    level: Level = "warn" if limit < _LITTLE_MEMORY_BYTES else "ok"
    remedy = "stop other programs, or quantize smaller models" if level == "warn" else ""
    return Check("memory", level, f"a worker may have {limit >> 20} MiB, held by {how}", remedy)


def _limited_by_cgroup(root: Path, service: ServiceRights | None) -> bool:
    """Whether a cgroup limits workers: the service's if it is installed, as this process is in another group."""
    if service is not None:
        return "memory" in service.delegated and limits_memory(root / "sys/fs/cgroup")
    group = delegated(root)
    return group is not None and limits_memory(group)


def _trust(config: Config, service: ServiceRights | None) -> Check:
    if config.trust.allow_unsigned:
        remedy = "set trust.allow_unsigned = false once trust.keys_dir holds a key"
        return Check("trust", "warn", "unsigned manifests are obeyed", remedy)
    try:
        check_trust(config)
    except EdgeAgentError as error:
        remedy = _AS_ROOT if error.code == "permission_denied" else "copy the public key of host-tools keygen there"
        return Check("trust", "fail", error.message, remedy)
    for path in (Path(config.trust.keys_dir), *sorted(Path(config.trust.keys_dir).glob("*.pem"))):
        if service is not None and (why := service.unreadable(path)):
            return Check("trust", "fail", why, service.how_to_read(path))
    found = read_keyring(Path(config.trust.keys_dir))
    if found.problems:
        return Check("trust", "warn", *split_advice(found.problems[0]))
    return Check("trust", "ok", f"{counted(len(found.keys), 'key')} in {config.trust.keys_dir}")


def _daemon(config: Config) -> Iterator[Check]:
    try:
        with as_owner(Path(config.state_dir)):
            status = ask(Path(config.state_dir), "status")
    except EdgeAgentError as error:
        if error.code == "permission_denied":
            yield Check("daemon", "fail", f"it runs, but: {error.message}", _AS_ROOT)
        else:
            yield Check("daemon", "warn", split_advice(error.message)[0], "sudo systemctl start edge-agent")
        return
    yield Check("daemon", "ok", "running")
    for name, told in status.get("sensors", {}).items():
        state = msgspec.convert(told, SourceState)
        sound = state.state == "open" and not state.code
        if sound:
            yield Check(f"sensor {name}", "ok", describe(name, state))
            continue
        what, advice = split_advice(state.message)
        to_do = advice or remedy_for(state.code, what) or "check the sensor and its cable"
        yield Check(f"sensor {name}", "warn", describe(name, msgspec.structs.replace(state, message=what)), to_do)


def check_broker(config: Config, service: ServiceRights | None) -> Iterator[Check]:
    """Whether the broker lets this device in, and then whether it may write to its topics."""
    for key in ("password_file", "ca_file", "cert_file", "key_file"):
        path = getattr(config.mqtt, key)
        if service is not None and path and (why := service.unreadable(path)):
            yield Check("broker", "fail", f"{key} {why}", service.how_to_read(path))
            return
    try:
        link = Link(config.mqtt, f"edge-agent-doctor-{os.getpid()}", on_event=lambda _event: None)
    except EdgeAgentError as error:  # a file that [mqtt] names
        remedy = _AS_ROOT if "permission denied" in error.message else "correct [mqtt], or put the file there"
        yield _failed("broker", error, remedy)
        return
    told = logging.getLogger("edge_agent.mqtt")
    told_from = told.level
    told.setLevel(logging.ERROR)  # the checks report its warnings
    link.start()
    try:
        link.wait_connected(_BROKER_TIMEOUT_S)
        if config.mqtt.username not in ("", config.device_id):
            detail = f"{config.mqtt.url}, as user {config.mqtt.username!r}; device_id is {config.device_id!r}"
            yield Check("broker", "warn", detail, _OTHER_NAME)
        else:
            yield Check("broker", "ok", config.mqtt.url)
        yield check_topics(link, config)
    except EdgeAgentError as error:
        yield _broker_failed(error)
    finally:
        link.stop()
        told.setLevel(told_from)


def _broker_failed(error: EdgeAgentError) -> Check:
    if error.code == "broker_refused":
        remedy = "correct [mqtt] username and password_file, or give the broker this user"
        return Check("broker", "fail", error.message, remedy)
    if "certificate" in error.message.lower():
        return Check("broker", "fail", error.message, _CERTIFICATE)
    return _failed("broker", error, "check [mqtt] url, the network, and the broker")


def _failed(name: str, error: EdgeAgentError, remedy: str) -> Check:
    """A check that failed; ``remedy`` where the error has no advice of its own."""
    what, advice = split_advice(error.message)
    return Check(name, "fail", what, advice or remedy)
