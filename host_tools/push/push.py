"""The story of a push: read, address, number, check, seal, upload, want, wait.

Used by ``push-model`` and by the demo. The blobs are at the broker before the want is, so a device that sees a want
finds everything, and the host may go.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import ContractError
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.history import read_history
from host_tools.broker.job_tracker import EXIT_SUCCEEDED, DeviceOutcome, JobTracker
from host_tools.broker.purge import purge
from host_tools.broker.registry import Device, addressed, read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.broker.signing import enclose_order, own_keyring
from host_tools.display.progress import Display
from host_tools.exits import INTERRUPTED
from host_tools.model.signature import read_signature
from host_tools.model.tensors import ModelTensors
from host_tools.push.features import check_features
from host_tools.push.fit import troubles
from host_tools.push.foresight import Asked, Outlook, ignores, inactive, nothing_new, outlook, sentences
from host_tools.push.labelled_file import labelled_rows
from host_tools.push.labels import check_labelled, check_labelled_rows
from host_tools.push.manifest_file import build_manifest, model_format, read_blob, read_manifest_file
from host_tools.push.upload import Uploader
from host_tools.push.versions import choose_version
from host_tools.push.waiting import listen, wait

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """What the operator asks for.

    Attributes:
        model: the float model file.
        manifest: the ``M.toml``.
        scopes: whom it is for.
        evaluation: a labelled set; None: the manifest's own, if it names one.
        expires_days: after so many days no device begins it any more.
        wait: stay until it has ended everywhere.
        timeout_s: how long to stay; None: the announced capture time and 15 minutes.
        dry_run: read and build everything, send nothing.
        again: a new try of what was judged before: the next version, whatever the manifest says.
        force: the operator knows that the version is far above those that are known.
        devices_stay: they go on when this command is interrupted; False: they end with it, and Ctrl-C is the caller's.
    """

    model: Path
    manifest: Path
    scopes: Sequence[Scope]
    evaluation: Path | None = None
    expires_days: float = 30.0
    wait: bool = True
    timeout_s: float | None = None
    dry_run: bool = False
    again: bool = False
    force: bool = False
    devices_stay: bool = True


@dataclass(slots=True)
class PushResult:
    """What became of it; ``summary`` is the last line of ``--json``."""

    exit: int
    manifest: Manifest
    job: str
    reports: list[JobReport] = field(default_factory=list)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """Flat fields for scripts."""
        return {
            "exit": self.exit,
            "job": self.job,
            "model": self.manifest.name,
            "version": self.manifest.version,
            "devices": self.devices,
        }


@dataclass(frozen=True, slots=True)
class _Sealed:
    manifest: Manifest
    envelope: bytes
    job: str
    blobs: list[tuple[Path, Blob]]


def push(settings: Settings, request: PushRequest, display: Display) -> PushResult:
    """Send a model and wait for what its devices say.

    Raises:
        EdgeAgentError: nothing was asked of any device.
    """
    file = read_manifest_file(request.manifest)
    model = model_format(request.model), read_blob(request.model)
    evaluation = request.evaluation or file.eval
    evaluation_blob = read_blob(evaluation) if evaluation else None
    signature = read_signature(request.model)
    if evaluation is not None:
        with _of_file(request.manifest):
            check_labelled(file.first_output, signature, file.output_table)
        check_labelled_rows(file.first_output, file.gates, labelled_rows(evaluation), evaluation.name)
    with Session(settings, display.note) as session:
        known = read_devices(session)
        devices = addressed(known, request.scopes)
        history = read_history(session, file.name, devices, own_keyring(settings.sign))
        highest = history.highest(file.name, devices)
        written = None if request.again else file.version
        order = partial(command_line, settings, "host-tools", signed=True)
        version = choose_version(file.name, written, history, devices, force=request.force, order=order)
        now = time.time()
        manifest = build_manifest(
            file,
            namespace=settings.namespace,
            version=version,
            model=model,
            evaluation=evaluation_blob,
            targets=[str(scope) for scope in request.scopes],
            created=rfc3339(now, timespec="seconds"),
            expires=rfc3339(now + request.expires_days * _DAY_S, timespec="seconds"),
        )
        _check_fit(request, manifest, signature, devices, display)
        content = encode_manifest(manifest)
        blobs = [(request.model, manifest.blob)]
        if evaluation and evaluation_blob:
            blobs.append((evaluation, evaluation_blob))
        sealed = _Sealed(
            manifest, enclose_order(content, MANIFEST_TYPE, settings.sign), job_id(content_digest(content)), blobs
        )
        asked = Asked(manifest.name, version, sealed.job, frozenset(request.scopes))
        outlooks = {name: outlook(device, asked, history, now) for name, device in devices.items()}
        for sentence in sentences(outlooks, asked, highest, order):
            display.note(sentence)
        tracker = _new_tracker(asked, devices, outlooks, highest)
        if request.dry_run:
            return PushResult(EXIT_SUCCEEDED, manifest, sealed.job)
        judged = [one for one in history.reports if one.job == sealed.job and one.ended]
        if written is not None and nothing_new(outlooks, asked, history, now):
            return _nothing_sent(manifest, tracker, judged, display)
        for one in (one for one in judged if outlooks[one.device][0] is Outlook.JUDGED):
            recalibrate = order("recalibrate", manifest.name, "--device", one.device)
            display.note(
                f"{one.device} has judged this very manifest before ({one.status}): that result stands. For a new try "
                "give --again, leave version out of the manifest, or raise it"
                + (f"; or run {recalibrate}" if one.status == "succeeded" else "")
            )
        return _send(session, settings, request, sealed, tracker, display)


def announced(request: PushRequest, result: PushResult) -> dict[str, Any]:
    """What a dry run shows: the manifest, and what would be sent where."""
    manifest = result.manifest
    return {
        "job": result.job,
        "manifest": msgspec.json.decode(encode_manifest(manifest)),
        "bytes": sum(blob.size for blob in manifest.blobs),
        "chunks": sum(blob.plan.chunks for blob in manifest.blobs),
        "wants": [f"{manifest.namespace}/{scope}/want/{manifest.name}" for scope in request.scopes],
    }


@contextlib.contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """Name the manifest's file in what is found wrong with it."""
    try:
        yield
    except ContractError as error:
        raise ContractError(error.code, f"{path}: {error.message}") from None


def _check_fit(
    request: PushRequest,
    manifest: Manifest,
    signature: ModelTensors | None,
    devices: Mapping[str, Device],
    display: Display,
) -> None:
    """Raise what every device would answer; say what some will."""
    infos = {name: device.info for name, device in devices.items()}
    for sentence in check_features(manifest, request.scopes, infos, str(request.manifest)):
        display.note(sentence)
    found = troubles(manifest.inputs, manifest.state, signature, infos)
    # An info without any source may be of a device that does not tell; it is no ground to refuse.
    sure = [name for name in found if (info := infos[name]) is None or info.sources]
    if sure and len(sure) == len(devices):
        with _of_file(request.manifest):
            raise next(iter(found.values()))
    for name, error in found.items():
        display.note(f"{name} will answer {error.code}: {error.message}")


def _new_tracker(
    asked: Asked, devices: Mapping[str, Device], outlooks: Mapping[str, tuple[Outlook, int]], highest: int
) -> JobTracker:
    """Whom to wait for; a device that will say nothing is not waited for."""
    statuses = {name: device.status for name, device in devices.items()}
    tracker = JobTracker(asked.job, asked.model, statuses, open_ended=any(scope.kind == "g" for scope in asked.scopes))
    for name, foreseen in outlooks.items():
        match foreseen:
            case ((Outlook.IGNORED | Outlook.UNANSWERED), _):
                tracker.devices[name].ignored = ignores(name, foreseen, asked, highest)
            case Outlook.INACTIVE, active:
                tracker.devices[name].inactive = inactive(asked, active)
    return tracker


def _nothing_sent(manifest: Manifest, tracker: JobTracker, judged: Sequence[JobReport], display: Display) -> PushResult:
    """The end of a push of what its devices have judged and the broker has: theirs."""
    for report in judged:
        tracker.take(report)
    ends = ", ".join(f"{name} {progress.end}" for name, progress in tracker.devices.items())
    display.note(
        f"{manifest.name} {manifest.version} with this very content was judged before, as job {tracker.job} ({ends}); "
        "nothing is sent. For a new try give --again, leave version out of the manifest, or raise it"
    )
    result = PushResult(tracker.exit_code, manifest, tracker.job)
    fill(result, tracker)
    return result


def _send(
    session: Session, settings: Settings, request: PushRequest, sealed: _Sealed, tracker: JobTracker, display: Display
) -> PushResult:
    manifest, job = sealed.manifest, sealed.job
    result = PushResult(EXIT_SUCCEEDED, manifest, job)
    watch = command_line(settings, "host-tools", "watch", "--job", job)
    uploader = Uploader(session, sealed.blobs, display.upload, max_broker_bytes=settings.max_broker_bytes)
    try:
        uploader.upload()
    except KeyboardInterrupt:
        if request.devices_stay:
            display.note("no device was asked for anything; push again, and what the broker has is not sent twice")
        raise
    listen(session, job)
    for scope in request.scopes:
        session.publish(session.topics.want(scope, manifest.name), sealed.envelope)
    session.say_left(purge(session, settings).refused)
    if not request.wait:
        display.note(f"sent; watch it with: {watch}")
        return result
    try:
        in_time = wait(session, tracker, display, timeout_s=request.timeout_s, on_need=uploader.answer)
    except KeyboardInterrupt:
        if not request.devices_stay:
            raise
        display.note(f"the job goes on; watch it with: {watch}")
        result.exit = INTERRUPTED
    else:
        result.exit = tracker.exit_code
        if not in_time and request.devices_stay:
            display.note(f"time is up; the job goes on; watch it with: {watch}")
    fill(result, tracker)
    return result


def fill(result: PushResult, tracker: JobTracker) -> None:
    """Take what is known of each device into ``result``."""
    for name, progress in tracker.devices.items():
        report = progress.report
        if report and progress.end is not DeviceOutcome.INACTIVE:
            result.reports.append(report)
        result.devices[name] = {
            "end": progress.end.value,
            "code": progress.code,
            "message": progress.message,
            "release": report.release if report else "",
        }
