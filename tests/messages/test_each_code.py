"""Codes in the situations in which people meet them: the message names what it is about, and says what to do.

``PROVOKED`` is a table: a code, what its message has to name, and what provokes it for real. What each message must be
besides, the fixture of all tests holds (:mod:`support.messages`).
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support import onnx_models
from support.captures import CHANNELS, Terminal, motion, serial_table
from support.jobs import make_job, run_stages

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.advice.remedy import remedy_for, split_advice
from edge_agent.backends import load
from edge_agent.daemon.admission.rules import check_limits, read_want
from edge_agent.daemon.control_socket import ask
from edge_agent.errors import CODES, EdgeAgentError
from edge_agent.jobs.task import Stage
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.settings.device import read_config
from edge_agent.sources import check_table, open_source
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.trust.keyring import read_keyring
from edge_agent.wire.envelope import Envelope, Signature, unseal
from edge_agent.wire.manifest import Blob, Gates, Manifest, Output, encode_manifest
from edge_agent.wire.messages import MAX_REPORT_BYTES, Command, decode
from edge_agent.wire.topics import Scope, WantTopic
from edge_agent.worker.quality.channels import Quality
from host_tools.push.manifest_file import read_manifest_file

TESTS = Path(__file__).parents[1]
Said = tuple[str, str]
"""A code and a message."""
ROWS = np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32)
NEWER = b'{"v": 2, "namespace": "ea/v1", "id": "a", "action": "cancel"}'
GOOD = Measured(windows=300, windows_effective=300, disagreements=3)


class Provoked(NamedTuple):
    """A code, what its message names, and what gives it in a folder, as an error or as what is said."""

    code: str
    names: tuple[str, ...]
    act: Callable[[Path], Said | None]


def model(built: Callable[[], Any]) -> Callable[[Path], None]:
    return lambda folder: inspected(onnx_models.save(built(), folder / "m.onnx"))


def inspected(path: Path) -> None:
    load("onnx").inspect(path)


def damaged(folder: Path) -> None:
    path = onnx_models.save(onnx_models.mlp(), folder / "m.onnx")
    path.write_bytes(path.read_bytes()[:-100])
    inspected(path)


def apart(folder: Path) -> None:
    inspected(onnx_models.save_with_external_data(folder / "m.onnx"))


def arrays(folder: Path, built: Callable[[], Any] = onnx_models.mlp, **fields: Any) -> Said:
    calibration = fields.pop("calibration", {"x": ROWS})
    path = onnx_models.save(built(), folder / "m.onnx")
    outcome = run_stages(make_job(folder, path, calibration, **fields), Stage.CAPTURE)
    return outcome.code, outcome.message


def given(**calibration: Any) -> Callable[[Path], Said]:
    return lambda folder: arrays(folder, calibration=calibration)


def captured(samples: np.ndarray) -> Said | None:
    """The first thing that is said of what a sensor sent, the last that refuses first."""
    quality = Quality(CHANNELS, 100)
    found = quality.add(samples.astype(np.float32)) or quality.findings()
    return (found[0].code, found[0].message) if found else None


def sensor(**changed: Any) -> Said | None:
    samples = motion(6000)
    for channel, values in changed.items():
        samples[:, CHANNELS.index(channel)] = values
    return captured(samples)


def gate(kind: str = "classes", **measured: Any) -> Callable[[Path], Said]:
    def judge(_folder: Path) -> Said:
        fields = {field: getattr(GOOD, field) for field in GOOD.__dataclass_fields__} | measured
        judgement = evaluate_heldout(Gates(), kind, Measured(**fields))  # type: ignore[arg-type]  # a word of a table
        return judgement.code, judgement.message

    return judge


def unfit(_folder: Path) -> Said:
    labelled = Measured(windows=300, windows_effective=300, lost=0, won=0, float_right=79, commonest_label=80)
    judgement = evaluate_heldout(Gates(), "classes", GOOD, labelled)
    return judgement.code, judgement.message


def opened(**table: Any) -> Callable[[Path], None]:
    return lambda folder: open_source("imu", {**serial_table(folder / "imu"), **table}).close()


def held(folder: Path) -> None:
    Terminal(folder / "imu")
    with contextlib.closing(open_source("imu", serial_table(folder / "imu"))):
        open_source("imu", serial_table(folder / "imu"))


def silent(folder: Path) -> None:
    terminal = Terminal(folder / "imu")
    with contextlib.closing(open_source("imu", serial_table(folder / "imu", silence_s=0.2))) as source:
        monitored = MonitoredSource(source, "imu")
        terminal.write(b"\nBMI270 booting\n")
        while True:
            monitored.read(0.1)
            monitored.check(10)


def noisy(folder: Path) -> Said:
    terminal = Terminal(folder / "imu")
    with contextlib.closing(open_source("imu", serial_table(folder / "imu"))) as source:
        monitored = MonitoredSource(source, "imu")
        terminal.write(b"\n1,2,3\n1,ERR,3\n")
        monitored.read(0.5)
        (finding,) = monitored.findings()
        return finding.code, finding.message


def stamped(folder: Path, step_s: float, **table: Any) -> Said:
    rows = (f"{step_s * (row + 5 * (row > 50)):.2f};{row}" for row in range(100))
    (folder / "r.csv").write_text("\n".join(["t [s];ax", *rows]))
    options = {"kind": "replay", "path": str(folder / "r.csv"), "rate": "max", **table}
    with contextlib.closing(open_source("imu", options)) as source:
        monitored = MonitoredSource(source, "imu")
        for _ in range(3):
            monitored.read()
        finding = monitored.findings()[0]
        return finding.code, finding.message


def wanted(**fields: Any) -> Manifest:
    return Manifest("ea/v1", "har", 3, "onnx", Blob("0" * 64, 5000, ["1" * 64]), targets=["d/pi-01"], **fields)


def found_at(topic: WantTopic) -> Callable[[Path], None]:
    return lambda _folder: read_want(topic, encode_manifest(wanted()), "ea/v1")  # type: ignore[func-returns-value]


def limited(max_bytes: int = 10**9, free: int = 10**12, formats: tuple[str, ...] = ("onnx",)) -> Callable[[Path], None]:
    return lambda _folder: check_limits(wanted(), max_bytes, free, formats)


def written(text: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        (folder / "M.toml").write_text(text)
        read_manifest_file(folder / "M.toml")

    return read


def configured(text: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        (folder / "config.toml").write_text(text)
        read_config(folder / "config.toml")

    return read


def locked(folder: Path) -> None:
    store = Store(folder)
    store.lock()
    with contextlib.ExitStack() as stack:
        stack.callback(store.unlock)
        Store(folder).lock()


def keys(folder: Path) -> None:
    (folder / "operator.pem").write_text("-----BEGIN NOTHING-----")
    read_keyring(folder).check_named(Envelope("e30=", "text/plain", [Signature("", "0" * 16)]), 1)


PROVOKED = [
    Provoked("model_unreadable", ("m.onnx", "truncated"), damaged),
    Provoked("model_unsupported", ("'w'", "16-bit float"), model(onnx_models.half_net)),
    Provoked("already_quantized", ("QuantizeLinear 'q'",), model(onnx_models.quantized_net)),
    Provoked("already_quantized", ("weight 'w8'", "'matmul'"), model(onnx_models.byte_weights_net)),
    Provoked("custom_operator", ("com.example.Wavelet", "'wavelet'"), model(onnx_models.custom_net)),
    Provoked("external_data", ("weight 'w",), apart),
    Provoked("input_missing", ("input 'x'", "c.npz", "'z', 'q'"), given(z=ROWS, q=ROWS)),
    Provoked("shape_mismatch", ("array 'x'", "c.npz", "11", "12"), given(x=ROWS[:, :11])),
    Provoked("shape_mismatch", ("'x' 400", "'labels' 399"), given(x=ROWS, labels=np.zeros(399, np.int64))),
    Provoked("shape_mismatch", ("array 'x' of c.npz", "single value"), given(x=np.float32(3))),
    Provoked("dtype_mismatch", ("array 'x' of c.npz", "complex64", "float32"), given(x=ROWS.astype(np.complex64))),
    Provoked("data_unreadable", ("array 'x'", "Python objects"), given(x=np.array([{}] * 400, dtype=object))),
    Provoked("non_finite", ("1 of 400", "row 7 of 'x'"), given(x=np.where(np.arange(400)[:, None] == 7, np.nan, ROWS))),
    Provoked("too_few_windows", ("2 rows", "--calibration"), given(x=ROWS[:2])),
    Provoked(
        "state_undeclared",
        ("input 'h'", "output 'hN'"),
        lambda folder: arrays(folder, onnx_models.stateful_net, calibration={"x": ROWS[:, None, :8]}),
    ),
    Provoked(
        "recipe_unsupported",
        ("[output]", "'speed'", "y"),
        lambda folder: arrays(folder, output=Output(kind="classes", name="speed")),
    ),
    Provoked("non_finite", ("'ay'", "1 of 6000"), lambda _: sensor(ay=np.where(np.arange(6000) == 9, np.inf, 1.0))),
    Provoked("constant_channel", ("'az'", "6000"), lambda _: sensor(az=9.81)),
    Provoked("stuck_channel", ("'ay'",), lambda _: sensor(ay=np.r_[motion(3000)[:, 1], np.full(3000, 0.25)])),
    Provoked("clipped_channel", ("'ax'", "0.4"), lambda _: sensor(ax=np.minimum(motion(6000)[:, 0], 0.4))),
    Provoked("duplicate_windows", ("segments",), lambda _: captured(np.tile(motion(600), (10, 1)))),
    Provoked("malformed_samples", ("1 malformed sample", "'1,ERR,3'", "'ERR'"), noisy),
    Provoked("stream_gaps", ("interrupted once",), lambda folder: stamped(folder, 0.02)),
    Provoked("wrong_rate", ("column 't [s]'", "50", "100"), lambda folder: stamped(folder, 0.02, rate_hz=100)),
    Provoked("source_unavailable", ("/imu", "cable"), opened()),
    Provoked("source_unavailable", ("[sources.imu]", "channels"), opened(channels="ax")),
    Provoked("source_unavailable", ("r.csv", "line 1", "'1,2,3'"), lambda folder: table(folder, "1,2,3\n4,5,6\n")),
    Provoked("source_busy", ("/imu", "process"), held),
    Provoked("source_silent", ("'imu'", "0.2 s", "'BMI270 booting'", "3 decimals"), silent),
    Provoked("agreement_too_low", ("14 of 300 windows", "95 %", "8"), gate(disagreements=14)),
    Provoked("accuracy_too_low", ("15 labelled windows", "3 %"), gate(disagreements=None, lost=15, won=2)),
    Provoked("too_few_windows", ("20 windows", "59"), gate(windows=20, windows_effective=20, disagreements=0)),
    Provoked("class_lost", ("class 7", "15 windows", "80 %"), gate(classes={0: (200, 200.0), 7: (15, 3.0)})),
    Provoked("sqnr_too_low", ("7.34 dB", "10 dB"), gate("regression", sqnr_db=7.34)),
    Provoked("sqnr_too_low", ("NaN or Inf", "10 dB"), gate("regression", sqnr_db=float("-inf"))),
    Provoked("size_too_large", ("1.0004", "max_size_ratio"), gate(size_ratio=1.0004)),
    Provoked(
        "latency_too_high", ("1.1", "max_latency_ratio"), gate(latency_ratio_lower=1.1, latency_ratio_upper=1.3)
    ),
    Provoked("latency_inconclusive", ("0.9", "1.2"), gate(latency_ratio_lower=0.9, latency_ratio_upper=1.2)),
    Provoked("labels_unfit", ("79 of 300", "80", "[output]"), unfit),
    Provoked("wrong_target", ("har 3", "d/pi-01", "d/pi-02/want/har"), found_at(WantTopic(Scope("d", "pi-02"), "har"))),
    Provoked("model_too_large", ("5000 bytes", "1000", "max_model_bytes"), limited(max_bytes=1000)),
    Provoked("format_unsupported", (".onnx", "doctor"), limited(formats=("tflite",))),
    Provoked("no_space", ("har", "state_dir", "67 MB"), limited(free=1000)),
    Provoked("malformed", ("Command", "truncated"), lambda _: decode(b'{"v": 1', Command) and None),
    Provoked("malformed", ("envelope",), lambda _: unseal(b"hello", "x") and None),
    Provoked("protocol_version", ("2", "1"), lambda _: decode(NEWER, Command) and None),
    Provoked("too_large", (str(MAX_REPORT_BYTES),), lambda _: decode(b" " * (MAX_REPORT_BYTES + 1), Command) and None),
    Provoked("untrusted", ("operator.pem", "keygen"), keys),
    Provoked("usage", ("M.toml", "'verson'", "'version'"), written("verson = 3")),
    Provoked("usage", ("M.toml", "[gates]", "'min_agrement'"), written('name = "har"\n[gates]\nmin_agrement = 1\n')),
    Provoked("usage", ("config.toml", "device_id"), configured("")),
    Provoked("usage", ("[sources.imu]", "'serail'", "'serial'"), lambda _: check_table("imu", {"kind": "serail"})),
    Provoked("locked", ("edge-agent",), locked),
    Provoked("not_running", ("edge-agent run",), lambda folder: ask(folder, "status", {}) and None),
    Provoked("not_active", ("'har'",), lambda folder: raised(Releases(folder, "har").none_active())),
]  # fmt: skip


def table(folder: Path, text: str) -> None:
    (folder / "r.csv").write_text(text)
    open_source("imu", {"kind": "replay", "path": str(folder / "r.csv"), "rate_hz": 50})


def raised(error: EdgeAgentError) -> None:
    raise error


@pytest.fixture
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("provoked", PROVOKED, ids=[f"{one.code}-{one.names[0]}" for one in PROVOKED])
def test_a_message_names_what_it_is_about_and_what_to_do(tmp_path: Path, provoked: Provoked) -> None:
    try:
        said = provoked.act(tmp_path)
    except EdgeAgentError as error:
        said = error.code, error.message
    assert said is not None
    code, message = said

    assert code == provoked.code, message
    assert [name for name in provoked.names if name not in message] == [], message
    if CODES[code].status != "warning" and code != "usage":
        assert split_advice(message)[1] or remedy_for(code, message) or "did you mean" in message, message


def test_every_code_is_provoked_somewhere() -> None:
    here = {one.code for one in PROVOKED}
    elsewhere = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__))

    assert [code for code in CODES if code not in here and not re.search(rf"[\"(]{code}[\")]", elsewhere)] == []
