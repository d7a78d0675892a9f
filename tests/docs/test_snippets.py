"""What pages show of TOML, Python, JSON and YAML is what its reader takes."""

import ast
import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.markdown import PAGES, blocks, name

from edge_agent.settings.device import Config, parse_config
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.recipe import NOT_HERE, RecipeFile, read_recipe
from edge_agent.sources import check_table
from edge_agent.strict import strict
from host_tools.broker.settings import Settings
from host_tools.push.manifest_file import read_manifest_file

CONFIG = set(Config.__struct_fields__)
MANIFEST = {*RecipeFile.__struct_fields__, *NOT_HERE}

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def shown(language: str) -> list[Any]:
    """Every block of a language, each as a case of its own that is named after its page."""
    found = [(page, number, block.text) for page in PAGES for number, block in enumerate(blocks(page, language), 1)]
    return [pytest.param(text, id=f"{name(page)} {number}") for page, number, text in found]


@pytest.mark.parametrize("text", shown("toml"))
def test_toml_is_a_configuration_a_manifest_or_settings_of_the_host(text: str, tmp_path: Path) -> None:
    tables = tomllib.loads(text)
    path = tmp_path / "shown.toml"
    path.write_text(text, encoding="utf-8")

    if "project" in tables:  # of another package
        return
    if tables.keys() <= CONFIG:
        config = parse_config({"device_id": "pi-01"} | tables, "page")
        for source, table in config.sources.items():
            check_table(source, table)
    elif "broker" in tables:
        strict(tables, Settings, "page")
    elif "name" in tables:
        read_manifest_file(path)
    else:
        assert tables.keys() <= MANIFEST
        read_recipe(path)
        if {"input", "inputs"} & tables.keys():
            read_inputs(path, tables)


@pytest.mark.parametrize("text", shown("python"))
def test_python_is_python_and_what_it_imports_is_there(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(
    ("text", "read"),
    [pytest.param(*case.values, read, id=case.id) for language, read in
     (("json", json.loads), ("yaml", yaml.safe_load)) for case in shown(language)],
)  # fmt: skip
def test_data_is_data(text: str, read: Any) -> None:
    assert read(text)


def test_every_language_is_one_that_is_looked_at() -> None:
    known = {"sh", "toml", "python", "json", "yaml", "text", "ini", "js", "nginx", "sql", ""}

    assert {block.language for page in PAGES for block in blocks(page)} <= known


def test_a_wrong_key_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="device_idd"):
        test_toml_is_a_configuration_a_manifest_or_settings_of_the_host('device_idd = "pi-01"\n[mqtt]\n', tmp_path)
