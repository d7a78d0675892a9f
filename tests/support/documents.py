"""Manifests and messages whose bytes, as version 0.1.0 wrote them, lie in ``tests/fixtures/v0_1_0/wire``."""

import hashlib

import msgspec

from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.manifest import Blob, Gates, InputContract, Manifest, Output, Recipe, State, Window
from edge_agent.wire.messages import (
    ActiveRelease,
    Command,
    DeviceInfo,
    DeviceStatus,
    Done,
    JobReport,
    Need,
    Refused,
)

KEY_SEED = bytes(range(32))
"""Of the Ed25519 key that signed the envelopes: anybody may know it, and nobody trusts it."""
DATA = bytes(range(251)) * 1200
"""A blob of three chunks."""
PAGES = digest_pages(iter(DATA[at : at + CHUNK_BYTES] for at in range(0, len(DATA), CHUNK_BYTES)))
BLOB = Blob(hashlib.sha256(DATA).hexdigest(), len(DATA), [hashlib.sha256(page).hexdigest() for page in PAGES])
EVAL = Blob("5" * 64, 130 << 20, ["6" * 64, "7" * 64])
IMU = InputContract(
    source="imu", channels=["ax", "ay"], window=Window(128, 64),
    steps=[{"op": "standardize", "mean": [0, 9.8], "std": [2, 2.5]}, {"op": "transpose", "axes": [1, 0]}],
)  # fmt: skip
MINIMAL = Manifest("ea/v1", "har", 1, "onnx", BLOB)
SENT = msgspec.structs.replace(
    MINIMAL, version=7, inputs=[IMU], output=Output(kind="classes"), targets=["d/pi-01", "g/lab", "g/all"],
    created="2026-11-29T18:00:00Z", expires="2026-12-29T18:00:00Z",
)  # fmt: skip

_NUMBER_STEPS = [
    {"op": "scale", "factor": 0.5, "offset": -1.0},
    {"op": "clip", "low": -3, "high": 3.5},
    {"op": "reshape", "shape": [1, -1]},
    {"op": "cast", "dtype": "float32"},
]
_PICTURE_STEPS = [
    {"op": "resize", "height": 96, "width": 128, "method": "bicubic", "antialias": False},
    {"op": "resize", "shorter": 64},
    {"op": "center_crop", "height": 64, "width": 64},
    {"op": "color", "from": "rgb", "to": "gray"},
]
_MEL = {
    "n_fft": 512, "win_length": 400, "hop_length": 160, "window": "hamming", "center": False, "pad_mode": "reflect",
    "frame": "win_length", "power": 1.0, "n_mels": 40, "fmin": 20.0, "fmax": 7600.0, "mel_scale": "htk",
    "triangles": "mel", "norm": "none", "log": "ln", "amin": 1e-6, "offset": 1e-6, "top_db": 0.0, "sr": 16000,
}  # fmt: skip
_SOUND = InputContract(source="mic", channels=["left"], window=Window(16000, 8000), name="sound", rate_hz=16000.0)
CONTRACTS = {
    "numbers": InputContract(source="imu", channels=["x"], window=Window(8, 8), steps=_NUMBER_STEPS, rate_hz=104.0),
    "pictures": InputContract(
        source="front", channels=["r", "g", "b"], window=Window(1, 15), steps=_PICTURE_STEPS, frame=(240, 320)
    ),
    "mel": msgspec.structs.replace(_SOUND, steps=[{"op": "log_mel", **_MEL}]),
    "mfcc": msgspec.structs.replace(_SOUND, steps=[{"op": "mfcc", **_MEL, "n_mfcc": 13, "dct": "tf", "lifter": 22}]),
}
"""Every step with every option."""

OUTPUTS = {
    "binary": Output(kind="binary", threshold=0.25, name="p"),
    "regression": Output(kind="regression", tolerance=0.1),
    "embedding": Output(kind="embedding", tolerance=0.98),
    "raw": Output(kind="raw"),
    "anomaly": Output(kind="anomaly", threshold=-4.5),
    "detection": Output(kind="detection", threshold=0.3, tolerance=0.6, boxes="b", scores="s", classes="c"),
    "sequence": Output(kind="sequence", blank=-1, alphabet="abc é"),
    "mask": Output(kind="mask", threshold=0.5, tolerance=0.9),
}
"""Every kind but the one that ``SENT`` has, with its options."""

MANIFESTS = {
    "minimal": MINIMAL,
    "sent": SENT,
    "labelled": msgspec.structs.replace(SENT, version=2**53 - 1, format="tflite", eval=EVAL),
    "several_inputs": msgspec.structs.replace(
        SENT, inputs=[msgspec.structs.replace(IMU, name="a"), InputContract(name="rate", constant=[[0.5, 1]])]
    ),
    "stateful": msgspec.structs.replace(
        SENT, state=[State("h", "hN"), State("c", "cN", initial=-0.5, reset="never")], output=OUTPUTS["regression"]
    ),
    "recipe": msgspec.structs.replace(
        SENT,
        recipe=Recipe(
            method="static", calibration="mse", calibration_windows=500, search_windows=200, heldout_windows=400,
            search_budget_s=90.5, threads=(1, 2, 4), io="int8", counting="exact",
        ),
    ),
    "gates": msgspec.structs.replace(
        SENT,
        gates=Gates(
            min_agreement=0.98, max_accuracy_drop=0.01, min_sqnr_db=20.0, max_latency_ratio=0.8, max_size_ratio=0.5,
            max_peak_rss_bytes=200_000_000,
        ),
    ),
    **{name: msgspec.structs.replace(SENT, inputs=[contract]) for name, contract in CONTRACTS.items()},
    **{name: msgspec.structs.replace(SENT, output=output) for name, output in OUTPUTS.items()},
}  # fmt: skip

_STAMP = {"ts": "2026-11-29T18:00:00.123Z", "seq": 1_795_975_410_554, "boot_id": "0e7f0b1c-8a8c-4d2b-b8c0-111213141516"}
MESSAGES = {
    "status": DeviceStatus(
        device="pi-01", online=True, agent_version="0.1.0", refused_count=3, clock_plausible=False,
        refused=Refused("har", "0123456789abcdef", "untrusted", "0 of 1 needed signatures"), **_STAMP,
    ),
    "will": DeviceStatus(device="pi-01", online=False, agent_version="0.1.0", boot_id=_STAMP["boot_id"]),
    "info": DeviceInfo(
        device="pi-01", groups=["lab"], agent_version="0.1.0", board="Raspberry Pi 5 Model B Rev 1.0", arch="aarch64",
        cpu="Cortex-A76", cores=4, memory_bytes=8_000_000_000, python="3.11.2", runtimes={"onnxruntime": "1.32.0"},
        formats=["onnx", "tflite"], sources={"imu": {"kind": "serial", "rate_hz": 50, "shared": {"state": "open"}}},
        active=[ActiveRelease("har", 7, "0123456789abcdef", "accepted", "onnxruntime 1.32.0", stale=True)],
        highest={"har": 8}, thermal={"celsius": 51.5, "governor": "ondemand"}, confinement=["landlock", "seccomp"],
        **_STAMP,
    ),
    "report": JobReport(
        device="pi-01", job="0123456789abcdef", model="har", version=7, stage="activate", status="succeeded",
        code="accepted", message="int8 does what float does", progress=1.0, detail="", eta_s=2.5,
        started="2026-11-29T17:50:00.000Z", seconds={"receive": 1.5, "capture": 300.0},
        release="/var/lib/edge-agent/models/har/releases/7-0123456789abcdef",
        results={"verdict": "accepted", "chosen": {"ratio_p50": 0.61, "gates": []}, "reference": None}, **_STAMP,
    ),
    "need": Need(device="pi-01", sha256=BLOB.sha256, chunks=[(1, 1), (40, 63)], pages=[(0, 0)], **_STAMP),
    "rollback": Command(
        namespace="ea/v1", id="c-0001", action="rollback", model="har", version=7, targets=["d/pi-01"],
        created="2026-11-29T18:00:00Z", expires="2026-11-30T18:00:00Z",
    ),
    "cancel": Command(
        namespace="ea/v1", id="c-0002", action="cancel", job="0123456789abcdef", targets=["g/lab"],
        created="2026-11-29T18:00:00Z", expires="2026-11-30T18:00:00Z",
    ),
    "recalibrate": Command(
        namespace="ea/v1", id="c-0003", action="recalibrate", model="har", version=7, targets=["g/all"],
        created="2026-11-29T18:00:00Z", expires="2026-11-30T18:00:00Z",
    ),
    "done": Done(device="pi-01", command="c-0001", code="no_previous", message="har 7 has no previous", **_STAMP),
}  # fmt: skip
