"""The real ``@asyncapi/parser`` on documents."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import npm

HERE = Path(__file__).parent


def validated(*documents: Path) -> list[dict[str, Any]]:
    """What the parser says of each: ``version``, ``channels``, ``found``. Skips the test where there is no Node."""
    try:
        folder = npm.installed("asyncapi", HERE, "validate.mjs")
    except npm.NotHereError as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        [npm.node(), folder / "validate.mjs", *documents], capture_output=True, text=True, check=True, timeout=120
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
