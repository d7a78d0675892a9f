"""The style sheets and scripts, read once. Their addresses contain a digest, so browsers cache them for ever."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.report.html.style import SHEETS

FOLDER = Path(__file__).parent / "static"
_FILES = {
    "app.css": FOLDER / "app.css",
    "app.js": FOLDER / "app.js",
    "icon.svg": FOLDER / "icon.svg",
    "htmx.min.js": FOLDER / "vendor" / "htmx.min.js",
    "hx-sse.min.js": FOLDER / "vendor" / "hx-sse.min.js",
    "uPlot.min.js": FOLDER / "vendor" / "uPlot.min.js",
    "uPlot.min.css": FOLDER / "vendor" / "uPlot.min.css",
}
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def address(name: str) -> str:
    """The address of the file ``name``."""
    return f"/static/{name}?v={sha256(_read(name)).hexdigest()[:16]}"


def routes() -> list[BaseRoute]:
    """The routes of the files."""
    return [Route("/static/{name}", _file)]


def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _FILES and name not in SHEETS:
        raise HTTPException(404)
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_read(name), headers=kept, media_type=_TYPES[Path(name).suffix])


@cache
def _read(name: str) -> bytes:
    return SHEETS[name].encode() if name in SHEETS else _FILES[name].read_bytes()
