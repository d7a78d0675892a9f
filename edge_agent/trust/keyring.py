"""The trusted keys: those in the keys folder and in the signed key list, without the keys that the list revokes.

It reads files and needs no cryptography, so the daemon itself can reject envelopes that no verification could accept.
Keys count, not files: the same key in two files counts once. An unreadable file is reported, and the others stay valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import TrustError, WireError
from edge_agent.strict import counted, why
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.keys import KeyList, key_id, public_key_of_pem

_PUT_ONE = "put the .pem of host-tools keygen there"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The trusted keys.

    Attributes:
        keys: key id → raw public key (32 bytes).
        names: key id → the file's name without ``.pem``, or the name in the key list.
        problems: one sentence for each unused file.
    """

    keys: Mapping[str, bytes]
    names: Mapping[str, str]
    problems: tuple[str, ...] = ()

    def signers(self, envelope: Envelope) -> set[str]:
        """Return the ids of trusted keys that an envelope names. Only verification proves that they signed it."""
        return {signature.keyid for signature in envelope.signatures if signature.keyid in self.keys}

    def check_named(self, envelope: Envelope, min_signatures: int) -> None:
        """Raise ``TrustError`` (untrusted) for an envelope that no verification could accept."""
        named = len(self.signers(envelope))
        if named < min_signatures:
            raise self.too_few(envelope, named, min_signatures)

    def too_few(self, envelope: Envelope, good: int, min_signatures: int) -> TrustError:
        """Return the error for an envelope with only ``good`` valid signatures."""
        add = "sign with push-model --sign KEY"
        if good:
            add = "let the holder of another key add one with host-tools sign"
        elif self.problems and envelope.signatures:  # that key may have made one of them
            add = f"here {self.problems[0]}"
        return TrustError(
            "untrusted",
            f"{good} of {min_signatures} needed signatures are by trusted keys "
            f"({counted(len(envelope.signatures), 'signature')}, {counted(len(self.keys), 'trusted key')}); {add}",
        )


def read_keyring(keys_dir: Path, key_list: KeyList | None = None) -> Keyring:
    """Return the keys in the ``.pem`` files of a folder, changed by a key list; a missing folder has none."""
    keys: dict[str, bytes] = {}
    names: dict[str, str] = {}
    problems = []
    for path in sorted(keys_dir.glob("*.pem")):
        try:
            raw = public_key_of_pem(path.read_bytes())
        except WireError as error:
            problems.append(f"trusted key {path} {error.message}; {_PUT_ONE}")
            continue
        except OSError as error:
            problems.append(f"trusted key {path} cannot be read ({why(error)}); {_PUT_ONE}")
            continue
        known = key_id(raw)
        if known in keys:
            problems.append(f"trusted key {path} is the same key as {names[known]}.pem and counts once; remove one")
            continue
        keys[known], names[known] = raw, path.stem
    for listed in key_list.keys if key_list is not None else ():
        keys.setdefault(key_id(listed.raw()), listed.raw())
        names.setdefault(key_id(listed.raw()), listed.name)
    for revoked in key_list.revoked if key_list is not None else ():
        keys.pop(revoked, None)
    return Keyring(keys, names, tuple(problems))


def folder_state(keys_dir: Path) -> tuple[tuple[str, int, int], ...]:
    """Return a value that changes with the key files: name, modification time (ns) and size of each."""
    found = []
    for path in sorted(keys_dir.glob("*.pem")):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)
