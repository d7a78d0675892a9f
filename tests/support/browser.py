"""A real Chromium at the pages of a real dashboard. What goes wrong in it fails the test.

Debian's Chromium, headless, driven by Playwright; nothing is downloaded. A violation of the page's policy, an error on
its console, a failed request and a request to anybody but the dashboard are faults.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = "needs Chromium"
TIMEOUT_MS = 60_000.0
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
_SERIOUS = ("serious", "critical")
_EXPECTED = ("net::ERR_ABORTED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
"""How a stream ends that a page closes, or that the server closes at its end."""
expect.set_options(timeout=TIMEOUT_MS)
expect.set_options(timeout=TIMEOUT_MS)
_DESK, _PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Visit:
    """A person's browser, and what went wrong in it."""

    context: BrowserContext
    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of faults that this test provokes."""

    def go(self, path: str) -> Page:
        """Load a page of the dashboard."""
        self.page.goto(self.url + path)
        return self.page

    def log_in(self, name: str, password: str) -> None:
        """As a person does."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def axe(self) -> list[str]:
        """What a person with a disability cannot use on this page."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in _SERIOUS
            for node in one["nodes"][:3]
        ]

    def sound(self) -> None:
        """Fail if anything went wrong."""
        left = [fault for fault in self.faults if not any(part in fault for part in (*self.expected, *_EXPECTED))]
        assert not left, left

    def _watch(self) -> None:
        host = urlsplit(self.url).netloc

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.faults.append(f"console: {message.text}")

        def on_request(request: Request) -> None:
            if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(request.url).netloc != host:
                self.faults.append(f"asked {request.url}")

        def on_failure(request: Request) -> None:
            self.faults.append(f"failed: {request.method} {request.url}: {request.failure}")

        self.page.on("console", on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss())[0])
        self.page.on("request", on_request)
        self.page.on("requestfailed", on_failure)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; a test is skipped where it is not installed."""
    if CHROMIUM is None:
        pytest.skip(f"{NO_CHROMIUM}: sudo apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, url: str, *, phone: bool = False, dark: bool = False) -> Iterator[Visit]:
    """A new person's browser at ``url``; leaving it, everything must have been sound."""
    context = browser.new_context(
        viewport=_PHONE if phone else _DESK,  # type: ignore[arg-type]  # a dictionary of its two keys
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        ignore_https_errors=True,
    )
    context.set_default_timeout(TIMEOUT_MS)
    try:
        visit = Visit(context, context.new_page(), url.rstrip("/"))
        visit._watch()
        yield visit
        visit.sound()
    finally:
        context.close()
