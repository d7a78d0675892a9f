"""The README keeps its promises: every code and gate is in it, its paths exist, its commands are known."""

import re
from pathlib import Path

import msgspec

from edge_agent.cli import COMMANDS
from edge_agent.errors import CODES
from edge_agent.wire.manifest import Gates
from edge_agent.wire.steps import STEPS
from edge_agent.wire.steps.audio import LogMel

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def codes_table() -> str:
    """What belongs into the README; print it after a change: python tests/test_readme.py."""
    rows = ["| code | a job ends | meaning | what to do |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {code.status} | {code.meaning} | {code.remedy} |" for name, code in CODES.items()]
    return "\n".join(rows)


def test_every_code_is_there_with_its_meaning_and_remedy() -> None:
    assert codes_table() in README


def test_every_gate_is_explained() -> None:
    for gate in Gates.__struct_fields__:
        assert f"| `{gate}` |" in README


def test_every_step_is_explained_with_its_options() -> None:
    for name, kind in STEPS.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        shared = msgspec.structs.fields(LogMel) if name == "mfcc" else ()
        options = {field.encode_name for field in msgspec.structs.fields(kind)} - {
            field.encode_name for field in shared
        }
        for option in options:
            assert f"`{option}`" in row, f"{name} {option}"


def test_every_code_that_the_source_raises_is_in_the_list_and_none_is_dead() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for top in ("edge_agent", "host_tools") for path in (ROOT / top).rglob("*.py")
        if path.name != "errors.py"
    )  # fmt: skip

    assert [code for code in CODES if f'"{code}"' not in sources] == []


def test_paths_and_commands_that_it_names_exist() -> None:
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(
        r"`((?:worker|host_tools|edge_agent|backends|sources|calibration|quant)/[a-z_/.]*)`", README
    ):
        assert any((base / path).exists() for base in (ROOT, ROOT / "edge_agent")), path
    for command in re.findall(r"(?:^|`)(?:sudo )?edge-agent ([a-z][a-z-]+)\b", README, re.MULTILINE):
        assert command in COMMANDS, command


if __name__ == "__main__":
    print(codes_table())  # noqa: T201  # for people
