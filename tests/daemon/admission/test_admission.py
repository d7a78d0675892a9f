"""What admission does at the edges of a flood, a replay and a failed check. No broker: messages are handed in."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agents import DEVICE, TOPICS, LocalAgent, wanted

from edge_agent.daemon.admission import signature_check
from edge_agent.daemon.admission.key_files import KeyFiles
from edge_agent.daemon.main import check_trust
from edge_agent.errors import StoreError, TrustError
from edge_agent.mqtt import Incoming
from edge_agent.process.program import python_child
from edge_agent.settings.device import Trust
from edge_agent.state.store import Store
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.keys import KeyList, ListedKey
from edge_agent.wire.manifest import encode_manifest
from edge_agent.wire.messages import DeviceStatus, decode, encode
from host_tools.broker.signing import enclose, generate_key

PATIENCE_S = 60


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    (tmp_path / "keys").mkdir()
    generate_key(tmp_path / "a.key", tmp_path / "keys" / "a.pem")
    agent = LocalAgent(tmp_path / "state", trust={"allow_unsigned": False, "keys_dir": str(tmp_path / "keys")}).boot()
    yield agent
    agent.off()


def signed(folder: Path, version: int = 1, model: str = "har") -> Incoming:
    payload = enclose(encode_manifest(wanted(version, model)), MANIFEST_TYPE, str(folder / "a.key"))
    return Incoming(TOPICS.want(DEVICE, model), payload, retained=False)


def unsigned(number: int, *, retained: bool = False) -> Incoming:
    payload = seal(encode_manifest(wanted(1, f"x{number}")), MANIFEST_TYPE)
    return Incoming(TOPICS.want(DEVICE, f"x{number}"), payload, retained=retained)


def until_jobs(local: LocalAgent, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(local.agent.jobs) < number:
        assert time.monotonic() < deadline
        local.step()


def refused(local: LocalAgent) -> str:
    status = decode(local.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus)
    return status.refused.code if status.refused else ""


@pytest.mark.parametrize(("retained", "again"), [(False, True), (True, False)])
def test_after_a_flood_all_orders_are_read_again(local: LocalAgent, *, retained: bool, again: bool) -> None:
    """A broker drops in silence what has no room in its queue; what it keeps is no flood, however much it is."""
    local.link.filters.clear()
    for number in range(150):
        local.handle(unsigned(number, retained=retained))

    local.agent.tick()

    assert (set(TOPICS.orders(DEVICE)) <= local.link.filters) == again


def test_a_flood_of_the_unsigned_starts_no_process(local: LocalAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_argv: str) -> list[str]:
        raise AssertionError("a process for what no check could accept")

    monkeypatch.setattr(signature_check, "python_child", started)
    for number in range(50):
        local.handle(unsigned(number))
        local.agent.tick()

    assert refused(local) == "untrusted"


def test_a_replay_costs_an_answer_a_second(local: LocalAgent, tmp_path: Path) -> None:
    order = signed(tmp_path)
    local.deliver(wanted(1), blob=True)  # its blob is here; unsigned, it is no order
    local.handle(order)
    until_jobs(local, 1)
    published = 0

    def count(topic: str, payload: bytes, **_how: object) -> object:
        nonlocal published
        published += "/job/" in topic
        return local.link

    local.settle()
    local.link.publish = count  # type: ignore[method-assign,assignment]
    began = time.monotonic()
    for _ in range(200):
        local.handle(order)

    assert published <= 2 + time.monotonic() - began


def test_who_asks_again_within_the_second_is_answered_in_the_next(local: LocalAgent, tmp_path: Path) -> None:
    """A host that pushes what is here already, and has just connected, would wait for ever."""
    order = signed(tmp_path)
    local.deliver(wanted(1), blob=True)  # its blob is here; unsigned, it is no order
    local.handle(order)
    until_jobs(local, 1)
    local.settle()
    topic = TOPICS.device(DEVICE.name, "job", next(iter(local.agent.jobs)))
    local.handle(order)
    local.link.retained.pop(topic, None)

    local.handle(order)

    deadline = time.monotonic() + PATIENCE_S
    while topic not in local.link.retained:
        assert time.monotonic() < deadline
        local.step()


def test_when_a_check_does_not_answer_each_is_checked_alone(
    local: LocalAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document must not take the others with it, whatever it does to the process that looks at it."""
    argv = [["/bin/false"]]
    monkeypatch.setattr(signature_check, "python_child", lambda *a: argv.pop() if argv else python_child(*a))
    local.agent._admission._checked_at = time.monotonic()  # so that both wait for one check
    for model in ("har", "gait"):
        local.handle(signed(tmp_path, model=model))

    until_jobs(local, 2)

    assert not argv


def test_no_daemon_starts_without_the_key_list_that_it_has(local: LocalAgent, tmp_path: Path) -> None:
    """What the list revokes would be trusted again."""
    (tmp_path / "state" / "keys.json").mkdir()

    with pytest.raises(StoreError, match="state_unreadable"):
        check_trust(local.config)


def test_a_key_list_that_is_none_is_passed_over(local: LocalAgent, tmp_path: Path) -> None:
    """A bad sector must not stop the daemon; the broker has every list."""
    (tmp_path / "state" / "keys.json").write_bytes(b"\0" * 100)

    check_trust(local.config)


def key_list(version: int, *revoked: str, keys: list[ListedKey] | None = None) -> KeyList:
    return KeyList(namespace="ea/v1", version=version, keys=keys or [], revoked=list(revoked), targets=["g/all"])


@pytest.mark.parametrize(
    ("held", "new", "code"),
    [
        (0, key_list(1), ""),
        (5, key_list(6), ""),
        (5, key_list(4), "downgrade"),
        (5, key_list(5, "0" * 16), "version_conflict"),
        (5, key_list(1006), "version_jump"),
    ],
)
def test_a_key_list_replaces_the_one_before(tmp_path: Path, held: int, new: KeyList, code: str) -> None:
    store = Store(tmp_path / "state")
    store.lock()
    generate_key(tmp_path / "a.key", tmp_path / "a.pem")
    if held:
        store.save_key_list(encode(key_list(held)))
    files = KeyFiles(Trust(keys_dir=str(tmp_path)), store)
    files.load()
    found = ""

    try:
        files.take(new, encode(new))
    except TrustError as error:
        found = error.code

    assert found == code
    assert files.list_version == (held if code else new.version)
    again = KeyFiles(Trust(keys_dir=str(tmp_path)), store)
    again.load()
    assert again.list_version == files.list_version
    store.unlock()


def test_of_many_orders_one_is_obeyed_at_each_turn(local: LocalAgent, tmp_path: Path) -> None:
    """Each may write a good deal to a slow disk, and the watchdog must not wait for all of them."""
    local.agent._admission._checked_at = time.monotonic()  # so that all wait for one check
    for number in range(10):
        local.handle(signed(tmp_path, model=f"m{number}"))
    seen = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(local.agent.jobs) < 10:
        assert time.monotonic() < deadline
        local.step()
        seen.add(len(local.agent.jobs))

    assert seen >= set(range(1, 11))
