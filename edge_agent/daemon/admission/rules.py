"""The rules of the wire protocol for a manifest found in a ``want`` topic. Pure.

* A known digest changes nothing, as every reconnect delivers ``want`` again. Its stored report is published once more.
* A higher version is accepted; the same version with other content is a conflict; a lower one is a downgrade, unless
  its job is known here or a higher valid want exists in another scope (then it is merely outranked).
* A want replaces the previous one of its topic. So competing wants come from other scopes only, each until it expires.
* At equal version the device's own want outranks a group's until it expires.
* Digests are compared before ``expires``: a known job stays known.
* After a model's name was forgotten, every want created before that moment is invalid, whatever its version.
"""

from collections.abc import Collection, Mapping

import msgspec

from edge_agent.advice.space import SPARE_BYTES, lacks_space
from edge_agent.device.optimized_form import LEAST_MODEL_BYTES
from edge_agent.errors import EdgeAgentError, LimitError, TransferError, TrustError, WireError
from edge_agent.state.store import ModelRecord
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.steps import check_inputs
from edge_agent.wire.timestamps import parse_rfc3339, rfc3339
from edge_agent.wire.topics import Scope, WantTopic


class Want(msgspec.Struct, frozen=True):
    """A manifest that was found in a matching want topic."""

    topic: WantTopic
    manifest: Manifest
    content: bytes
    digest: str

    @property
    def job(self) -> str:
        """The id of this manifest's job."""
        return job_id(self.digest)

    @property
    def created(self) -> float:
        """Creation time in seconds since the epoch; 0 if the manifest has none."""
        return parse_rfc3339(self.manifest.created) or 0.0

    @property
    def standing(self) -> "Standing":
        """The version that this want holds at its topic once it is accepted."""
        return Standing(self.manifest.version, parse_rfc3339(self.manifest.expires) or 0.0)


class Standing(msgspec.Struct, frozen=True):
    """A version that a topic requests until ``expires`` (seconds since the epoch; 0: without an end)."""

    version: int
    expires: float = 0.0

    def stands(self, now: float) -> bool:
        """Whether it has not expired."""
        return not self.expires or self.expires > now


class Accept(msgspec.Struct, frozen=True):
    """Start this job."""


class Known(msgspec.Struct, frozen=True):
    """Its job is known here: publish that job's report again."""


class Outranked(msgspec.Struct, frozen=True):
    """Not the newest want; ``by`` is a sentence that names the one above it and what to do."""

    by: str


class Refuse(msgspec.Struct, frozen=True):
    """The want must not be executed; reported in the device's status."""

    error: EdgeAgentError


Decision = Accept | Known | Outranked | Refuse


def read_want(topic: WantTopic, content: bytes, namespace: str) -> Want:
    """The manifest in a trusted envelope's content; raises ``WireError`` or ``TrustError`` (wrong_target)."""
    manifest = decode_manifest(content)
    if manifest.namespace != namespace or manifest.name != topic.model or str(topic.scope) not in manifest.targets:
        raise TrustError(
            "wrong_target",
            f"manifest {manifest.name} {manifest.version} for {', '.join(manifest.targets) or 'nobody'} "
            f"in {manifest.namespace} was found at {topic.scope}/want/{topic.model}",
        )
    return Want(topic, manifest, content, content_digest(content))


def decide(
    want: Want,
    record: ModelRecord | None,
    known_jobs: Collection[str],
    wanted: Mapping[Scope, Standing],
    now: float,
    clock: str = "",
) -> Decision:
    """The decision about ``want``.

    Args:
        want: the manifest and the topic it was found at.
        record: the last accepted version of its model name.
        known_jobs: ids of the jobs stored on this device.
        wanted: scope → last known want of that model, from before this one arrived.
        now: seconds since the epoch.
        clock: the clock's origin, as a sentence for the sender of an expired manifest.
    """
    manifest = want.manifest
    others = {scope: one for scope, one in wanted.items() if scope != want.topic.scope and one.stands(now)}
    beside = max((one.version for one in others.values()), default=0)
    if want.job in known_jobs:
        return Known()
    if record and want.digest == record.digest and (record.status or record.job in known_jobs):
        return Known()
    if record and want.created < record.forgotten:
        return _forgotten(manifest, record, now, clock)
    if record and manifest.version < record.version:
        if beside > manifest.version:
            return _outranked(manifest, others)
        return Refuse(TrustError(
            "downgrade",
            f"{manifest.name} {manifest.version} is older than {record.version}, which this device has accepted; "
            "push a higher version, or roll back",
        ))  # fmt: skip
    if record and manifest.version == record.version and want.digest != record.digest:
        if any(scope.kind == "d" and one.version == manifest.version for scope, one in others.items()):
            return _outranked(manifest, others)
        return Refuse(TrustError(
            "version_conflict",
            f"{manifest.name} {manifest.version} exists here with other content; push it with a higher version",
        ))  # fmt: skip
    expires = parse_rfc3339(manifest.expires) if manifest.expires else None
    if manifest.expires and expires is None:
        return Refuse(WireError("malformed", f"manifest expires {manifest.expires[:40]!r} is no RFC 3339 time"))
    if expires is not None and expires <= now:
        text = f"{manifest.name} {manifest.version} expired at {manifest.expires}"
        return Refuse(TrustError("expired", f"{text}; {clock}" if clock else text))
    if beside > manifest.version:
        return _outranked(manifest, others)
    return Accept()


def _forgotten(manifest: Manifest, record: ModelRecord, now: float, clock: str) -> Refuse:
    over = f"{manifest.name} was forgotten here, with every version made before {rfc3339(record.forgotten)}"
    cure = "push it again"
    if record.dated_ahead(now):
        cure = "that date is far ahead of this device: have the name forgotten once more, then push it again"
        cure += f"; {clock}" if clock else ""
    return Refuse(TrustError("downgrade", f"{over}, such as this version {manifest.version}; {cure}"))


def _outranked(manifest: Manifest, others: Mapping[Scope, Standing]) -> Outranked:
    scope, above = max(others.items(), key=lambda one: (one[1].version, one[0].kind == "d"))
    return Outranked(
        f"{manifest.name} {manifest.version} is not started: version {above.version} is wanted here, by {scope}; "
        "push a higher version"
    )


def _too_large(size: int, limit: int) -> str:
    return f" and this device takes {limit} at most; set [limits] max_model_bytes = {size} there, or shrink it"


def check_limits(manifest: Manifest, max_model_bytes: int, free_bytes: int, formats: Collection[str]) -> None:
    """Raise the error that a job of ``manifest`` would end with, before a byte is fetched."""
    size, labelled = manifest.blob.size, manifest.eval.size if manifest.eval is not None else 0
    if manifest.format not in formats:
        raise TransferError(
            "format_unsupported",
            f"this device cannot quantize .{manifest.format} models; run edge-agent doctor on it",
        )
    if size > max_model_bytes:
        raise LimitError("model_too_large", f"the model has {size} bytes{_too_large(size, max_model_bytes)}")
    if labelled > max_model_bytes:
        raise LimitError(
            "model_too_large",
            f"the labelled set has {labelled} bytes{_too_large(labelled, max_model_bytes)}",
        )
    check_inputs(manifest.inputs)
    # Five model sizes: blob, the job's copy, candidates, a release, captured data. The labelled set is stored twice.
    # A large ONNX model may have optimised forms: of float, and of the release.
    files = 7 if manifest.format == "onnx" and size >= LEAST_MODEL_BYTES else 5
    needed = files * size + 2 * labelled + SPARE_BYTES
    if free_bytes < needed:
        raise LimitError("no_space", lacks_space(f"a job of {manifest.name}", needed, free_bytes, "state_dir"))
