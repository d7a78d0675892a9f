from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from host_tools.dashboard.access import passwords
from host_tools.dashboard.access.attempts import AT_ONCE, EVERY_S, IN_ALL_AT_ONCE, Attempts
from host_tools.dashboard.access.exposure import expose
from host_tools.dashboard.access.record import AT_ONCE as SAID_AT_ONCE
from host_tools.dashboard.access.record import EVERY_S as SAID_EVERY_S
from host_tools.dashboard.access.record import Record
from host_tools.dashboard.access.sessions import IDLE_S, LONGEST_S, MOST, Sessions
from host_tools.dashboard.access.users import Users, read_users, write_users
from host_tools.dashboard.access.viewer import Viewer

EVERYWHERE = "0.0.0.0"  # noqa: S104  # nothing listens
ANNA = Viewer("anna", "operator")
HASH = "scrypt:16384:8:5:bLpQKrhG8dcmRVoxJ9jQOw==:2A8HmMzui6v9qQYiHhbpiX2/7b0Aa34lHFwatcUsuUU="
"""Of ``correct horse``."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_file_of_people_lets_in_who_knows_the_password(tmp_path: Path) -> None:
    path = tmp_path / "users"
    write_users(
        path, Users({}).with_one("anna", "operator", "correct horse").with_one("shop", "viewer", "battery staple")
    )

    users = read_users(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert "horse" not in path.read_text(encoding="utf-8")
    assert users.check("anna", "correct horse") == ANNA
    assert users.check("shop", "battery staple") == Viewer("shop", "viewer")
    assert users.check("anna", "battery staple") is None
    assert users.check("nobody", "") is None
    assert users.check("anna", "x" * 10_000_000) is None


def test_notes_of_a_person_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(f"# the shop's people\nshop viewer {HASH}\n#gone: bert\n", encoding="utf-8")

    write_users(path, read_users(path).with_one("anna", "operator", "correct horse"))

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["#", "#gone:", "anna", "shop"]
    assert lines[3] == f"shop viewer {HASH}"


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(f"anna operator {HASH}\nanna viewer {HASH}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="line 2: anna is listed twice"):
        read_users(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("anna operator", "NAME ROLE HASH"),
        ("anna chief scrypt:1:1:1:a:a", "no role"),
        ("anna operator scrypt:16384:8:5:YQ==:YQ==", "no hash"),
        ("anna operator scrypt:1073741824:8:5:AAAAAAAAAAAAAAAAAAAAAA==:AAAA", "no hash"),
    ],
)
def test_a_line_that_says_nobody_is_named(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(f"# people\n{line}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=f"line 2.*{says}"):
        read_users(path)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch()
    path.chmod(0o640)

    with pytest.raises(ConfigError, match="chmod 600"):
        read_users(path)


@pytest.mark.parametrize(("name", "password"), [("Anna Smith", "correct horse"), ("anna", "short")])
def test_a_bad_name_or_a_short_password_is_refused(name: str, password: str) -> None:
    with pytest.raises(ConfigError):
        Users({}).with_one(name, "viewer", password)


def test_a_hash_matches_its_password_only() -> None:
    assert passwords.matches("correct horse", HASH)
    assert not passwords.matches("correct horse ", HASH)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (0, "plain"), (1, "3"), (1, "x"), (1, "1073741824"), (2, "1"), (3, "0"), (4, ""), (5, ""), (5, "AAAA"),
        (5, "x:x"),
    ],
)  # fmt: skip
def test_what_is_no_hash_matches_nothing(part: int, value: str) -> None:
    parts = HASH.split(":")
    parts[part] = value
    stored = ":".join(parts)

    assert not passwords.is_hash(stored)
    assert not passwords.matches("correct horse", stored)


def test_a_session_ends_idle_and_after_half_a_day_and_on_leaving() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    idle, busy, gone = (sessions.begin(ANNA) for _ in range(3))
    sessions.end(gone)

    assert sessions.viewer(gone) is None
    while clock.now < 1000 + LONGEST_S - IDLE_S / 2:
        clock.now += IDLE_S / 2
        assert sessions.viewer(busy) == ANNA
    assert sessions.viewer(idle) is None
    clock.now += IDLE_S
    assert sessions.viewer(busy) is None


def test_what_a_page_does_by_itself_keeps_no_session_open() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    cookie = sessions.begin(ANNA)
    clock.now += IDLE_S - 1

    assert sessions.viewer(cookie, used=False) == ANNA
    clock.now += 2
    assert sessions.viewer(cookie, used=False) is None


def test_sessions_are_bounded() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first = sessions.begin(ANNA)
    for _ in range(MOST):
        clock.now += 0.001
        sessions.begin(ANNA)

    assert sessions.viewer(first) is None


def test_a_few_may_be_tried_at_once_then_one_now_and_then() -> None:
    clock = Clock()
    attempts = Attempts(clock)

    assert [attempts.wait_s("192.0.2.1") for _ in range(AT_ONCE)] == [0] * AT_ONCE
    assert 0 < attempts.wait_s("192.0.2.1") <= EVERY_S
    assert attempts.wait_s("192.0.2.2") == 0
    clock.now += EVERY_S
    assert attempts.wait_s("192.0.2.1") == 0
    assert attempts.wait_s("192.0.2.1") > 0


def test_a_try_that_succeeds_costs_nothing_and_those_before_it_count() -> None:
    attempts = Attempts(Clock())
    for _ in range(AT_ONCE - 1):
        assert attempts.wait_s("192.0.2.1") == 0
    for _ in range(3):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.succeeded("192.0.2.1")

    assert attempts.wait_s("192.0.2.1") == 0
    assert attempts.wait_s("192.0.2.1") > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("nowhere", "nowhere", True),
    ],
)
def test_addresses_that_one_person_has_count_as_one(one: str, other: str, *, same: bool) -> None:
    attempts = Attempts(Clock())
    for _ in range(AT_ONCE):
        assert attempts.wait_s(one) == 0

    assert (attempts.wait_s(other) > 0) == same


def test_many_strangers_may_not_try_for_ever_and_lock_nobody_out_who_was_here() -> None:
    attempts = Attempts(Clock())
    assert attempts.wait_s("198.51.100.1") == 0
    attempts.succeeded("198.51.100.1")

    assert sum(attempts.wait_s(f"192.0.2.{number}") == 0 for number in range(IN_ALL_AT_ONCE + 20)) < IN_ALL_AT_ONCE + 1
    assert attempts.wait_s("198.51.100.2") > 0
    assert attempts.wait_s("198.51.100.1") == 0


def test_what_is_said_of_visitors_is_bounded_and_counted() -> None:
    clock = Clock()
    said: list[str] = []
    record = Record(said.append, clock)
    for number in range(SAID_AT_ONCE + 10):
        record.note(f"visit {number}")

    assert len(said) == SAID_AT_ONCE
    clock.now += SAID_EVERY_S
    record.note("a\nforged line\x1b[31m" + "W" * 10_000)
    assert said[-1].startswith("a forged line")
    assert said[-1].endswith("… (10 more before this)")
    assert said[-1].isprintable()
    assert len(said[-1]) < 400


@pytest.mark.parametrize(
    ("host", "people", "proxy", "says"),
    [
        (EVERYWHERE, "", "", "--users FILE"),
        (EVERYWHERE, "anna", "", "in the clear"),
        ("::", "", "", "--users FILE"),
        ("dash.lan", "anna", "", "in the clear"),
        ("127.0.0.1", "", "127.0.0.1", "--users FILE"),
        ("127.0.0.1", "anna", "proxy.lan", "must be the proxy's address"),
    ],
)
def test_beyond_loopback_nothing_is_shown_without_people_and_a_safe_way(
    host: str, people: str, proxy: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        expose(host, login=bool(people), tls_cert=None, tls_key=None, proxy=proxy, names=())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_nothing_is_needed(host: str) -> None:
    names = ("dash.lan", "board.lan:8443", "*.pi.lan", "")
    exposure = expose(host, login=False, tls_cert=None, tls_key=None, proxy="", names=names)

    assert not exposure.secure
    assert all(map(exposure.knows, ("DASH.lan:8080", "board.lan:8443", "one.pi.lan")))
    assert not any(map(exposure.knows, ("other.lan", "a.b.pi.lan", "pi.lan", "", ":8080")))


def test_a_certificate_needs_its_key_and_is_read(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"

    with pytest.raises(ConfigError, match="belong together"):
        expose(EVERYWHERE, login=True, tls_cert=cert, tls_key=None, proxy="", names=())
    cert.write_text("x")
    with pytest.raises(ConfigError, match="no certificate in PEM"):
        expose(EVERYWHERE, login=True, tls_cert=cert, tls_key=cert, proxy="", names=())
