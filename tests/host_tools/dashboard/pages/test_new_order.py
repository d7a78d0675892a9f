"""Dialogs of orders and pushes as a browser gets and sends them, of a fleet that says what we want."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from support.brokers import Broker
from support.dashboards import Answer, Dashboard, Page, dashboard
from support.device import DEMO_CHANNELS, DEMO_MODEL
from support.fake_device import FakeDevice, ends
from support.fleets import eventually

from host_tools.broker.settings import Settings
from host_tools.dashboard.pages import order_forms

NOWHERE = Settings(url="mqtt://127.0.0.1:9", namespace="t/board", broker_timeout_s=60)
IMU = {"imu": {"kind": "serial", "channels": DEMO_CHANNELS, "rate_hz": 50}}
ENDS = ends("rejected", "agreement_low")
OLDER = "b" * 16
TOML = (
    'name = "har"\n[input]\nsource = "imu"\nwindow = { size = 100, hop = 50 }\n'
    'steps = [{ op = "transpose", axes = [1, 0] }]\n'
)


@pytest.fixture(scope="module")
def board() -> Iterator[Dashboard]:
    """Three devices of a group; orders go nowhere."""
    with dashboard(NOWHERE) as one:
        results = {"chosen": {"latency_p50_ms": 4.25, "agreement": 0.913}}
        said: list[tuple[str, bytes]] = []
        for name in ("pi-1", "pi-2", "pi-3"):
            pi = one.voice(name)
            said += [
                pi.status(),
                pi.info(),
                pi.model(previous_version=6),
                pi.report(started="2026-03-01T12:00:00Z"),
                pi.report(OLDER, version=6, started="2026-02-01T12:00:00Z", results=results),
            ]
        one.keep(*said)
        yield one


def fields(page: Page) -> list[tuple[str, str]]:
    """What the page's hidden fields hold, but for the browser's token."""
    hidden = [one for one in page.all("input") if one.get("type") == "hidden" and one.get("name") != "csrf"]
    return [(str(one["name"]), str(one["value"])) for one in hidden]


def page_of(board: Dashboard, path: str) -> Page:
    answer = board.get(path)
    assert answer.status == 200, answer.text
    return Page(answer.text)


def test_a_rollback_shows_the_numbers_of_the_version_that_it_goes_back_to(board: Dashboard) -> None:
    text = page_of(board, "/orders/new?action=rollback&device=pi-1&model=har").text

    assert "7 3.00 ms 99.0 % 6 4.25 ms 91.3 %" in " ".join(text.split())


@pytest.mark.parametrize(
    ("reads", "path"),
    [("report", "/orders/new?action=rollback&device=pi-1&model=har"), ("info", "/push/{upload}?device=pi-1")],
)
def test_a_page_that_takes_long_keeps_no_other_waiting(
    board: Dashboard, monkeypatch: pytest.MonkeyPatch, reads: str, path: str
) -> None:
    reading, go_on, in_time = threading.Event(), threading.Event(), []
    real: Callable[..., object] = getattr(board.watched, reads)

    def slow(*asked: str) -> object:
        reading.set()
        in_time.append(go_on.wait(20))
        return real(*asked)

    monkeypatch.setattr(board.watched, reads, slow)
    address = path.replace("{upload}", upload(board))
    asking = threading.Thread(target=page_of, args=(board, address))
    asking.start()
    assert reading.wait(60)
    page_of(board, "/push")
    go_on.set()
    asking.join()

    assert in_time == [True]


def test_a_dialog_that_is_sent_twice_gives_one_order(board: Dashboard) -> None:
    said = fields(page_of(board, "/orders/new?action=recalibrate&group=lab&model=har"))

    answers = [board.post("/orders", said) for _ in range(2)]
    another = board.post("/orders", fields(page_of(board, "/orders/new?action=recalibrate&group=lab&model=har")))

    assert [one.status for one in answers] == [303, 303], answers[0].text
    assert answers[0].headers["Location"] == answers[1].headers["Location"] != another.headers["Location"]


def test_as_many_devices_are_ordered_as_a_form_may_name(board: Dashboard) -> None:
    targets = [("target", f"3:pi-{number}") for number in range(1200)]

    answer = board.post("/orders", [("action", "rollback"), ("model", "har"), *targets])

    assert answer.status == 303, answer.text
    (entry,) = [one for one in board.orders.ledger.entries() if len(one.devices) == 1200] if board.orders else ()
    assert entry.whom[-1] == "d/pi-1199"


def test_who_is_chosen_has_a_box_however_many_devices_there_are() -> None:
    devices = [f"pi-{number:04}" for number in range(1000)]

    shown, left = order_forms.boxed(("pi-0999", "gone"), devices)

    assert shown[:3] == ["pi-0999", "gone", "pi-0000"]
    assert (len(shown), left) == (order_forms.SHOWN_DEVICES, 1001 - order_forms.SHOWN_DEVICES)
    assert order_forms.boxed(devices, devices) == (devices, 0)


@pytest.fixture
def pushing(one_broker: Broker, namespace: str) -> Iterator[tuple[Dashboard, FakeDevice]]:
    """A dashboard whose orders reach a device."""
    with (
        dashboard(Settings(url=one_broker.url, namespace=namespace)) as one,
        FakeDevice(one_broker.url, namespace, "pi-1", [ENDS], groups=["lab"], sources=IMU) as device,
    ):
        one.keep(*(one.voice(name).info(sources=IMU) for name in ("pi-1", "pi-2")))
        yield one, device


def twice(act: Callable[[], Answer]) -> list[Answer]:
    """Both at once, as by a double click."""
    with ThreadPoolExecutor(2) as both:
        return [one.result() for one in [both.submit(act) for _ in range(2)]]


def upload(board: Dashboard) -> str:
    assert board.orders is not None
    with DEMO_MODEL.open("rb") as file:
        return board.orders.uploads.take("local", "har.onnx", file).id


def form(do: str, text: str = TOML, *whom: tuple[str, str]) -> list[tuple[str, str]]:
    return [("do", do), ("use", "text"), ("toml", text), *(whom or [("group", "lab")])]


def test_only_what_was_checked_is_sent_and_once(pushing: tuple[Dashboard, FakeDevice]) -> None:
    board, device = pushing
    path = f"/push/{upload(board)}"

    checked = Page(board.post(path, form("send")).text)
    assert "No problem was found" in checked.text, checked.text
    assert "2 devices now: pi-1, pi-2" in checked.text
    for changed in (form("send", TOML + "[gates]\nmin_agreement = 0.9\n"), form("send", TOML, ("device", "pi-1"))):
        assert "Nothing has been sent yet" in board.post(path, changed).text
    assert board.orders is not None
    assert not board.orders.ledger.entries()

    answers = twice(lambda: board.post(path, form("send", TOML.replace("\n", "\r\n"))))

    assert [one.status for one in answers] == [303, 303], answers[0].text
    assert len({one.headers["Location"] for one in answers}) == 1
    assert device.wanted.wait(60)
    assert len(board.orders.ledger.entries()) == 1
    assert board.get(path).headers["Location"] == answers[0].headers["Location"]


def test_a_version_for_a_group_names_its_devices_before(pushing: tuple[Dashboard, FakeDevice]) -> None:
    board, device = pushing
    path = f"/push/{upload(board)}"
    board.post(path, form("check", TOML, ("device", "pi-1")))
    board.post(path, form("send", TOML, ("device", "pi-1")))
    assert device.wanted.wait(60)
    assert board.orders is not None
    eventually(lambda: bool(board.orders and board.orders.ledger.entries()[0].job), 60)
    (entry,) = board.orders.ledger.entries()

    shown = page_of(board, "/orders/new?" + urlencode({"action": "push", "group": "lab", "job": entry.job}))

    assert "Push har 1 to g/lab, 2 devices now?" in shown.text
    assert {"/devices/pi-1", "/devices/pi-2"} <= {one.get("href") for one in shown.all("a")}
