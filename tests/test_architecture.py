"""The architecture, held: who may import whom, and what the daemon's process must not contain.

Arrows point one way. Above the worker line everything is the standard library, msgspec and (in one file) paho.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = {"errors", "wire", "task", "job", "suggest", "recipe_file"}
DAEMON_PARTS = PURE | {
    "activation", "blobs", "board", "cgroup", "children", "clock", "config", "control", "durable", "events",
    "identity", "ledger", "lines", "memory", "mqtt", "notify", "orders", "publisher", "receive", "receiving",
    "releases", "reports", "runner", "sensors", "shared", "stages", "store", "supervisor", "unix_address", "verdict",
}  # fmt: skip
ENGINE = {"errors", "quant", "calibration", "backends", "wire"}

# module or package → what of ours it may import, what of others
RULES: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "wire": ({"errors", "suggest"}, {"msgspec"}),
    "task": ({"errors", "wire"}, {"msgspec"}),
    "job": ({"errors", "task"}, {"msgspec"}),
    "suggest": ({"errors"}, {"msgspec"}),
    "recipe_file": ({"errors", "suggest", "wire"}, {"msgspec"}),
    "input_tables": ({"errors", "suggest", "wire"}, {"msgspec"}),
    "config": ({"errors", "shared", "suggest", "wire"}, {"msgspec"}),
    "shared": ({"errors", "suggest", "wire"}, {"msgspec"}),
    "sensors": ({"config", "events", "shared", "stages", "supervisor"}, {"msgspec"}),
    "unix_address": (set(), set()),
    "control": ({"errors", "unix_address"}, set()),
    "durable": (set(), set()),
    "interpreter": ({"errors"}, set()),
    "store": ({"durable", "errors", "job"}, {"msgspec"}),
    "releases": ({"durable", "errors"}, {"msgspec"}),
    "blobs": ({"durable", "errors", "wire"}, set()),
    "deferred": (set(), set()),
    "mqtt": ({"deferred", "errors"}, {"paho"}),
    "supervisor": ({"cgroup", "errors", "lines"}, set()),
    "runner": ({"errors", "supervisor", "task"}, {"msgspec"}),
    "receive": ({"blobs", "errors", "wire"}, set()),
    "orders": ({"clock", "errors", "store", "wire"}, {"msgspec"}),
    "trust": ({"errors", "wire"}, {"msgspec", "cryptography"}),
    "sandbox": ({"errors", "supervisor"}, set()),
    "landlock": ({"errors"}, set()),
    "agent": (DAEMON_PARTS | {"activator", "admission", "commands", "housekeeping"}, {"msgspec"}),
    "daemon": (DAEMON_PARTS | {"agent"}, {"msgspec"}),
    "doctor": (DAEMON_PARTS | {"daemon", "interpreter", "sources"}, {"msgspec"}),
    "quant": ({"errors", "quant", "wire"}, {"msgspec", "numpy"}),
    "calibration": ({"backends", "calibration", "errors", "quant"}, {"numpy"}),
    "report": ({"backends", "calibration", "errors", "verdict"}, {"PIL", "numpy"}),
    "preprocess": ({"errors", "wire"}, {"numpy"}),
    "contract": ({"backends", "errors", "preprocess", "suggest", "wire"}, {"numpy"}),
    "serving": (
        {
            *("backends", "config", "contract", "errors", "preprocess", "releases", "sensing", "shared"),
            *("suggest", "wire"),
        },
        {"numpy"},
    ),
    "arrivals": (set(), {"numpy"}),
    "continuity": ({"framing"}, {"numpy"}),
    "exclusive": ({"errors"}, set()),
    "iio": ({"errors", "scan", "suggest"}, set()),
    "recordings": ({"framing", "recordings"}, {"PIL", "numpy"}),
    "retry": (set(), set()),
    "scan": (set(), {"numpy"}),
    "schedule": (set(), set()),
    "framing": ({"framing"}, {"cobs", "msgspec", "numpy"}),
    "sources": (
        {
            *("arrivals", "continuity", "errors", "exclusive", "framing", "iio", "mqtt", "recordings", "retry"),
            *("schedule", "shared", "sources", "suggest"),
        },
        {"cv2", "msgspec", "numpy", "serial", "sounddevice"},
    ),
    "sensing": (
        {
            *("arrivals", "durable", "errors", "landlock", "retry", "sandbox", "sensing", "shared", "sources"),
            "unix_address",
        },
        {"msgspec", "numpy"},
    ),
    "backends": (ENGINE, {"msgspec", "numpy", "onnx", "onnxruntime"}),
    "worker": (
        ENGINE
        | {"arrivals", "board", "contract", "durable", "landlock", "preprocess", "sandbox", "sensing", "serving"}
        | {"shared", "sources", "suggest", "supervisor", "task", "worker"},
        {"msgspec", "numpy"},
    ),
}  # fmt: skip
HOST = {"errors", "input_tables", "mqtt", "recipe_file", "suggest", "task", "wire"}
FORBIDDEN_IN_DAEMON = (
    *("numpy", "onnxruntime", "onnx", "asyncio", "typer", "rich", "cryptography", "serial", "psutil"),
    *("http.client", "email"),  # what paho's import of urllib.request would bring, see edge_agent.deferred
)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, those for type checking only left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module in ("edge_agent", "host_tools"):
                found |= {f"{module}.{alias.name}" for alias in node.names}
            else:
                found.add(module)
    return found


def split(modules: set[str]) -> tuple[set[str], set[str]]:
    """The parts of ours and the packages of others among imported modules."""
    ours = {name.split(".")[1] for name in modules if name.startswith("edge_agent.")} - {"__version__"}
    others = {name.split(".")[0] for name in modules} - {"edge_agent", "host_tools"} - sys.stdlib_module_names
    return ours, others


@pytest.mark.parametrize("part", sorted(RULES))
def test_imports_follow_the_table(part: str) -> None:
    base = ROOT / "edge_agent" / part
    files = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
    may_ours, may_others = RULES[part]

    for path in files:
        ours, others = split(imports(path))
        assert ours <= may_ours | {part}, f"{path.relative_to(ROOT)} imports {sorted(ours - may_ours)}"
        assert others <= may_others, f"{path.relative_to(ROOT)} imports {sorted(others - may_others)}"


def test_nothing_above_the_worker_line_imports_a_foreign_package() -> None:
    below = {
        "arrivals",
        "continuity",
        "framing",
        "recordings",
        "scan",
        "quant",
        "calibration",
        "report",
        "preprocess",
        "contract",
        "sensing",
        "sources",
        "backends",
        "worker",
        "trust",
        "serving",
    }
    for path in sorted((ROOT / "edge_agent").rglob("*.py")):
        part = path.relative_to(ROOT / "edge_agent").parts[0].removesuffix(".py")
        if part not in below:
            allowed = {"msgspec", "paho"} if part == "mqtt" else {"msgspec"}
            assert split(imports(path))[1] <= allowed, path


def test_the_host_knows_the_protocol_and_nothing_of_the_device() -> None:
    for path in sorted((ROOT / "host_tools").rglob("*.py")):
        ours, _ = split(imports(path))
        assert ours <= HOST, f"{path.relative_to(ROOT)} imports {sorted(ours - HOST)}"


def test_only_one_file_imports_paho() -> None:
    users = [
        path
        for top in ("edge_agent", "host_tools")
        for path in (ROOT / top).rglob("*.py")
        if "paho" in split(imports(path))[1]
    ]

    assert users == [ROOT / "edge_agent" / "mqtt" / "link.py"]


def test_the_daemon_holds_nothing_heavy() -> None:
    code = "import sys, edge_agent.cli, edge_agent.cli.run; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "edge_agent.agent" in loaded
    assert not set(FORBIDDEN_IN_DAEMON) & set(loaded)


def test_every_plug_in_is_one_file_or_folder_with_its_own_docstring() -> None:
    for folder in ("sources", "backends", "calibration"):
        for path in sorted((ROOT / "edge_agent" / folder).rglob("*.py")):
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_no_drawer_for_odds_and_ends() -> None:
    names = {path.stem for top in ("edge_agent", "host_tools") for path in (ROOT / top).rglob("*.py")}

    assert not names & {"utils", "util", "common", "helpers", "misc"}
