"""Checks the signatures of a batch of documents in a short-lived child, one batch at a time."""

import base64
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from edge_agent.daemon.admission.documents import Document
from edge_agent.daemon.background import run_in_background
from edge_agent.daemon.events import ChildEnded
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child
from edge_agent.strict import UNDECODABLE
from edge_agent.trust.keyring import Keyring
from edge_agent.trust.question import Answer, Question

_TIMEOUT_S = 30.0

Then = Callable[[Sequence[Document], Keyring, list[set[str]] | None, str], None]
"""Receives the documents, the keys used, the signers' key ids per document or None, and the reason for None."""


class SignatureCheck:
    """``then`` is called by the consumer when a batch has been checked."""

    def __init__(self, put: Callable[[ChildEnded], None], then: Then) -> None:
        self.busy = False
        self._put = put
        self._then = then

    def start(self, documents: Sequence[Document], keyring: Keyring) -> None:
        """Check a batch; the caller must wait until the previous one is done."""
        self.busy = True
        keys = {name: base64.b64encode(raw).decode() for name, raw in keyring.keys.items()}
        question = Question(keys, [document.envelope for document in documents])
        run_in_background(
            python_child("edge_agent.trust"),
            ChildLimits(timeout_s=_TIMEOUT_S),
            self._put,
            partial(ChildEnded, partial(self._ended, documents, keyring)),
            stdin=msgspec.json.encode(question),
        )

    def _ended(self, documents: Sequence[Document], keyring: Keyring, ended: ChildExit, output: str) -> None:
        self.busy = False
        try:
            signed = [set(ids) for ids in msgspec.json.decode(output, type=Answer).signed]
        except UNDECODABLE:
            signed = []
        if len(signed) != len(documents):
            self._then(documents, keyring, None, ended.describe())
            return
        self._then(documents, keyring, signed, "")
