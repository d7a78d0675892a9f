"""The draft of a manifest: complete, read as it stands, and right about what the shapes tell."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import onnx_models, tflite_models
from support.device import DEMO_MODEL, TFLITE_MODEL

from edge_agent.draft.guess import guess
from edge_agent.draft.inputs import feed_of
from edge_agent.draft.manifest import SECTIONS, draft, model_name
from edge_agent.draft.outputs import kind_of
from edge_agent.draft.states import carried
from edge_agent.draft.toml_text import inline
from edge_agent.errors import ConfigError
from edge_agent.model_file.signature import read_signature
from edge_agent.model_file.tensors import ModelTensors, Tensor
from edge_agent.settings.inputs import WindowTable
from edge_agent.wire.manifest import Gates, InputContract, Output, Recipe, State
from edge_agent.wire.steps import STEPS
from host_tools.push.fit import check_model
from host_tools.push.manifest_file import EvalTable, ManifestFile, read_manifest_file

SHAPES = st.lists(st.one_of(st.none(), st.integers(1, 300)), max_size=5).map(tuple)


def tensors(*shapes: tuple[int | None, ...] | None) -> tuple[Tensor, ...]:
    return tuple(Tensor(f"t{number}", shape, "float32") for number, shape in enumerate(shapes))


def filled(text: str, channels: int = 0) -> str:
    """What an operator makes of a draft."""
    names = ", ".join(f'"c{number}"' for number in range(channels))
    return text.replace('source = ""', 'source = "imu"').replace("channels = []", f"channels = [{names}]")


def read(folder: Path, text: str) -> ManifestFile:
    (folder / "M.toml").write_text(text, encoding="utf-8")
    return read_manifest_file(folder / "M.toml")


@pytest.mark.parametrize("kind", [InputContract, WindowTable, Output, Recipe, Gates, State, EvalTable])
def test_every_key_is_there_with_a_word_about_it(kind: type[msgspec.Struct]) -> None:
    text = draft("har.onnx", "har", read_signature(DEMO_MODEL))

    for field in msgspec.structs.fields(kind):
        lines = [line for line in text.splitlines() if re.search(rf"\b{field.encode_name} = ", line)]
        assert lines, field.encode_name
        assert all(re.search(r" # \w", line[2:]) for line in lines), lines


@pytest.mark.parametrize("kind", [kind for kind, _ in SECTIONS])
def test_no_key_is_there_that_no_manifest_has_and_defaults_are_the_real_ones(kind: type[msgspec.Struct]) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    section = next(keys for of, keys in SECTIONS if of is kind)
    text = draft("har.onnx", "har", None)

    assert section.keys() == fields.keys()
    for key, (example, _) in section.items():
        default = fields[key].default
        if not example:
            (line,) = re.findall(rf"^# ({key} = .*?) +#", text, re.MULTILINE)
            assert msgspec.convert(tomllib.loads(line)[key], type(default)) == default


def test_what_is_a_comment_can_be_used_as_it_stands(tmp_path: Path) -> None:
    text = filled(draft("har.onnx", "har", read_signature(DEMO_MODEL)), 6)
    before, recipe = text.split("[recipe]")
    recipe, after = recipe.split("# [[state]]")

    used = read(tmp_path, before + "[recipe]" + recipe.replace("\n# ", "\n") + "# [[state]]" + after)
    (tmp_path / "state").mkdir()
    states = read(tmp_path / "state", before + after.join(("[[state]]", "")).replace("\n# ", "\n"))

    assert used.name == states.name == "har"
    assert states.eval == tmp_path / "state" / "labelled.npz"


def test_several_outputs_are_drafted_a_table_each_to_be_used_instead_of_the_one(tmp_path: Path) -> None:
    outputs = (Tensor("class", (1, 5), "float32"), Tensor("odd", None, ""), Tensor("map", (1, 1, 8, 8), "float32"))
    text = filled(draft("m.onnx", "m", ModelTensors(tensors((1, 8)), outputs)), 8)
    before, several = text.split("# [[outputs]]", maxsplit=1)
    several, after = several.split("\n\n", maxsplit=1)

    used = read(tmp_path, before + "[[outputs]]" + several.replace("\n# ", "\n") + "\n\n" + after)

    assert used.outputs == [Output(kind="classes", name="class"), Output(name="odd"), Output(kind="mask", name="map")]
    assert used.first_output == used.outputs[0]


@pytest.mark.parametrize("model", [DEMO_MODEL, TFLITE_MODEL])
def test_the_demos_manifest_is_its_draft_filled_in(tmp_path: Path, model: Path) -> None:
    signature = read_signature(model)
    assert signature is not None
    text = draft(model.name, "har", signature)

    with pytest.raises(ConfigError, match="source is missing"):
        read(tmp_path, text)
    (contract,) = read(tmp_path, filled(text, 6)).inputs

    check_model([contract], [], signature)
    assert contract.window is not None
    assert contract.window.size == 100
    assert 'kind = "classes"' in text


@pytest.mark.parametrize(
    "model",
    [
        *(getattr(onnx_models, name) for name in ("conv_net", "mlp", "two_inputs", "embedding_net", "stateful_net")),
        *(getattr(tflite_models, name) for name in ("conv_net", "mlp", "two_inputs", "embedding_net", "attention_net")),
    ],
    ids=lambda make: f"{make.__module__.split('.')[-1]}.{make.__name__}",
)
def test_a_draft_of_any_model_is_a_manifest_that_fits_it(tmp_path: Path, model: object) -> None:
    made = model()  # type: ignore[operator]
    library, suffix = (tflite_models, "tflite") if isinstance(made, bytes) else (onnx_models, "onnx")
    path = library.save(made, tmp_path / f"m.{suffix}")  # type: ignore[attr-defined]
    signature = read_signature(path)
    assert signature is not None

    text = draft(path.name, "m", signature)
    feed = guess(signature).feed
    file = read(tmp_path, filled(text, feed.channels))

    states = [State(entry, exit_) for entry, exit_ in carried(signature).items()]
    if feed.channels:
        check_model([one for one in file.inputs if one.constant is None or one.name], states, signature)


@given(given_in=st.lists(SHAPES, min_size=1, max_size=3), given_out=st.lists(SHAPES, min_size=1, max_size=3))
def test_a_draft_of_any_shapes_is_read(
    tmp_path_factory: pytest.TempPathFactory, given_in: list[tuple[int, ...]], given_out: list[tuple[int, ...]]
) -> None:
    inputs, outputs = tensors(*given_in), tensors(*given_out)

    text = draft("m.onnx", "m", ModelTensors(inputs, outputs))

    assert read(tmp_path_factory.mktemp("m"), filled(text)).name == "m"


def test_a_file_that_does_not_tell_gets_a_draft_too(tmp_path: Path) -> None:
    assert read(tmp_path, filled(draft("m.onnx", "m", None))).inputs[0].window is not None


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ([(1, 7)], "classes"),
        ([(None, 7)], "classes"),
        ([(1, 1)], "binary"),
        ([(1,)], "binary"),
        ([(1, 4096)], "embedding"),
        ([(1, 100, 6)], "detection"),
        ([(1, 84, 8400)], "detection_head"),
        ([(1, 25200, 6)], "detection_head"),
        ([(1, 300, 6)], "detection"),
        ([(1, 50, 30)], "sequence"),
        ([(1, 64, 64, 2)], "mask"),
        ([(1, 3, 8)], "raw"),
        ([(1, 10, 4), (1, 10)], "detection"),
        ([(1, 7), (1, 9)], None),
        ([None], None),
    ],
)
def test_a_guess_at_the_output(outputs: list[tuple[int | None, ...] | None], kind: str | None) -> None:
    guess = kind_of(ModelTensors(tensors((1, 3, 8)), tensors(*outputs)))

    assert (guess and guess[0]) == kind


@given(st.text(max_size=100))
def test_a_name_is_one_that_may_be_a_topics(stem: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", model_name(stem))


def test_steps_of_drafts_are_steps() -> None:
    shapes = [(1, 9), (6, 100), (1, 3, 32, 32), (1, 49, 10, 1), (1, 40, 98)]
    drafted = [step for shape in shapes for step in feed_of(tensors(shape)[0]).steps]

    assert {step["op"] for step in drafted} >= {"reshape", "transpose", "scale", "mfcc", "log_mel"}
    assert {step["op"] for step in drafted} <= set(STEPS)


def test_a_name_of_any_characters_stays_one_string() -> None:
    name = "".join(map(chr, range(0x20, 0x80))) + "\x00\t\n\x7f\x85\u2028é"

    assert tomllib.loads(f"name = {inline(name)}") == {"name": name}
    drafted = draft("m.onnx", "m", ModelTensors((Tensor(name, (1, 8), "float32"),), tensors((1, 2))))
    tomllib.loads(drafted)
