"""The steps of a push: read, address, number, check, seal, upload, want, wait.

Used by ``push-model`` and by the demo. The broker has the blobs before it has the want, so a device that receives a
want finds everything, and the host may disconnect.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import ConfigError, ContractError
from edge_agent.model_file.signature import read_signature
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE
from edge_agent.wire.manifest import Manifest, encode_manifest
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.history import read_history
from host_tools.broker.job_tracker import EXIT_SUCCEEDED, JobTracker
from host_tools.broker.registry import Device, addressed, read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.broker.signing import enclose_order, own_keyring
from host_tools.display.progress import Display
from host_tools.push.features import check_features
from host_tools.push.fit import troubles
from host_tools.push.foresight import Asked, Outlook, nothing_new, outlook, sentences
from host_tools.push.labelled_file import check_archive, labelled_rows
from host_tools.push.labels import check_labelled, check_labelled_rows
from host_tools.push.manifest_file import build_manifest, model_format, read_blob, read_manifest_file
from host_tools.push.sending import PushResult, Sealed, Stay, fill, new_tracker, send
from host_tools.push.versions import choose_version

_DAY_S = 86_400.0
_FORMAT_NAMES = {"onnx": "an ONNX", "tflite": "a TensorFlow Lite"}
_UNREADABLE = "{model} does not read as {format} model with inputs and outputs here; check that the file is whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """The operator's request.

    Attributes:
        model: the float model file.
        manifest: the ``M.toml``.
        scopes: the devices and groups that it is for.
        evaluation: a labelled set; None: the manifest's own, if it names one.
        expires_days: after this many days no device starts the job any more.
        wait: wait until the job has ended everywhere.
        timeout_s: the longest wait; None: the announced capture time and 15 minutes.
        dry_run: read and build everything, send nothing.
        again: try judged content again as the next version, whatever version the manifest has.
        force: the operator accepts a version far above the known ones.
        version: the only version to send, as a dry run has shown it; None: the next one.
        sent: called with the manifest once the broker has it, or may have it.
        devices_stay: devices continue when this command is interrupted; False: they end with it, and the caller
            handles Ctrl-C.
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
    version: int | None = None
    sent: Callable[[Manifest], object] = lambda _manifest: None
    devices_stay: bool = True


def push(settings: Settings, request: PushRequest, display: Display) -> PushResult:
    """Send a model and wait for its devices' answers.

    Raises:
        EdgeAgentError: no device has received an order.
    """
    file = read_manifest_file(request.manifest)
    model = model_format(request.model), read_blob(request.model)
    evaluation = request.evaluation or file.eval
    if evaluation is not None and not evaluation.is_file():
        where = "--eval" if request.evaluation else f"{request.manifest}: [eval] file"
        raise ConfigError("usage", f"{where}: no such file: {evaluation}")
    evaluation_blob = read_blob(evaluation) if evaluation else None
    signature = read_signature(request.model)
    if signature is None:
        display.note(_UNREADABLE.format(model=request.model, format=_FORMAT_NAMES[model[0]]))
    if evaluation is not None:
        check_archive(evaluation)
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
        if request.version not in (None, version):
            text = f"the next version of {file.name} is now {version}, not {request.version}; check it again"
            raise ConfigError("usage", text)
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
        sealed = Sealed(
            manifest, enclose_order(content, MANIFEST_TYPE, settings.sign), job_id(content_digest(content)), blobs
        )
        asked = Asked(manifest.name, version, sealed.job, frozenset(request.scopes))
        outlooks = {name: outlook(device, asked, history, now) for name, device in devices.items()}
        for sentence in sentences(outlooks, asked, highest, order):
            display.note(sentence)
        tracker = new_tracker(asked, devices, outlooks, highest)
        if request.dry_run:
            return PushResult(EXIT_SUCCEEDED, manifest, sealed.job)
        judged = [one for one in history.reports if one.job == sealed.job and one.ended]
        if written is not None and nothing_new(outlooks, asked, history, now):
            return _nothing_sent(manifest, tracker, judged, display)
        for one in (one for one in judged if outlooks[one.device][0] is Outlook.JUDGED):
            recalibrate = order("recalibrate", manifest.name, "--device", one.device)
            display.note(
                f"{one.device} has judged this very manifest before ({one.status}), and that result stands. "
                "To try again, give --again, leave version out of the manifest, or raise it"
                + (f"; or run {recalibrate}" if one.status == "succeeded" else "")
            )
        stay = Stay(
            wait=request.wait, timeout_s=request.timeout_s, devices_stay=request.devices_stay, sent=request.sent
        )
        return send(session, request.scopes, sealed, tracker, display, stay)


def announced(request: PushRequest, result: PushResult) -> dict[str, Any]:
    """The output of a dry run: the manifest, and the topics and bytes to send."""
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
    """Put the manifest's file name into errors about its content."""
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
    """Raise an error that every device would answer; note errors of some devices."""
    infos = {name: device.info for name, device in devices.items()}
    for sentence in check_features(manifest, request.scopes, infos, str(request.manifest)):
        display.note(sentence)
    found = troubles(manifest.inputs, manifest.state, signature, infos)
    # A device may not report its sources; an info without any is no reason to refuse.
    sure = [name for name in found if (info := infos[name]) is None or info.sources]
    if sure and len(sure) == len(devices):
        with _of_file(request.manifest):
            raise next(iter(found.values()))
    for name, error in found.items():
        display.note(f"{name} will answer {error.code}: {error.message}")


def _nothing_sent(manifest: Manifest, tracker: JobTracker, judged: Sequence[JobReport], display: Display) -> PushResult:
    """The result of a push that changes nothing: every device has judged it, and the broker has it."""
    for report in judged:
        tracker.take(report)
    ends = ", ".join(f"{name} {progress.end}" for name, progress in tracker.devices.items())
    display.note(
        f"{manifest.name} {manifest.version} with this very content was judged before, as job {tracker.job} ({ends}), "
        "and nothing is sent. To try again, give --again, leave version out of the manifest, or raise it"
    )
    result = PushResult(tracker.exit_code, manifest, tracker.job)
    fill(result, tracker)
    return result
