import io
from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from host_tools.dashboard.orders import uploads
from host_tools.dashboard.orders.uploads import KEPT_S, MOST, Uploads


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_model_is_kept_under_a_name_of_ours_and_goes_with_the_program(tmp_path: Path) -> None:
    kept = Uploads()

    one = kept.take("anna", "../../etc/My Model.ONNX", io.BytesIO(b"float"))

    assert one.path.is_relative_to(tmp_path)
    assert (one.path.name, one.path.read_bytes()) == ("my-model.onnx", b"float")
    assert one.path.parent.stat().st_mode & 0o777 == 0o700
    assert kept.get(one.id, "anna") is one
    assert kept.get(one.id, "shop") is None
    kept.forget()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "data"), [("a.exe", b"x"), ("onnx", b"x"), ("a.onnx", b"")])
def test_what_is_no_model_leaves_nothing(name: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Uploads().take("anna", name, io.BytesIO(data))

    assert not list(tmp_path.glob("*/*"))


def test_a_model_that_is_too_large_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1 << 20)

    with pytest.raises(ConfigError, match="1 MiB at most"):
        Uploads().take("anna", "a.onnx", io.BytesIO(bytes((1 << 20) + 1)))

    assert not list(tmp_path.glob("*/*"))


def test_only_some_wait_and_none_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    kept = Uploads(clock)
    first = [kept.take("anna", "a.onnx", io.BytesIO(b"x")) for _ in range(MOST)]

    with pytest.raises(ConfigError, match="models wait here"):
        kept.take("anna", "a.onnx", io.BytesIO(b"x"))
    kept.claim(first[0].id)
    clock.now += KEPT_S + 1
    assert kept.take("anna", "a.onnx", io.BytesIO(b"x")).path.exists()
    assert [one.path.exists() for one in first] == [True] + [False] * (MOST - 1)
    kept.drop(first[0].id)
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_a_model_is_sent_by_one_order_and_stays_while_it_is() -> None:
    kept = Uploads()
    one = kept.take("anna", "a.onnx", io.BytesIO(b"x"))
    kept.claim(one.id)

    with pytest.raises(ConfigError):
        kept.claim(one.id)
    kept.give_up(one.id)
    assert one.path.exists()
    kept.release(one.id)
    kept.claim(one.id)
    kept.release(one.id)
    kept.give_up(one.id)
    assert not one.path.parent.exists()
    with pytest.raises(ConfigError, match="choose its file again"):
        kept.claim(one.id)


def test_each_request_reads_its_own_manifest() -> None:
    one = Uploads().take("anna", "a.onnx", io.BytesIO(b"x"))

    with one.noted("first") as first, one.noted("second") as second:
        assert (first.read_text(), second.read_text()) == ("first", "second")
    assert [path.name for path in one.path.parent.iterdir()] == ["a.onnx"]
