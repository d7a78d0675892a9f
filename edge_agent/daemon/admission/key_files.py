"""The trusted keys, read again when a key file or the key list changes."""

import logging
from pathlib import Path

from edge_agent.errors import TrustError, WireError
from edge_agent.settings.device import Trust
from edge_agent.state.store import Store
from edge_agent.strict import counted
from edge_agent.trust.keyring import Keyring, folder_state, read_keyring
from edge_agent.wire.keys import KeyList, decode_key_list

log = logging.getLogger(__name__)

_MOST_AHEAD = 1000
"""List versions count up by one. A stolen key must not be able to take a version that no later list can exceed."""


def kept_key_list(store: Store) -> KeyList | None:
    """The valid key list, or None; an invalid one is logged and ignored, as the broker will deliver it again.

    Raises:
        StoreError: the list cannot be read now.
    """
    try:
        content = store.key_list()
        return decode_key_list(content) if content else None
    except WireError as error:
        log.error("%s: the key list in state_dir is ignored", error)  # noqa: TRY400  # a trace adds nothing
        return None


class KeyFiles:
    """Used from the consumer only, which calls :meth:`changed` once a second."""

    def __init__(self, trust: Trust, store: Store) -> None:
        self._folder = Path(trust.keys_dir)
        self._min_signatures = trust.min_signatures
        self._store = store
        self._state: tuple[object, ...] = ()
        self._list: KeyList | None = None
        self._logged: tuple[str, ...] = ()
        self.keyring = Keyring({}, {})

    def changed(self) -> bool:
        """Whether the trusted keys have changed since the last call."""
        state = folder_state(self._folder)
        if state == self._state:
            return False
        self._state = state
        return self._read()

    def load(self) -> None:
        """Read key files and key list at the start."""
        self._state = folder_state(self._folder)
        self._list = kept_key_list(self._store)
        self._read()

    @property
    def list_version(self) -> int:
        """The version of the valid key list; 0 if there is none."""
        return self._list.version if self._list is not None else 0

    def holds(self, key_list: KeyList) -> bool:
        """Whether exactly this list is in force."""
        return key_list == self._list

    def take(self, key_list: KeyList, content: bytes) -> None:
        """Put a key list in force that is signed by currently trusted keys.

        Raises:
            TrustError: ``downgrade``, ``version_conflict``, ``version_jump``; ``untrusted``: too few keys would remain.
            LimitError: ``no_space``; nothing has changed then.
        """
        known = self.list_version
        if key_list.version < known:
            raise TrustError(
                "downgrade",
                f"key list {key_list.version} is older than {known}, which is valid here; see host-tools keys",
            )
        if key_list.version == known and not self.holds(key_list):
            raise TrustError(
                "version_conflict", f"key list {known} exists here with other content; sign one of a higher version"
            )
        if key_list.version > known + _MOST_AHEAD:
            raise TrustError(
                "version_jump",
                f"key list {key_list.version} is more than {_MOST_AHEAD} above {known}, which is valid here; "
                f"sign one of version {known + 1}",
            )
        left = read_keyring(self._folder, key_list)
        if len(left.keys) < self._min_signatures:
            raise TrustError(
                "untrusted",
                f"key list {key_list.version} would leave {counted(len(left.keys), 'key')}, and this device requires "
                f"{counted(self._min_signatures, 'signature')}; add a key before the last one is revoked",
            )
        self._store.save_key_list(content)
        self._list = key_list
        self._read()

    def _read(self) -> bool:
        before = self.keyring
        self.keyring = read_keyring(self._folder, self._list)
        if self.keyring.problems != self._logged:
            self._logged = self.keyring.problems
            for problem in self._logged:
                log.warning("untrusted: %s; the other keys stay valid", problem)
        return dict(before.keys) != dict(self.keyring.keys)
