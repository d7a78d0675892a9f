"""The commands of an operator: roll back, cancel, recalibrate, forget. The caller has already been authorised.

They arrive through :mod:`edge_agent.daemon.local_commands` (the control socket) and
:mod:`edge_agent.daemon.remote_commands` (signed, through MQTT).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.daemon.activation.rollback import Rollback
from edge_agent.daemon.admission.rules import Want
from edge_agent.daemon.job_flow import JobFlow
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.jobs.job import Ended, cancelable
from edge_agent.state.release import Release, intact_manifest
from edge_agent.state.releases import Releases
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.topics import Scope, WantTopic, check_name

Answer = Callable[[dict[str, Any]], None]


class Commands:
    """Executes commands; each calls ``answer`` once when it is done.

    A command raises ``StoreError`` if it cannot be executed, and ``WireError`` for an invalid name.
    """

    def __init__(
        self,
        device_id: str,
        models: Path,
        ledger: JobLedger,
        flow: JobFlow,
        rollback: Rollback,
        on_forget: Callable[[str], None],
    ) -> None:
        """``on_forget`` is called with the name of a forgotten model."""
        self._device_id = device_id
        self._models = models
        self._ledger = ledger
        self._flow = flow
        self._rollback = rollback
        self._on_forget = on_forget

    def roll_back(self, model: str, version: int, answer: Answer, refuse: Callable[[EdgeAgentError], None]) -> None:
        """Activate the previous release; disk and hook take time, then ``answer`` or ``refuse`` is called."""
        self._check_active(model, version)

        def done(release: Release, problem: str) -> None:
            text = f"{model} {release.version} is active again"
            answer({"message": f"{text}; {problem}" if problem else text, "active": release.name, "hook": problem})

        self._rollback.run(model, done, refuse)

    def cancel(self, job_id: str, answer: Answer) -> None:
        """End a job whose release is not yet being activated."""
        check_name(job_id, "job")
        job = self._ledger.jobs.get(job_id)
        if job is None or job.ended:
            raise StoreError("not_active", f"no job {job_id!r} is under way here")
        if not cancelable(job):
            raise StoreError("not_active", f"job {job_id} is being activated; roll back when it has ended")
        self._flow.apply(job_id, Ended("canceled", "an operator canceled the job"))
        answer({"message": f"job {job_id} is canceled"})

    def recalibrate(self, model: str, version: int, nonce: str, answer: Answer) -> None:
        """Start a new job from the active release's manifest: new data and a new verdict for the same version."""
        release = self._check_active(model, version)
        if any(job.model == model and not job.ended for job in self._ledger.jobs.values()):
            raise StoreError("locked", f"a job of {model} is under way; recalibrate when it has ended, or cancel it")
        content = intact_manifest(Releases(self._models, model).path(release.name), release)
        topic = WantTopic(Scope("d", self._device_id), model)
        job_id = hashlib.sha256(f"{release.digest}:{nonce}".encode()).hexdigest()[:16]
        manifest = msgspec.structs.replace(decode_manifest(content), expires="")  # that was for the push
        self._flow.accept(Want(topic, manifest, content, release.digest), job_id=job_id)
        answer({"message": f"job {job_id} recalibrates {model} {release.version}", "job": job_id})

    def forget(self, model: str, when: float, answer: Answer) -> None:
        """Forget a model name: it accepts any version created after ``when``, and its active release stays active."""
        check_name(model, "model")
        jobs = [job for job in self._ledger.jobs.values() if job.model == model]
        if not jobs and self._ledger.record(model) is None:
            raise StoreError("not_active", f"this device knows no model {model!r}")
        under_way = [job for job in jobs if not job.ended]
        if busy := [job for job in under_way if not cancelable(job)]:
            raise StoreError("locked", f"job {busy[0].id} of {model} is being activated; wait until it has ended")
        for job in under_way:
            self._flow.apply(job.id, Ended("canceled", f"an operator had {model} forgotten"))
        self._ledger.forget_model(model, when)
        self._on_forget(model)
        answer({"message": f"{model} is forgotten: its next push may have any version, and the active release stays"})

    def _check_active(self, model: str, version: int) -> Release:
        releases = Releases(self._models, check_name(model, "model"))
        release = releases.active()
        if release is None:
            raise releases.none_active()
        if version and release.version != version:
            raise StoreError("not_active", f"{model} {version} is not active here; {release.version} is")
        return release
