"""``host-tools keygen``: makes a key that signs manifests and commands."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from host_tools.broker.signing import generate_key, new_passphrase


def keygen(
    *,
    name: Annotated[Path, typer.Argument(metavar="NAME", help="writes NAME.key (keep it secret) and NAME.pem")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="protect NAME.key with a passphrase, required for every signature")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts")] = False,
) -> None:
    """Make an Ed25519 key pair. Sign with push-model --sign NAME.key; give NAME.pem to every device.

    A device executes orders that are signed by a key in its [trust] keys_dir (/etc/edge-agent/trusted-keys). With
    allow_unsigned = true in its configuration it requires no signatures. For use without a terminal,
    EDGE_AGENT_PASSPHRASE_FILE names a file that contains the passphrase.
    """
    private, public = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pem")
    keyid = generate_key(private, public, new_passphrase(private) if passphrase else b"")
    if as_json:
        print(json.dumps({"keyid": keyid, "private": str(private), "public": str(public)}))
        return
    print(f"{private}   private: keep it secret; sign with push-model --sign {shlex.quote(str(private))}")
    print(f"{public}   public: copy it into /etc/edge-agent/trusted-keys of every device")
    print(f"key id {keyid}")
