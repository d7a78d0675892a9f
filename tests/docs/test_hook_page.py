"""``docs/hook.md`` says what the unit does, and its own units and script are sound."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hook.md").read_text(encoding="utf-8")
UNIT = (ROOT / "systemd" / "edge-agent.service").read_text(encoding="utf-8")


def file(path: str) -> str:
    """What the page writes into a file."""
    found = re.search(rf"```\w*\n(?:#!/bin/sh\n)?# {re.escape(path)}.*?\n(.*?)```", PAGE, re.DOTALL)
    assert found, path
    return found[1]


def test_what_the_unit_is_said_to_have_it_has() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    said = [one for row in rows for one in re.findall(r"`([^`]+)`", row)]

    assert "NoNewPrivileges=yes" in said
    assert [one for one in said if f"\n{one}" not in UNIT] == []


@pytest.mark.systemd
def test_the_units_of_the_page_are_sound(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze: sudo apt install systemd")
    names = ("my-app-release.path", "my-app-release.service")
    for name in names:
        text = file(f"/etc/systemd/system/{name}").replace("/usr/bin/systemctl", "/bin/true")
        (tmp_path / name).write_text(text, encoding="utf-8")
    units = [str(tmp_path / name) for name in names]
    environment = os.environ | {"SYSTEMD_PAGER": "", "LC_ALL": "C", "PATH": "", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}

    answer = subprocess.run(
        [program, "verify", *units], capture_output=True, text=True, check=False, timeout=60, env=environment
    )

    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_the_script_of_the_page_is_one() -> None:
    script = file("/usr/local/bin/use-release")

    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0  # noqa: S607
    assert "sudo" not in script
