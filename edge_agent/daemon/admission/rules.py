"""What a device makes of a manifest that it finds in a ``want`` topic. Pure: the rules of DESIGN's wire protocol.

* The same digest again is no news: every reconnect delivers ``want`` again. Its stored report is published once more.
* A higher version is accepted; the same version with other content is a conflict; a lower one is a downgrade, unless
  its job is known here or a higher valid want stands beside it (then it is merely outranked).
* A want replaces what its topic held before, so only wants of other scopes stand beside it, each until it expires.
* At equal version the device's own want wins over a group's, for as long as it stands.
* Digests are compared before ``expires``: what is known stays known.
* Once a model's name was forgotten, what was made before is over, whatever its version.
"""

from collections.abc import Collection, Mapping

import msgspec

from edge_agent.advice.space import lacks_space
from edge_agent.device.optimized_form import LEAST_MODEL_BYTES
from edge_agent.errors import EdgeAgentError, LimitError, TransferError, TrustError, WireError
from edge_agent.state.store import ModelRecord
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.steps import check_inputs
from edge_agent.wire.timestamps import parse_rfc3339, rfc3339
from edge_agent.wire.topics import Scope, WantTopic


class Want(msgspec.Struct, frozen=True):
    """A manifest that was found in a want topic and fits it."""

    topic: WantTopic
    manifest: Manifest
    content: bytes
    digest: str

    @property
    def job(self) -> str:
        """The job that this manifest is."""
        return job_id(self.digest)

    @property
    def created(self) -> float:
        """When it was made (seconds since the epoch); 0: it does not say."""
        return parse_rfc3339(self.manifest.created) or 0.0

    @property
    def standing(self) -> "Standing":
        """What stands at its topic once it is obeyed."""
        return Standing(self.manifest.version, parse_rfc3339(self.manifest.expires) or 0.0)


class Standing(msgspec.Struct, frozen=True):
    """A version that is wanted somewhere, until ``expires`` (seconds since the epoch; 0: without an end)."""

    version: int
    expires: float = 0.0

    def stands(self, now: float) -> bool:
        """Whether it is still an order."""
        return not self.expires or self.expires > now


class Accept(msgspec.Struct, frozen=True):
    """Start this job."""


class Known(msgspec.Struct, frozen=True):
    """Its job is known here: publish that job's report again."""


class Outranked(msgspec.Struct, frozen=True):
    """Not the newest want; ``by``: what stands above it, and what to do, as a sentence."""

    by: str


class Refuse(msgspec.Struct, frozen=True):
    """Must not be obeyed; said in the device's status."""

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
    """What to do about ``want``.

    Args:
        want: the manifest and where it was found.
        record: what was accepted under its model name before.
        known_jobs: ids of jobs that this device still has.
        wanted: scope → the want of that model that was known there before this one came.
        now: seconds since the epoch.
        clock: where that is from, as a sentence for whoever pushed what has expired.
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
        said = f"{manifest.name} {manifest.version} expired at {manifest.expires}"
        return Refuse(TrustError("expired", f"{said}; {clock}" if clock else said))
    if beside > manifest.version:
        return _outranked(manifest, others)
    return Accept()


def _forgotten(manifest: Manifest, record: ModelRecord, now: float, clock: str) -> Refuse:
    over = f"{manifest.name} was forgotten here, and with it what was made before {rfc3339(record.forgotten)}"
    cure = "push it again"
    if record.dated_ahead(now):
        cure = "that date is far ahead of this device: have the name forgotten once more, then push it again"
        cure += f"; {clock}" if clock else ""
    return Refuse(TrustError("downgrade", f"{over}, as this version {manifest.version} was; {cure}"))


def _outranked(manifest: Manifest, others: Mapping[Scope, Standing]) -> Outranked:
    scope, above = max(others.items(), key=lambda one: (one[1].version, one[0].kind == "d"))
    return Outranked(
        f"{manifest.name} {manifest.version} is not begun: version {above.version} is wanted here, by {scope}; "
        "push a higher version"
    )


def _too_large(size: int, limit: int) -> str:
    return f" and this device takes {limit} at most; set [limits] max_model_bytes = {size} there, or shrink it"


def check_limits(manifest: Manifest, max_model_bytes: int, free_bytes: int, formats: Collection[str]) -> None:
    """Raise what a job of ``manifest`` would end with, before a byte is fetched."""
    size, labelled = manifest.blob.size, manifest.eval.size if manifest.eval is not None else 0
    if manifest.format not in formats:
        raise TransferError(
            "format_unsupported",
            f"this device cannot quantize .{manifest.format} models; edge-agent doctor on it says what does not work",
        )
    if size > max_model_bytes:
        raise LimitError("model_too_large", f"the model has {size} bytes{_too_large(size, max_model_bytes)}")
    if labelled > max_model_bytes:
        raise LimitError(
            "model_too_large",
            f"the labelled set has {labelled} bytes{_too_large(labelled, max_model_bytes)}",
        )
    check_inputs(manifest.inputs)
    # The blob and the job's copy of it, candidates and a release, and room for captured data; the labelled set twice.
    # A large ONNX model may have optimised forms: of float, and of what is released.
    files = 7 if manifest.format == "onnx" and size >= LEAST_MODEL_BYTES else 5
    needed = files * size + 2 * labelled + 64 * 1024 * 1024
    if free_bytes < needed:
        raise LimitError("no_space", lacks_space(f"a job of {manifest.name}", needed, free_bytes, "state_dir"))
