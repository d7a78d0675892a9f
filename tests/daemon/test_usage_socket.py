"""The door that every user of the device may write to: who knocks how hard changes nothing but what is counted."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.unprivileged import NOBODY, open_folder

from edge_agent.daemon import usage_socket
from edge_agent.daemon.usage_socket import UsageSocket
from edge_agent.telemetry.usage import MOST_BYTES, SOCKET_NAME, Usage, encode_usage

ONE = encode_usage(Usage(model="har", version=1, latencies=[(7, 1)]))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[UsageSocket]:
    agent = UsageSocket(tmp_path)
    agent.open()
    yield agent
    agent.close()
    assert not (tmp_path / SOCKET_NAME).exists()


def send(folder: Path, *datagrams: bytes, descriptors: list[int] | None = None) -> int:
    """How many the kernel took."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(str(folder / SOCKET_NAME))
        for datagram in datagrams:
            try:
                socket.send_fds(sender, [datagram], descriptors or [])
            except BlockingIOError:
                break
            sent += 1
    return sent


def somebody_sends(folder: Path, first: str = "") -> None:
    """One datagram of a process of its own, which does ``first``."""
    path = str(folder / SOCKET_NAME)
    code = f"import os, socket\n{first}\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto({ONE!r}, {path!r})"
    subprocess.run([sys.executable, "-S", "-W", "ignore", "-c", code], check=True)


def drain(agent: UsageSocket) -> list[tuple[Usage, int]]:
    """Everything that waits, a second's share after the other."""
    found = []
    while True:
        before, some = agent.dropped, list(agent.read())
        found += some
        if not some and agent.dropped == before:
            return found


def test_the_kernel_says_whose_it_is(agent: UsageSocket, tmp_path: Path) -> None:
    send(tmp_path, ONE)

    assert [(usage.model, pid) for usage, pid in agent.read()] == [("har", os.getpid())]
    assert list(agent.read()) == []
    assert agent.dropped == 0


def test_what_is_too_large_or_senseless_is_counted(agent: UsageSocket, tmp_path: Path) -> None:
    sent = send(tmp_path, b"", b"\xff" * 100, ONE + b" " * MOST_BYTES, b"[" * 4000, ONE)

    assert sent == 5
    assert len(drain(agent)) == 1
    assert agent.dropped == 4


def test_one_process_has_its_share(agent: UsageSocket, tmp_path: Path) -> None:
    sent = taken = 0
    for _ in range(20):
        sent += send(tmp_path, *[ONE] * 10)
        taken += len(drain(agent))

    assert sent == 200
    assert 30 <= taken < 100
    assert agent.dropped == sent - taken


def test_of_many_processes_only_the_newest_are_remembered(
    agent: UsageSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_socket, "_MOST_PROCESSES", 2)
    for _ in range(4):
        somebody_sends(tmp_path)
        send(tmp_path, ONE)
    assert len(drain(agent)) == 8

    assert len(agent._allowances) == 2
    assert agent.dropped == 0


def test_at_most_so_much_is_read_at_once(agent: UsageSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_socket, "_AT_ONCE", 3)
    assert send(tmp_path, *[ONE] * 5) == 5

    assert len(list(agent.read())) == 3
    assert len(list(agent.read())) == 2


def test_descriptors_that_come_along_are_not_kept(agent: UsageSocket, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with (tmp_path / "file").open("w") as file:
        for _ in range(4):
            send(tmp_path, ONE, descriptors=[file.fileno()] * 3)
            assert len(drain(agent)) == 1

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_of_any_depth_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    agent = UsageSocket(deep)
    agent.open()
    assert stat.S_ISSOCK((deep / SOCKET_NAME).stat().st_mode)
    agent.close()


def test_where_it_cannot_listen_it_says_so_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    agent = UsageSocket(tmp_path / "nowhere")
    agent.open()

    assert list(agent.read()) == []
    assert "No such file or directory; serving statistics of applications are not reported" in caplog.text


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_an_application_of_another_user_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the umask of the service, in a folder as ``StateDirectoryMode=`` makes it."""
    with open_folder() as folder:
        umask = os.umask(0o077)
        agent = UsageSocket(folder)
        agent.open()
        os.umask(umask)
        somebody_sends(folder, f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})")

        assert len(drain(agent)) == 1
        agent.close()


def test_what_is_not_counted_is_logged_with_whose_it_was_once_an_hour(
    agent: UsageSocket, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(tmp_path, b"noise", b"noise", b"noise")
    assert drain(agent) == []
    assert len(caplog.messages) == 1
    assert f"1 datagrams were not counted, the last one of process {os.getpid()}" in caplog.messages[0]

    monkeypatch.setattr(usage_socket, "_LOG_EVERY_S", 0)
    send(tmp_path, b"noise")
    drain(agent)
    assert "3 datagrams were not counted" in caplog.messages[-1]
