from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings.recipe import RecipeFile, read_recipe
from edge_agent.wire.manifest import AS_FLOAT, Gates, MinGain, Output, Recipe, State

MANIFEST = """
name = "har"
version = 3
[input]
source = "imu"
channels = ["ax", "ay"]
window = { size = 128, hop = 64 }
[output]
kind = "classes"
[recipe]
calibration = "mse"
search_budget_s = 5
[gates]
min_agreement = 0.9
max_latency_ratio = 0
[eval]
file = "eval.npz"
[[state]]
input = "state"
output = "stateN"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "R.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_every_default(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "")) == RecipeFile(Recipe(), Gates(), Output(), [])


def test_a_manifest_is_a_recipe_file(tmp_path: Path) -> None:
    recipe_file = read_recipe(write(tmp_path, MANIFEST))

    recipe, gates = recipe_file.recipe, recipe_file.gates
    assert (recipe.calibration, recipe.search_budget_s, recipe.method) == ("mse", 5, "auto")
    assert (gates.min_agreement, gates.max_latency_ratio) == (0.9, 0)
    assert recipe_file.output.kind == "classes"
    assert recipe_file.state == [State(input="state", output="stateN")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[recipee]", "unknown key 'recipee'; did you mean 'recipe'?"),
        ("[recipe]\nmethd = 'auto'", "[recipe]: unknown key 'methd'; did you mean 'method'?"),
        ("[gates]\nmin_agrement = 0.9", "[gates]: unknown key 'min_agrement'; did you mean 'min_agreement'?"),
        ("[gates]\nmin_agreement = 1.5", "[gates] min_agreement: must be a number <= 1.0, not 1.5"),
        ("[gates]\nmin_agreement = 'high'", "[gates] min_agreement: must be a number, not 'high'"),
        ("[output]\nkind = 'clases'", "[output] kind: 'clases' is unknown; did you mean 'classes'?"),
        ("[[state]]\ninput = 'a'", "[state]: "),
        ("[state]\ninput = 'a'\noutput = 'b'", "write [[state]]"),
        ("recipe = 3", "write [recipe]"),
        ("[[recipe]]", "write [recipe]"),
        ("[recipe", "R.toml is not valid TOML: "),
        ("[recipe]\ncalibration_windows = 0", "[recipe] calibration_windows: must be a whole number >= 1"),
        ("[gates]\nmax_latency_ratio = inf", "[gates] max_latency_ratio: must be a finite number, not inf"),
        ("[gates]\nmin_agreement = nan", "[gates] min_agreement: "),
        ("[gates]\nmax_peak_rss_bytes = -1", "[gates] max_peak_rss_bytes: must be a whole number >= 0"),
        ("[gates]\nmin_gain = { tme = 0.1 }", "[gates] min_gain: unknown key 'tme'; did you mean 'time'?"),
        ("[gates]\nmin_gain = { size = 20 }", "[gates] min_gain.size: must be a number <= 1.0, not 20"),
        ("[gates]\nmin_gain = 0.1", "[gates] min_gain: must be a table, not 0.1"),
        ("[gates]\nlatency_margin = 2", "[gates] latency_margin: must be a number <= 1.0, not 2"),
        ("[recipe]\naccept = ['int8', 'fp61']", "[recipe] accept[1]: 'fp61' is unknown; did you mean 'fp16'?"),
        ("[recipe]\naccept = ['int8', 'int8']", "accept lists a precision twice; remove the repetition"),
        ("[recipe]\naccept = []", "[recipe] accept: must be a list of length >= 1, not []"),
        ("[recipe]\nacept = ['int8']", "[recipe]: unknown key 'acept'; did you mean 'accept'?"),
        ("[recipe]\nprefer = 'sped'", "[recipe] prefer: 'sped' is unknown; did you mean 'speed'?"),
        ("[output]\nthreshold = nan", "[output] threshold: must be a finite number, not nan"),
        ("[output]\ntolerance = inf", "[output] tolerance: must be a finite number, not inf"),
        ("[[state]]\ninput = 'a'\noutput = 'b'\ninitial = inf", "[state] initial: must be a finite number, not inf"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, text))

    assert caught.value.code == "usage"
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("gates", "read"),
    [
        ("", Gates()),
        ("max_latency_ratio = 1.0", Gates(max_latency_ratio=AS_FLOAT)),
        ("max_latency_ratio = 1", Gates(max_latency_ratio=AS_FLOAT)),
        ("max_latency_ratio = 1.0\nlatency_margin = 0", Gates(max_latency_ratio=AS_FLOAT)),
        ("max_latency_ratio = 1\nlatency_margin = 0.02", Gates(latency_margin=0.02)),
        ("max_latency_ratio = 1.1", Gates(max_latency_ratio=1.1)),
        ("max_latency_ratio = 0", Gates(max_latency_ratio=0.0)),
        ("latency_margin = 0", Gates(max_latency_ratio=AS_FLOAT)),
        ("max_latency_ratio = 1.5\nlatency_margin = 0", Gates(max_latency_ratio=1.5, latency_margin=0.0)),
        ("min_gain = { time = 0 }", Gates(min_gain=MinGain(0.0, 0.2, 0.2))),
    ],
)
def test_a_limit_of_latency_that_is_written_has_no_margin_but_a_written_one(
    tmp_path: Path, gates: str, read: Gates
) -> None:
    assert read_recipe(write(tmp_path, f"[gates]\n{gates}")).gates == read


SEVERAL = """
[[outputs]]
name = "class"
kind = "classes"
[[outputs]]
kind = "detection"
boxes = "corners"
scores = "sure"
[gates]
min_class_recall = 0.9
"""


def test_several_outputs_have_a_table_each(tmp_path: Path) -> None:
    recipe_file = read_recipe(write(tmp_path, SEVERAL + "[output]\n"))

    assert recipe_file.outputs == [
        Output(kind="classes", name="class"), Output(kind="detection", boxes="corners", scores="sure")
    ]  # fmt: skip
    assert recipe_file.output == Output()
    assert recipe_file.gates.min_class_recall == 0.9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SEVERAL.replace("name", "nam"), "[[outputs]] 1: unknown key 'nam'; did you mean 'name'?"),
        (SEVERAL.replace("classes", "clases"), "[[outputs]] 1 kind: 'clases' is unknown; did you mean 'classes'?"),
        (SEVERAL.replace('name = "class"', ""), "[[outputs]] 1: name is missing; add the name of the model output"),
        (SEVERAL.replace('"sure"', '"class"'), "[[outputs]] 2: output 'class' is named in two of them; keep one"),
        (SEVERAL.replace('scores = "sure"', ""), "[[outputs]] 2: boxes, scores and classes need kind"),
        (SEVERAL + "[output]\nkind = 'classes'", "[output] is for one output, [[outputs]] for several; write [output]"),
        ("[outputs]\nname = 'a'", "outputs is a list of tables; write [[outputs]]"),
        ("outputs = ['a']", "[outputs] must be a table; write [[outputs]]"),
        ("[[output]]\nname = 'a'", "write [output]"),
        ("[gates]\nmin_class_recall = 80", "[gates] min_class_recall: must be a number <= 1.0, not 80"),
        ("[gates]\nmin_recall = 0.8", "[gates]: unknown key 'min_recall'; did you mean 'min_class_recall'?"),
    ],
)
def test_a_mistake_about_several_outputs_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, text))

    assert caught.value.code == "usage"
    assert says in caught.value.message


def test_bytes_that_are_no_text_are_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "R.toml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"R\.toml"):
        read_recipe(path)
