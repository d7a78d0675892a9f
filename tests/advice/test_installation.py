"""Where this installation came from, and that nothing of ours is ever asked of a package index by its name."""

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from edge_agent.advice import installation
from edge_agent.advice.installation import (
    DISTRIBUTION,
    MODULES,
    absent,
    how_to_add,
    install_command,
    lacking,
    own_origin,
    require,
    requirement,
)
from edge_agent.errors import ConfigError

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SHIPPED = [
    path
    for top in (
        "edge_agent",
        "host_tools",
        "systemd",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "Makefile",
    )
    for path in ([ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".service", "") and path.is_file() and "__pycache__" not in path.parts
]
BY_NAME = re.compile(
    r"edge[-_]agent(?:-int8)?\[[a-z,]+\](?! ?@|\.)"
    r"|pip3? install[^\n]*['\" ]edge-agent(?:-int8)?(?:['\" `)\n]|==|$)"
)

Installed = Callable[[dict[str, object] | None], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Have this distribution be installed as pip would have written it down; None: from an index."""

    def install(direct_url: dict[str, object] | None) -> None:
        folder = tmp_path / "site" / f"{DISTRIBUTION.replace('-', '_')}-0.1.0.dist-info"
        folder.mkdir(parents=True)
        folder.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 0.1.0\n")
        if direct_url is not None:
            folder.joinpath("direct_url.json").write_text(json.dumps(direct_url))
        monkeypatch.syspath_prepend(folder.parent)

    return install


def test_the_distribution_is_called_as_in_the_project_file() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert [line for line in PROJECT["optional-dependencies"]["dev"] if "edge-agent" in line] == [
        f"{DISTRIBUTION}[device,demo,camera,audio,plot,exporter,collect,dashboard]"
    ], "another name there would be fetched from the index"


def test_a_folder_is_where_it_came_from(installed: Installed, tmp_path: Path) -> None:
    folder = tmp_path / "my edge agent"
    folder.mkdir()
    installed({"url": folder.as_uri(), "dir_info": {}})

    pip, *rest = shlex.split(install_command("camera"))

    assert requirement("camera") == f"edge-agent-int8[camera] @ file://{tmp_path}/my%20edge%20agent"
    assert (Path(pip), rest) == (Path(sys.prefix, "bin", "pip"), ["install", requirement("camera")])
    assert how_to_add("camera") == f"install the extra camera: {install_command('camera')}"


@pytest.mark.parametrize(
    ("direct_url", "url"),
    [
        ({"url": "https://example.org/edge_agent_int8-0.1.0-py3-none-any.whl", "archive_info": {}}, None),
        (
            {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "git+https://example.org/x.git@c0ffee",
        ),
    ],
)
def test_a_url_is_where_it_came_from(installed: Installed, direct_url: dict[str, object], url: str | None) -> None:
    installed(direct_url)

    assert requirement("plot") == f"edge-agent-int8[plot] @ {url or direct_url['url']}"


def test_an_editable_installation_stays_one(installed: Installed, tmp_path: Path) -> None:
    installed({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})

    assert shlex.split(install_command("device", "demo"))[1:] == ["install", "--editable", f"{tmp_path}[device,demo]"]


@pytest.mark.parametrize("direct_url", [None, {"url": "file:///no/such/folder/x.whl", "archive_info": {}}])
def test_what_is_not_known_or_gone_is_no_reason_to_ask_an_index(
    installed: Installed, direct_url: dict[str, object] | None
) -> None:
    installed(direct_url)

    assert (own_origin(), requirement("plot"), install_command("plot")) == (None, "", "")
    assert how_to_add("plot") == "install the extra plot from the folder or wheel that it was installed from"


def test_a_checkout_that_was_not_installed_is_its_own_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "DISTRIBUTION", "no-such-distribution")

    assert own_origin() == (ROOT.as_uri(), False)


def test_only_root_may_write_there_so_it_says_sudo(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    installed({"url": "https://example.org/x.whl", "archive_info": {}})
    monkeypatch.setattr("os.access", lambda *_: False)

    assert install_command("audio").startswith(f"sudo {sys.prefix}/bin/pip install ")


def test_every_package_of_an_extra_is_known_by_its_module() -> None:
    """So that a ``ModuleNotFoundError`` becomes the extra that brings it."""
    providers = packages_distributions()
    for extra in ("device", "camera", "audio", "plot", "demo"):
        for line in PROJECT["optional-dependencies"][extra]:
            name = re.split(r"[<>=;\[ ]", line)[0].lower()
            modules = [module for module, found in providers.items() if name in (one.lower() for one in found)]
            assert not modules or any(module in MODULES for module in modules), f"{line} brings {modules}"


def test_what_is_missing_becomes_one_sentence() -> None:
    assert lacking(["cv2"]).startswith("cv2 is not installed; install the extra camera: ")
    assert lacking(["numpy.linalg", "iotcore"]).startswith("numpy and iotcore are not installed; install the extras ")
    assert lacking(["no_module_of_ours"]) == lacking([]) == ""
    assert absent("json", "no_module_of_ours") == ["no_module_of_ours"]
    require("json", "numpy")


def test_what_is_required_and_missing_is_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "no_module_of_ours", "demo")

    with pytest.raises(ConfigError, match="no_module_of_ours is not installed; install the extra demo: "):
        require("json", "no_module_of_ours")


@pytest.mark.parametrize("text", [
    "pip install 'edge-agent[plot]'", "pip install -U edge-agent", "install edge-agent[camera]",
    "pip install edge-agent==1", "pip install 'edge-agent-int8[plot]'",
])  # fmt: skip
def test_a_name_by_itself_would_be_noticed(text: str) -> None:
    assert BY_NAME.search(text)


def test_nothing_that_we_say_or_ship_names_us_to_an_index() -> None:
    # Of the project itself, which pip takes from where it is.
    own = f'"{DISTRIBUTION}[device,demo,camera,audio,plot,exporter,collect,dashboard]"'

    assert len(SHIPPED) > 200
    for path in SHIPPED:
        text = path.read_text(encoding="utf-8").replace(own, "")
        assert not (found := BY_NAME.search(text)), f"{path.relative_to(ROOT)}: {found}"
