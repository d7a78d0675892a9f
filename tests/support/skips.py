"""In CI (``CI=true``) a skip fails the run unless its reason is listed here: a missing broker is no success.

A pytest plugin; ``tests/conftest.py`` loads it. Works with xdist: the workers' reports arrive at the controller.
"""

import os
import re

import pytest

NO_ARM64 = "needs an arm64 root: EDGE_AGENT_ARM64_ROOT"

EXPECTED = (
    r"this environment does not let us make a control group",  # CI runs in a container
    r"needs a writable cgroup v1 hierarchy",  # most kernels have version 2 alone
    r"this file system has no extended attributes",
    r"this environment does not let us mount a file system",
    r"this kernel has no Landlock",  # older than 5.13, or a container that filters its calls
    r"tflite-runtime has no wheel for this Python",
    r"this disk has room for every model that fits a manifest",
    r"needs PortAudio",  # a library that only a microphone needs; its adapter is the one thing that is not run without
    r"root may write to files that forbid it",
    r"Home Assistant is not installed",  # needs Python 3.13 beside that of the tests, and a network
    r"needs Node 18 or newer with npm",  # for a foreign parser that one file of the docs is held against
    r"needs the npm registry",
    r"needs Chromium",  # Debian's package, which Ubuntu has as a snap alone
    r"needs (fish|zsh)$",  # shells of a person's choice
    r"needs (PostgreSQL|Prometheus)",  # servers of other projects, whose packages not every system has
    NO_ARM64,  # takes minutes in an emulator, and root; run by hand, see tests/bench/ARM64.md
)
"""The beginnings of reasons that the environment, not a missing installation, can give."""


class SkipGuard:
    """Collects the skips of a run that nobody expects, and fails it."""

    def __init__(self) -> None:
        self.unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report.nodeid, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a skipped module."""
        if report.skipped:
            self._note(report.nodeid, report.longrepr)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A run that would have passed fails."""
        if self.unexpected and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which and why."""
        if self.unexpected:
            terminalreporter.section("skips that CI does not allow", red=True)
            for line in self.unexpected:
                terminalreporter.line(line)

    def _note(self, nodeid: str, longrepr: object) -> None:
        reason = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")
        if not any(re.match(expected, reason) for expected in EXPECTED):
            self.unexpected.append(f"{nodeid}: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    """Stand guard in CI, in the process that sees every report."""
    if os.environ.get("CI") == "true" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipGuard(), "skip-guard")
