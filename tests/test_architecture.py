"""The architecture, held: which package may import which, of ours and of others.

Arrows point one way, from the daemon and the stages down to values. An import for type checking only is an arrow, too.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EVERYWHERE = {"advice", "errors", "printable", "strict"}
SHIMS = {"sandbox", "worker.inventory", "worker.probe"}
"""Names that a process of version 0.1 starts; each only runs the module that took its place."""
VALUES = {"jobs", "settings", "wire"}
DAEMON = VALUES | {"device", "foreign", "mqtt", "process", "state"}
"""What the daemon's process is made of, above the worker line."""
ENGINE = {"backends", "calibration", "contract", "preprocess", "quant"}
WORKER = ENGINE | {"foreign", "jobs", "process", "state", "wire", "worker"}

# package → what of ours it may import beside EVERYWHERE, what of others
RULES: dict[str, tuple[set[str], set[str]]] = {
    # values
    "errors": (set(), set()),
    "advice": (set(), set()),
    "retry": (set(), set()),
    "strict": (set(), {"msgspec"}),
    "foreign": (set(), {"msgspec"}),
    "printable": (set(), set()),
    "wire": (set(), {"msgspec"}),
    "settings": ({"wire"}, {"msgspec"}),
    "jobs": ({"foreign", "wire"}, {"msgspec"}),
    "model_file": (set(), set()),
    "draft": ({"model_file", "wire"}, {"msgspec"}),
    # what the daemon rests on
    "device": (set(), set()),
    "mqtt": ({"retry", "settings"}, {"paho"}),
    "process": (set(), set()),
    "state": ({"foreign", "jobs", "wire"}, {"msgspec"}),
    "trust": ({"process", "wire"}, {"cryptography", "msgspec"}),
    "execution": ({"device", "foreign", "jobs", "process", "settings", "state", "wire"}, {"msgspec"}),
    "telemetry": ({"device", "foreign", "jobs", "retry", "state", "wire"}, {"msgspec"}),
    "daemon": (DAEMON | {"execution", "retry", "telemetry", "trust"}, {"msgspec"}),
    # sensors
    "acquisition": ({"retry"}, {"PIL", "cobs", "msgspec", "numpy"}),
    "sources": ({"acquisition", "mqtt", "settings"}, {"cv2", "msgspec", "numpy", "serial", "sounddevice"}),
    "reservoir": ({"foreign", "state"}, {"msgspec", "numpy"}),
    "sensing": ({"acquisition", "process", "reservoir", "retry", "settings", "sources"}, {"msgspec", "numpy"}),
    # the engine
    "quant": ({"jobs", "wire"}, {"msgspec", "numpy"}),
    "backends": ({"device", "process", "quant"}, {"numpy", "onnx", "onnxruntime"}),
    "calibration": ({"backends", "jobs", "quant"}, {"numpy"}),
    "preprocess": ({"wire"}, {"numpy"}),
    "contract": ({"backends", "preprocess", "wire"}, {"numpy"}),
    "serving": (
        ENGINE - {"calibration"}
        | {"acquisition", "device", "process", "sensing", "settings", "sources", "state", "telemetry", "wire"},
        {"numpy"},
    ),
    # the stages
    "worker": (WORKER - {"worker"} | {"settings"}, {"msgspec", "numpy"}),
    "worker.data": (WORKER, {"msgspec", "numpy"}),
    "worker.measure": ({"backends", "device", "jobs", "process", "quant"}, {"msgspec", "numpy"}),
    "worker.quality": (
        {"backends", "calibration", "jobs", "preprocess", "wire", "worker.data"},
        {"msgspec", "numpy"},
    ),
    "worker.forms": (WORKER | {"device", "serving", "worker.data", "worker.measure"}, {"msgspec", "numpy"}),
    "worker.search": (WORKER | {"device", "worker.data", "worker.forms", "worker.measure"}, {"msgspec", "numpy"}),
    "worker.capture": (
        WORKER
        | {"acquisition", "reservoir", "sensing", "settings", "sources"}
        | {"worker.data", "worker.quality", "worker.search"},
        {"msgspec", "numpy"},
    ),
    "worker.explain": (
        WORKER | {"worker.capture", "worker.data", "worker.quality", "worker.search"},
        {"msgspec", "numpy"},
    ),
    "worker.stages": (
        WORKER
        | {"device", "serving", "worker.capture", "worker.data", "worker.explain", "worker.forms", "worker.measure"}
        | {"worker.quality", "worker.search"},
        {"msgspec", "numpy"},
    ),
    # what people see
    "report.html": ({"jobs"}, {"msgspec"}),
    "report": ({"backends", "calibration", "jobs", "report.html"}, {"PIL", "msgspec", "numpy"}),
}  # fmt: skip
ABOVE_THE_WORKER_LINE = DAEMON | EVERYWHERE | {"execution", "daemon", "cli", "report.html", "retry", "telemetry"}
HOST = EVERYWHERE | VALUES | {"draft", "model_file", "mqtt", "report.html", "retry", "trust"}
HOST_PACKAGES: dict[str, set[str]] = {
    "broker": set(),
    "display": {"broker", "fleet"},
    "push": {"broker", "display"},
    "demo": {"broker", "display", "push"},
    "simulation": {"broker"},
    "fleet": {"broker"},
    "exporter": {"fleet"},
    "history": {"broker", "fleet"},
    "dashboard": {"broker", "display", "fleet", "history", "push"},
    "dashboards": set(),
    "setup": set(),
    "cli": {
        *("broker", "dashboard", "dashboards", "demo", "display", "exporter", "fleet", "history", "push"),
        *("setup", "simulation"),
    },
}
FORBIDDEN_IN_DAEMON = (
    *("numpy", "onnxruntime", "onnx", "asyncio", "typer", "rich", "cryptography", "serial", "psutil"),
    *("http.client", "email"),  # what paho's import of urllib.request would bring, see edge_agent.mqtt.deferred
)


def files(top: str) -> list[Path]:
    return sorted((ROOT / top).rglob("*.py"))


def module(path: Path) -> str:
    """The dotted name of a file; a package's ``__init__`` has the package's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def package(name: str) -> str:
    """The key of RULES that a module belongs to; a module without one is its own top-level package."""
    parts = name.split(".")[1:]
    for length in (2, 1):
        if ".".join(parts[:length]) in RULES:
            return ".".join(parts[:length])
    return parts[0] if parts else ""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also for type checking only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module_name = node.module or ""
            for alias in node.names:
                inside = ROOT / module_name.replace(".", "/") / alias.name
                is_module = inside.is_dir() or inside.with_suffix(".py").exists()
                yield f"{module_name}.{alias.name}" if is_module else module_name


def ours(path: Path) -> set[str]:
    """The packages of edge_agent that a file imports, its own and the bare top left out."""
    return {package(name) for name in imports(path) if name.startswith("edge_agent.")} - {package(module(path)), ""}


def others(path: Path) -> set[str]:
    tops = {name.split(".")[0] for name in imports(path)}
    return tops - {"edge_agent", "host_tools"} - sys.stdlib_module_names


def members(part: str) -> list[Path]:
    return [path for path in files("edge_agent") if package(module(path)) == part]


def assert_no_circle(arrows: Mapping[str, set[str]]) -> None:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("part", sorted(RULES))
def test_imports_follow_the_table(part: str) -> None:
    may_ours, may_others = RULES[part]

    assert members(part)
    for path in members(part):
        extra = ours(path) - may_ours - EVERYWHERE
        assert not extra, f"{path.relative_to(ROOT)} imports {sorted(extra)}"
        assert others(path) <= may_others, f"{path.relative_to(ROOT)} imports {sorted(others(path) - may_others)}"


def test_every_package_is_in_the_table() -> None:
    found = {package(module(path)) for path in files("edge_agent")}

    assert found - RULES.keys() == {"", "__main__", "cli", "sandbox"}


def test_the_root_holds_packages_and_what_everything_needs() -> None:
    modules = {path.stem for path in (ROOT / "edge_agent").glob("*.py")}
    shims = {name for name in SHIMS if "." not in name}

    assert modules == {"__init__", "__main__", "errors", "printable", "strict"} | shims


def test_no_package_is_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in files("edge_agent"):
        arrows.setdefault(package(module(path)), set()).update(ours(path))

    assert_no_circle(arrows)


def test_no_file_is_in_a_circle() -> None:
    arrows = {
        module(path): {name for name in imports(path) if name.startswith(("edge_agent.", "host_tools."))}
        - {module(path)}
        for top in ("edge_agent", "host_tools")
        for path in files(top)
    }

    assert_no_circle(arrows)


def test_no_stage_imports_a_stage() -> None:
    stages = {f"edge_agent.worker.stages.{path.stem}" for path in (ROOT / "edge_agent/worker/stages").glob("[a-z]*.py")}

    assert len(stages) == 7
    for path in files("edge_agent"):
        assert not stages & set(imports(path)), path


def test_a_shim_only_runs_what_took_its_place() -> None:
    for name in SHIMS:
        path = ROOT / "edge_agent" / f"{name.replace('.', '/')}.py"
        assert set(imports(path)) == {"runpy"}, path


def test_nothing_above_the_worker_line_imports_a_foreign_package() -> None:
    for part in ABOVE_THE_WORKER_LINE:
        for path in members(part):
            others_too = {"mqtt": {"paho"}, "cli": {"rich"} if path.stem == "tables" else set()}.get(part, set())
            assert others(path) <= {"msgspec"} | others_too, path


def test_the_host_knows_the_protocol_and_nothing_of_the_device() -> None:
    for path in files("host_tools"):
        assert ours(path) <= HOST, f"{path.relative_to(ROOT)} imports {sorted(ours(path) - HOST)}"


def test_imports_on_the_host_follow_the_table() -> None:
    for path in files("host_tools"):
        own = path.relative_to(ROOT / "host_tools").parts[0].removesuffix(".py")
        found = {name.split(".")[1] for name in imports(path) if name.startswith("host_tools.")}
        found -= {own, "exits", "invocation"}
        assert found <= HOST_PACKAGES.get(own, set()), f"{path.relative_to(ROOT)} imports {sorted(found)}"


def test_only_one_file_imports_paho() -> None:
    users = [path for top in ("edge_agent", "host_tools") for path in files(top) if "paho" in others(path)]

    assert users == [ROOT / "edge_agent" / "mqtt" / "client.py"]


def loaded(code: str) -> list[str]:
    """The modules that a fresh interpreter holds after ``code``."""
    command = [sys.executable, "-c", f"import sys, {code}; print('\\n'.join(sys.modules))"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()


def test_the_daemon_holds_nothing_heavy() -> None:
    modules = loaded("edge_agent.cli, edge_agent.cli.run")

    assert "edge_agent.daemon.agent" in modules
    assert not set(FORBIDDEN_IN_DAEMON) & set(modules)


def test_a_command_loads_rich_only_to_print_a_table_on_a_terminal() -> None:
    modules = loaded("edge_agent.cli.status, edge_agent.cli.doctor, edge_agent.cli.releases")

    assert "edge_agent.cli.tables" in modules
    assert "rich" not in modules


def test_the_host_needs_no_numpy() -> None:
    modules = loaded("host_tools.cli.app, host_tools.cli.push_model, edge_agent.report.html.cards")

    assert "edge_agent.wire.manifest" in modules
    assert not {"numpy", "onnx", "onnxruntime"} & set(modules)


def test_every_plug_in_is_one_file_or_folder_with_its_own_docstring() -> None:
    for folder in ("sources", "backends", "calibration"):
        for path in files(f"edge_agent/{folder}"):
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


PROGRAM_IMPORTS = re.compile(r"from ((?:edge_agent|host_tools)[\w.]*) import (\w+(?:, \w+)*)")


def test_programs_that_tests_hold_as_text_import_what_exists() -> None:
    found = 0
    for path in files("tests"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            for home, names in PROGRAM_IMPORTS.findall(node.value):
                found += 1
                where = f"{path.relative_to(ROOT)}:{node.lineno}: {home}"
                assert home.removeprefix("edge_agent.") not in SHIMS, where
                for name in names.split(", "):
                    inside = ROOT / home.replace(".", "/") / name
                    is_module = inside.is_dir() or inside.with_suffix(".py").exists()
                    assert hasattr(import_module(f"{home}.{name}" if is_module else home), name) or is_module, where
                    assert f"{home}.{name}".removeprefix("edge_agent.") not in SHIMS, where

    assert found > 20


def test_no_drawer_for_odds_and_ends() -> None:
    names = {path.stem for top in ("edge_agent", "host_tools") for path in files(top)}

    assert not names & {"utils", "util", "common", "helpers", "misc"}
