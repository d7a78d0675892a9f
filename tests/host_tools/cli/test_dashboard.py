"""``host-tools dashboard`` and ``dashboard-user`` as a person types them, as far as nothing is served."""

import io
from pathlib import Path

import pytest
from support.certificates import write_certificate
from support.host import Host

from host_tools.cli.app import main
from host_tools.dashboard.access.users import read_users
from host_tools.dashboard.access.viewer import Viewer


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host("mqtt://127.0.0.1:9", "t/nobody", tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--listen", "0.0.0.0:0"], "--users FILE"),
        (["--listen", "[::]:0"], "--users FILE"),
        (["--listen", "0.0.0.0:0", "--users", "users"], "in the clear"),
        (["--trusted-proxy", "127.0.0.1"], "--users FILE"),
        (["--users", "users", "--tls-cert", "cert.pem"], "belong together"),
        (["--users", "nobody"], "names nobody"),
        (["--allow-commands"], "--sign KEY"),
    ],
)
def test_a_page_that_others_could_read_does_not_start(options: list[str], says: str, host: Host) -> None:
    for name in ("users", "nobody"):
        (host.folder / name).touch(0o600)
    write_certificate(host.folder)
    add_anna(host)

    files = {one: str(host.folder / one) for one in ("users", "nobody", "cert.pem")}

    ended = host.run(main, "dashboard", *(files.get(one, one) for one in options))

    assert ended.exit == 2, ended.err
    assert says in ended.err


def add_anna(host: Host) -> None:
    host.monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    ended = host.run_bare(main, "dashboard-user", "anna", host.folder / "users", "--role", "operator")
    assert (ended.exit, "anna may log in as operator" in ended.out) == (0, True), ended.err


def test_a_person_is_added_with_a_role_and_a_password_that_is_not_stored(host: Host) -> None:
    add_anna(host)

    text = (host.folder / "users").read_text(encoding="utf-8")
    assert "correct horse" not in text
    assert read_users(host.folder / "users").check("anna", "correct horse") == Viewer("anna", "operator")


@pytest.mark.parametrize(("role", "password", "says"), [("chief", "correct horse", "no role"), ("viewer", "x", "8")])
def test_a_person_without_a_known_role_or_with_a_short_password_is_not_added(
    role: str, password: str, says: str, host: Host
) -> None:
    host.monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))

    ended = host.run_bare(main, "dashboard-user", "anna", host.folder / "users", "--role", role)

    assert (ended.exit, says in ended.err) == (2, True), ended.err
    assert not (host.folder / "users").exists()
