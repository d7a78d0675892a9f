"""Every page on a wide screen in the light and on a phone in the dark: it fits, and axe-core finds nothing serious.

``PYTHONPATH=tests python tests/host_tools/dashboard/browser/test_look.py`` renews the pictures in ``docs/dashboard``.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from support.browser import Visit, chromium, visiting
from support.dashboards import Dashboard, dashboard
from support.showcase import ACCEPTED, BENCH, MODEL, REFUSED, RUNNING, show

PICTURES = Path(__file__).parents[4] / "docs" / "dashboard"
JOBS = f"/jobs/{BENCH}"
PAGES = {
    "fleet": "/",
    "device": "/devices/pi-0003",
    "job-running": f"{JOBS}/{RUNNING}",
    "verdict": f"{JOBS}/{ACCEPTED}",
    "refusal": f"{JOBS}/{REFUSED}",
    "model": f"/models/{MODEL}",
    "events": "/events",
}
SHOWN = {"fleet": (False, False), "device": (False, False), "job-running": (False, False), "verdict": (False, False),
         "refusal": (False, False), "phone": (True, False), "dark": (False, True)}  # fmt: skip
_PAGE_OF = {"phone": "fleet", "dark": "verdict"}

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def board() -> Iterator[Dashboard]:
    with dashboard() as one:
        show(one)
        yield one


def ready(visit: Visit, path: str) -> None:
    """The page with its charts drawn."""
    page = visit.go(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if page.locator("figure.chart").count():
        expect(page.locator("figure.chart canvas").first).to_be_visible()


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)], ids=["wide-light", "phone-dark"])
def test_every_page_fits_and_is_accessible(browser: Browser, board: Dashboard, *, phone: bool, dark: bool) -> None:
    """Axe takes a second a page, so each page but the two that matter most is looked at once."""
    seldom = {
        PAGES["verdict"],
        *((PAGES["device"], PAGES["model"]) if phone else (PAGES["job-running"], PAGES["events"])),
    }
    with visiting(browser, board.url, phone=phone, dark=dark) as visit:
        for path in PAGES.values():
            ready(visit, path)
            too_wide = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert too_wide <= 0, path
            if path not in seldom:
                assert visit.axe() == [], path


def test_a_verdict_that_was_measured_is_drawn_whole(browser: Browser, board: Dashboard) -> None:
    with visiting(browser, board.url) as visit:
        ready(visit, PAGES["refusal"])

        for name in ("Gates", "Candidates", "Layers", "Ranges"):
            expect(visit.page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        assert visit.page.locator(".tensors svg .in").count() > 20
        assert visit.page.locator("svg.meter").first.bounding_box() is not None


def renew() -> None:
    """Take the pictures anew."""
    PICTURES.mkdir(exist_ok=True)
    with chromium() as browser, dashboard() as board:
        show(board)
        for name, (phone, dark) in SHOWN.items():
            with visiting(browser, board.url, phone=phone, dark=dark) as visit:
                ready(visit, PAGES[_PAGE_OF.get(name, name)])
                picture = Image.open(io.BytesIO(visit.page.screenshot()))
                picture.convert("RGB").quantize(256).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    renew()
