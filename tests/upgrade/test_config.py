"""The TOML files that operators wrote for version 0.1.0 mean the same to this one.

The files, with every key of then, and what that version read from them are ``tests/fixtures/v0_1_0/config``. A
default that changes on purpose fails here, too: an operator who left the key out gets another device than before.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from support import configs
from support.upgrades import FIXTURES, lost

from edge_agent.cli import main

CONFIG = FIXTURES / "v0_1_0" / "config"
PARSED: dict[str, Any] = json.loads((CONFIG / "parsed.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", configs.DEVICES)
def test_a_device_is_configured_as_then(name: str) -> None:
    assert not list(lost(PARSED["devices"][name], configs.device(CONFIG / f"{name}.toml")))


@pytest.mark.parametrize("name", configs.DEVICES)
def test_a_configuration_of_then_has_no_wrong_key(name: str) -> None:
    assert main(["check-config", "--config", str(CONFIG / f"{name}.toml")]) == 0


@pytest.mark.parametrize("name", configs.MANIFESTS)
def test_an_operators_manifest_says_the_same(name: str) -> None:
    then = {key: value for key, value in PARSED["manifests"][name].items() if key != "digest"}

    assert not list(lost(then, configs.manifest(CONFIG / f"{name}.toml")))


@pytest.mark.parametrize("name", configs.MANIFESTS)
def test_pushing_it_again_is_the_same_job(name: str) -> None:
    """The device's answer to a push of what it has had is its old report, not a new job."""
    assert configs.manifest(CONFIG / f"{name}.toml")["digest"] == PARSED["manifests"][name]["digest"]


@pytest.mark.parametrize("name", configs.RECIPES)
def test_a_recipe_says_the_same(name: str) -> None:
    assert not list(lost(PARSED["recipes"][name], configs.recipe(CONFIG / f"{name}.toml")))


def test_an_operators_settings_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in configs.HOST_FILES:
        (tmp_path / name).touch()

    assert not list(lost(PARSED["host"], configs.host(CONFIG / "host.toml", tmp_path)))
