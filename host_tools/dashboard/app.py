"""The web application: its pages, and the middleware of every request."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from host_tools.dashboard import static_files
from host_tools.dashboard.access.guard import Guard
from host_tools.dashboard.context import Context
from host_tools.dashboard.live import stream
from host_tools.dashboard.pages import device, errors, events, fleet, job, login, model, new_order, orders, push

_PAGES = (fleet, device, model, events, job, login, new_order, orders, push)
_VIEWS: dict[str, stream.View] = {
    "fleet": fleet.parts,
    "device": device.parts,
    "model": model.parts,
    "events": events.parts,
    "job": job.parts,
    "orders": orders.parts,
    "order": orders.parts_of_one,
}


def build(context: Context) -> Starlette:
    """The application of one dashboard."""
    app = Starlette(
        routes=[*(route for page in _PAGES for route in page.routes()), *stream.routes(_VIEWS), *static_files.routes()],
        middleware=[Middleware(Guard, access=context.access), Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={404: errors.not_found},
    )
    app.state.context = context
    return app
