"""``edge-agent rollback`` where no daemon runs: it takes the lock and runs the hook itself."""

import shutil
from pathlib import Path

import pytest
from support.agents import LocalAgent

from edge_agent.cli import main
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        ("", ""),
        (shutil.which("true") or "true", ""),
        (shutil.which("false") or "false", "; the hook ended with 1: "),
        ("/usr/local/bin/not-there", "; the hook ended with 127: /usr/local/bin/not-there: No such file or directory"),
    ],
    ids=["no hook", "hook", "hook that refuses", "hook that is not there"],
)
def test_a_rollback_needs_no_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hook: str, problem: str
) -> None:
    state = tmp_path / "state"
    before = LocalAgent(state).boot()
    for version in (1, 2):
        before.want(version)
        before.settle()
    before.off()
    config = tmp_path / "config.toml"
    hooks = f"[activation]\nhook = ['{hook}']\n" if hook else ""
    config.write_text(f'device_id = "pi-01"\nstate_dir = "{state}"\n{hooks}')

    code = main(["rollback", "har", "--config", str(config)])

    active = Releases(state / "models", "har").active()
    after = Store(state)
    after.lock()  # which the command gave back
    after.unlock()
    assert code == 0
    assert capsys.readouterr().out == f"har 1 is active again{problem}\n"
    assert active is not None
    assert active.version == 1
    event = before.events()[-1]
    assert (event.kind, event.version) == ("rolled_back", 2), "which the daemon publishes when it starts"
    assert event.message == "rolled back har from 2 to 1, with no agent running"
    assert event.seq > 10**12
    assert event.boot_id
