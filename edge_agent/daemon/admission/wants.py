"""Executes trusted wants: the newest of each topic, the highest version first, each with an answer.

An answer is a job's report, or a refusal in the device's status. An outranked want gets a ``superseded`` report that
the broker does not retain. A want whose job is no longer stored is answered from its model's record.
"""

import logging
from collections.abc import Collection, Iterator, Sequence

from edge_agent.daemon.admission.documents import Document
from edge_agent.daemon.admission.rules import Accept, Known, Outranked, Refuse, Standing, Want, decide, read_want
from edge_agent.daemon.job_flow import JobFlow
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.publisher import Publisher
from edge_agent.errors import EdgeAgentError, TrustError
from edge_agent.state.clock import Clock
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope, WantTopic

log = logging.getLogger(__name__)


class Wants:
    """Tracks the wanted versions by scope. Used from the consumer only."""

    def __init__(
        self, namespace: str, ledger: JobLedger, flow: JobFlow, publisher: Publisher, clock: Clock, *, unsigned: bool
    ) -> None:
        self._namespace = namespace
        self._unsigned = unsigned
        self._ledger = ledger
        self._flow = flow
        self._publisher = publisher
        self._clock = clock
        self._versions: dict[str, dict[Scope, Standing]] = {}
        """model → scope → version and expiry of the last accepted trusted want."""

    @property
    def models(self) -> Collection[str]:
        """The model names under which a version was accepted here."""
        return self._ledger.models

    def cleared(self, topic: WantTopic) -> None:
        """Forget the want of a cleared topic."""
        self._versions.get(topic.model, {}).pop(topic.scope, None)

    def forget(self, model: str) -> None:
        """Forget a model's wants, as its name was reset."""
        self._versions.pop(model, None)

    def republish(self, job: str) -> bool:
        """Publish a job's report again, at most once a second, as anybody may ask; False if the job is unknown."""
        if job not in self._ledger.jobs:
            return False
        self._ledger.answer(job)
        return True

    def decide(self, documents: Sequence[Document]) -> Iterator[tuple[Document, EdgeAgentError | None]]:
        """Execute trusted wants; yields each document when it is done, with the reason if it was refused.

        An internal error in one want does not keep the others from their answers.
        """
        found: list[tuple[Document, Want]] = []
        for document in documents:
            if not isinstance(document.topic, WantTopic):
                continue
            try:
                found.append((document, read_want(document.topic, document.envelope.content(), self._namespace)))
            except EdgeAgentError as error:
                yield document, error
        newest = {document.topic: document for document, _ in found}
        for document, want in sorted(found, key=lambda one: _rank(one[1])):
            if newest[document.topic] is not document:
                self._answer(want, "canceled", "superseded", "a newer want replaced it before it was started")
                yield document, None
                continue
            refused: EdgeAgentError | None = None
            try:
                self._obey(document, want)
            except EdgeAgentError as error:
                refused = error
            except Exception:
                log.exception("internal: want of %s", want.manifest.name)
                refused = TrustError("internal", f"{want.manifest.name} failed here; report it with the log")
            yield document, refused

    def _obey(self, document: Document, want: Want) -> None:
        if not self._unsigned:
            self._clock.seen(want.created)
        name = want.manifest.name
        versions = self._versions.setdefault(name, {})
        record = self._ledger.record(name)
        decision = decide(want, record, self._ledger.jobs.keys(), versions, self._clock.now(), self._clock.told())
        versions.pop(want.topic.scope, None)  # the new want has replaced the topic's previous one
        match decision:
            case Accept():
                versions[want.topic.scope] = want.standing
                self._flow.accept(want)
            case Known():
                versions[want.topic.scope] = want.standing
                if not document.answered and not self.republish(want.job):
                    self._answer_from_record(want)
            case Outranked(by):
                self._answer(want, "canceled", "superseded", by)
            case Refuse(error):
                expected = record is not None and not record.dated_ahead(self._clock.now())
                if record is not None and expected and want.created < record.forgotten and not document.live:
                    return  # a want retained since before its name was forgotten has no waiting sender
                raise error

    def _answer_from_record(self, want: Want) -> None:
        """Report how a job ended whose own report is no longer stored."""
        record = self._ledger.record(want.manifest.name)
        if record is None:
            return
        text = "it ended like this before, and its report is no longer stored; push a higher version to try again"
        release = self._ledger.active_release(want.manifest.name, want.digest)
        self._answer(want, record.status, record.code, text, release=release)

    def _answer(self, want: Want, status: str, code: str, message: str, *, release: str = "") -> None:
        """Publish a report for a job that is not stored here; the broker does not retain it."""
        self._publisher.answer(
            JobReport(
                device="", job=want.job, model=want.manifest.name, version=want.manifest.version,
                stage="activate" if release else "receive", status=status, code=code, message=message,
                started=rfc3339(self._clock.now()), release=release,
            )
        )  # fmt: skip


def _rank(want: Want) -> tuple[int, bool]:
    """Sort key: the highest version first; of equal versions the device's own."""
    return -want.manifest.version, want.topic.scope.kind != "d"
