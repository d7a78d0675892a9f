"""The operator's M.toml."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.wire.chunks import CHUNK_BYTES
from edge_agent.wire.digests import content_digest
from edge_agent.wire.manifest import Window, decode_manifest, encode_manifest
from host_tools.push.manifest_file import build_manifest, model_format, read_blob, read_manifest_file

INPUT = """
[input]
source = "imu"
channels = ["ax", "ay"]
window = { size = 128, hop = 64 }
steps = [{ op = "transpose", axes = [1, 0] }]
"""


SECONDS = """
[input]
source = "imu"
rate_hz = 50
window = { seconds = 2.0, hop_seconds = 1.0 }
"""

TWO = """
[[inputs]]
name = "x"
source = "imu"
channels = ["ax", "ay"]
window = { size = 8, hop = 8 }
rate_hz = 50
[[inputs]]
name = "y"
source = "imu"
channels = ["ay"]
window = { size = 8, hop = 8 }
rate_hz = 50
steps = [{ op = "reshape", shape = [2, 4] }]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "M.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_that_the_file_says_is_in_the_manifest(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'name = "har"\nversion = 3\n' + INPUT + '[output]\nkind = "classes"\n[recipe]\ncalibration = "mse"\n'
        "[gates]\nmin_agreement = 0.9\n[eval]\nfile = 'e.npz'\n",
    )
    model = tmp_path / "har.onnx"
    model.write_bytes(b"model" * 50_000)

    file = read_manifest_file(path)
    blob = read_blob(model)
    manifest = build_manifest(
        file, namespace="ea/v1", version=3, model=("onnx", blob), evaluation=None, targets=["d/pi-01"],
        created="2026-01-01T00:00:00Z", expires="2026-02-01T00:00:00Z",
    )  # fmt: skip

    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert (manifest.name, manifest.version, manifest.output.kind) == ("har", 3, "classes")
    assert manifest.inputs[0].window is not None
    assert manifest.inputs[0].window.size == 128
    assert manifest.inputs[0].steps == [{"op": "transpose", "axes": [1, 0]}]
    assert manifest.recipe.calibration == "mse"
    assert manifest.gates.min_agreement == 0.9
    assert blob.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert file.eval == tmp_path / "e.npz"


def test_the_job_does_not_depend_on_targets_or_time(tmp_path: Path) -> None:
    file = read_manifest_file(write(tmp_path, 'name = "har"' + INPUT))
    (tmp_path / "m.onnx").write_bytes(b"x")
    blob = read_blob(tmp_path / "m.onnx")

    digests = {
        content_digest(
            encode_manifest(
                build_manifest(
                    file,
                    namespace="ea/v1",
                    version=1,
                    model=("onnx", blob),
                    evaluation=None,
                    targets=[target],
                    created=created,
                    expires="2030-01-01T00:00:00Z",
                )
            )
        )
        for target, created in (("d/pi-01", "2026-01-01T00:00:00Z"), ("g/lab", "2026-05-01T00:00:00Z"))
    }

    assert len(digests) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "har"\nverson = 3' + INPUT, ["verson", "did you mean 'version'"]),
        ('name = "har"' + INPUT + "[gate]\nmin_agreement = 1", ["gate", "did you mean 'gates'"]),
        ('name = "har"' + INPUT + "[gates]\nmin_agrement = 1", ["min_agrement", "did you mean 'min_agreement'"]),
        ('name = "har"' + INPUT + '[recipe]\ncalibration = "mce"', ["recipe", "mce"]),
        ('name = "har"' + INPUT.replace("source", "sorce"), ["sorce", "did you mean 'source'"]),
        ('name = "har"' + INPUT.replace("hop", "stride"), ["window", "stride"]),
        ('name = "har"' + INPUT + '[eval]\nfil = "e"', ["eval", "did you mean 'file'"]),
        ('name = "Har"' + INPUT, ["'Har'"]),
        ('nam = "har"' + INPUT, ["did you mean 'name'"]),
        (INPUT, ["name is missing"]),
        ('name = "har"\nversion = 0' + INPUT, ["version"]),
        ('name = "har"\nversion = true' + INPUT, ["version"]),
        (f'name = "har"\nversion = {2**53}' + INPUT, ["from 1 to 9007199254740991", "leave it out"]),
        ('name = "har"', ["[input] is missing"]),
        ('name = "har"\n[input]\nsource = "imu"', ["window is missing"]),
        ('name = "har"' + INPUT.replace("size = 128", "siz = 128"), ["window", "did you mean 'size'"]),
        ('name = "har"' + INPUT.replace("size = 128", "size = 0"), ["window", ">= 1"]),
        ('name = "har"' + INPUT.replace("size = 128, ", ""), ["window", "size is missing"]),
        ('name = "har"' + INPUT.replace("hop = 64", "seconds = 2"), ["not both"]),
        ('name = "har"' + SECONDS.replace("rate_hz = 50\n", ""), ["set rate_hz"]),
        ('name = "har"' + SECONDS.replace(", hop_seconds = 1.0", ""), ["hop_seconds is missing"]),
        ('name = "har"' + SECONDS.replace("2.0", "0.33"), ["0.33 s at 50 Hz are 16.5 samples", "0.32 s"]),
        ('name = "har"' + SECONDS.replace("2.0", "inf"), ["window"]),
        ('name = "har"' + SECONDS.replace("= 50", "= 0"), ["rate_hz", "> 0"]),
        ('name = "har"' + SECONDS.replace("= 50", "= nan"), ["rate_hz"]),
        ('name = "har"\n[input]\nsource = "imu"\nwindow = 3', ["must be a table"]),
        ('name = "har"\n[[inputs]]\nname = "a"\nconstant = 1\nrate_hz = 50', ["leave out rate_hz"]),
        ('name = "har"' + TWO.replace("hop = 8", "hop = 4", 1), ["share source, window, rate_hz and frame"]),
        ('name = "har"' + INPUT + '[[inputs]]\nname = "x"', ["one of them"]),
        ('name = "har"\n[[inputs]]\nconstant = 1', ["needs the name"]),
        ('name = "har"\n[[inputs]]\nname = "a"\nconstant = 1', ["at least one"]),
        ('name = "har"\ninput = 3', ["must be a table"]),
        ('name = "har"' + INPUT + '[output]\nkind = "raw"\n[[outputs]]\nname = "a"', ["[[outputs]] for several"]),
        ('name = "har"' + INPUT + '[[output]]\nname = "a"', ["write [output]"]),
        ('name = "har"' + INPUT + '[[outputs]]\nkind = "raw"', ["[[outputs]] 1: name is missing"]),
        ('name = "har"' + INPUT + '[[ouputs]]\nname = "a"', ["ouputs", "did you mean 'outputs'"]),
        ('name = "har', ["M.toml"]),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        read_manifest_file(path)

    assert caught.value.code == "usage"
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (INPUT.replace("{ op =", "{ opp ="), "recipe_unsupported", ["[input] steps 1", "every step needs op"]),
        (INPUT.replace("transpose", "transpos"), "recipe_unsupported", ["steps 1", "did you mean 'transpose'"]),
        (INPUT.replace("axes", "axis"), "recipe_unsupported", ["has no option 'axis'; did you mean 'axes'"]),
        (INPUT.replace("[1, 0]", "[0, 2, 1]"), "shape_mismatch", ["transpose on a tensor of 128x2"]),
        (INPUT.replace('"transpose", axes = [1, 0]', '"log_mel"'), "recipe_unsupported", ["set rate_hz"]),
        (TWO.replace("[2, 4]", "[3, 4]"), "shape_mismatch", ["[[inputs]] y steps 1", "its 8 values"]),
    ],
)
def test_a_step_that_no_device_could_do_is_found_before_anything_is_sent(
    tmp_path: Path, text: str, code: str, words: list[str]
) -> None:
    path = write(tmp_path, 'name = "har"' + text)

    with pytest.raises(EdgeAgentError) as caught:
        read_manifest_file(path)

    assert caught.value.code == code
    for word in [str(path), *words]:
        assert word in caught.value.message


def test_seconds_are_samples_when_they_travel(tmp_path: Path) -> None:
    in_seconds = read_manifest_file(write(tmp_path, 'name = "har"' + SECONDS)).inputs
    in_samples = read_manifest_file(
        write(tmp_path, 'name = "har"' + SECONDS.replace("seconds = 2.0, hop_seconds = 1.0", "size = 100, hop = 50"))
    ).inputs

    assert in_seconds == in_samples
    assert in_seconds[0].window == Window(100, 50)
    assert in_seconds[0].rate_hz == 50


@given(samples=st.integers(1, 100_000), rate_hz=st.sampled_from([0.5, 12.5, 26, 50, 59.5, 104, 416, 16_000, 44_100]))
@settings(deadline=None)
def test_every_number_of_samples_can_be_said_in_seconds(
    tmp_path_factory: pytest.TempPathFactory, samples: int, rate_hz: float
) -> None:
    seconds = f"{{ seconds = {samples / rate_hz!r}, hop_seconds = 2.0 }}"
    text = f'[input]\nsource = "imu"\nrate_hz = {rate_hz}\nwindow = {seconds}\n'

    window = read_manifest_file(write(tmp_path_factory.mktemp("m"), 'name = "har"\n' + text)).inputs[0].window

    assert window is not None
    assert window.size == samples


def test_several_inputs(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'name = "har"\n[[inputs]]\nname = "x"\nsource = "imu"\nwindow = { size = 8, hop = 8 }\n'
        '[[inputs]]\nname = "gain"\nconstant = [1.0, 2.0]\n',
    )

    inputs = read_manifest_file(path).inputs

    assert [contract.name for contract in inputs] == ["x", "gain"]
    assert inputs[1].constant == [1.0, 2.0]


def test_a_model_is_known_by_its_name() -> None:
    assert model_format(Path("a.onnx")) == "onnx"
    assert model_format(Path("a.TFLITE")) == "tflite"
    with pytest.raises(ConfigError, match=r"\.onnx or \*\.tflite"):
        model_format(Path("a.pt"))


def test_no_model_and_an_empty_model_are_usage_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()

    for name in ("absent.onnx", "empty.onnx"):
        with pytest.raises(ConfigError, match=name) as caught:
            read_blob(tmp_path / name)
        assert caught.value.code == "usage"


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3 * CHUNK_BYTES))
def test_a_blob_of_any_size_has_its_plan(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.mktemp("blob") / "m.onnx"
    path.write_bytes(bytes(size))

    blob = read_blob(path)

    assert blob.size == size
    assert len(blob.pages) == blob.plan.pages
