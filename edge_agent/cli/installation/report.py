"""The closing lines for the operator: the running version, removed versions, and the next steps."""

import sys
from pathlib import Path

from edge_agent.cli.installation.processes import runs_from
from edge_agent.cli.installation.service import NotReadyError
from edge_agent.cli.installation.versions import CURRENT, Versions
from edge_agent.settings.device import DEFAULT_PATH, Trust

_FIRST = f"""
next:
  1. sudo edge-agent init        asks for device id, broker and sensor; or sudoedit {DEFAULT_PATH}
  2. copy the public keys (*.pem) of those who may push to {Trust().keys_dir}
  3. edge-agent check-config
  4. sudo systemctl enable --now edge-agent
  5. sudo edge-agent doctor"""


def report_upgrade(prefix: Path, folder: Path, before: Path | None, pid: int | None, *, runs: bool) -> None:
    """Report the running version: the daemon that was restarted as ``pid``, or one that still ``runs``."""
    if pid is not None and runs_from(pid, folder):
        print(f"running    {folder}, as process {pid}")
    elif pid is not None:
        print(f"warning    the service does not run from {folder}; this shows why: systemctl cat edge-agent")
    if before is None:
        print(_FIRST)
        return
    if pid is None:
        print(f"\nnext: sudo systemctl {'restart' if runs else 'enable --now'} edge-agent")
    print(f"to go back: sudo ln -sfn {before.name} {prefix / CURRENT} && sudo systemctl restart edge-agent")


def report_way_back(
    error: BaseException, folder: Path, before: Path | None, *, restarted: NotReadyError | bool
) -> None:
    """Report an upgrade that was undone, and the state of the version before.

    Args:
        error: the reason.
        folder: the folder of the new version.
        before: the folder of the version before.
        restarted: whether the version before was restarted, or its failure.
    """
    why = f"did not become ready: {error}" if isinstance(error, NotReadyError) else "was interrupted"
    now = f"{before or 'the program before'} was restored"
    if isinstance(restarted, NotReadyError):
        now += f", but did not become ready either: {restarted}"
    elif restarted:
        now += " and runs again"
    sys.stdout.flush()
    print(f"edge-agent install: {folder} {why}. Now {now}; see journalctl -u edge-agent -n 50", file=sys.stderr)
    print(f"The next installation removes {folder}.", file=sys.stderr)


def clean(versions: Versions, *kept: Path | None) -> None:
    """Remove all other versions, and report each."""
    for path, pids in versions.remove_all_but(*kept):
        if pids:
            print(f"kept       {path}, from which processes run: {', '.join(map(str, pids))}")
        else:
            print(f"removed    {path}")
