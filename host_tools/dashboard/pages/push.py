"""The pages for pushing a model: upload, a form that knows the chosen devices' sources, a check, and the sending.

``/push`` receives the file, ``/push/{upload}`` describes it. Nothing reaches the broker before "Send".
"""

import time
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, QueryParams, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message

from edge_agent.draft.manifest import model_name
from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.model_file.signature import read_signature
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.access.guard import check_token, why_not
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.orders import asking
from host_tools.dashboard.orders.asking import NOBODY, Asked
from host_tools.dashboard.orders.checking import Checked, check, seal, without_path
from host_tools.dashboard.orders.described import Described, first_guess, first_text, needs_text, sources, toml
from host_tools.dashboard.orders.uploads import MOST_BYTES, Upload
from host_tools.dashboard.pages import push_forms
from host_tools.dashboard.pages.new_order import commander_of
from host_tools.dashboard.threads import in_thread
from host_tools.dashboard.widgets.trouble import trouble

_MOST_MANIFEST_BYTES = 64 * 1024
_AROUND_BYTES = 1 << 20
"""Size of a form without its file."""


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [
        Route("/push", start, methods=["GET"]),
        Route("/push/upload", upload, methods=["POST"]),
        Route("/push/{upload}", describe, methods=["GET"]),
        Route("/push/{upload}", act, methods=["POST"]),
    ]


def start(request: Request) -> Response:
    """The upload form; for a viewer, the equivalent command."""
    context = context_of(request)
    refused = why_not(viewer_of(request), context.access)
    return _page(request, push_forms.start(context.settings, request.state.csrf, request.query_params, refused))


async def upload(request: Request) -> Response:
    """Store the uploaded file until it is described."""
    context, viewer = context_of(request), viewer_of(request)
    try:
        orders, asked = commander_of(context), asking.read(request.query_params)
        form = await _form(request)
        check_token(request, form)
        model, manifest = form.get("model"), form.get("manifest")
        if not isinstance(model, UploadFile) or not model.filename:
            raise ConfigError("usage", "no file was uploaded; choose the model's file")
        text = await _text(manifest) if isinstance(manifest, UploadFile) and manifest.filename else ""
        kept = await in_thread(orders.uploads.take, viewer.shown, model.filename, model.file, text)
        await form.close()
    except EdgeAgentError as error:
        return _page(request, trouble(error), status=400)
    chosen = "&".join(f"device={name}" for name in asked.devices)
    return RedirectResponse(f"/push/{kept.id}" + (f"?{chosen}" if chosen else ""), 303)


async def describe(request: Request) -> Response:
    """The form, filled with values from the file and the devices."""
    if (sent := _sent(request)) is not None:
        return sent
    found = _upload(request)
    try:
        asked = asking.read(request.query_params)
    except EdgeAgentError as error:
        return _page(request, trouble(error), status=400)
    signature = await in_thread(read_signature, found.path)
    return _page(request, await run_in_threadpool(_first_form, request, found, asked, signature))


async def act(request: Request) -> Response:
    """Make the TOML, check it, send the model, or delete the file."""
    if (sent := _sent(request)) is not None:
        return sent
    context, viewer, found = context_of(request), viewer_of(request), _upload(request)
    form = await request.form(max_fields=asking.MOST_FIELDS)
    do, said, text = str(form.get("do", "")), Described.read(form), str(form.get("toml", ""))
    if do == "drop":
        commander_of(context).uploads.give_up(found.id)
        return RedirectResponse("/push", 303)
    by_text = form.get("use") == "text" and do != "make" and bool(text.strip())
    text = text if by_text else toml(said)
    asked, checked = NOBODY, None
    try:
        asked = asking.read(QueryParams([pair for pair in form.multi_items() if pair[0] in ("device", "group")]))
        sealed = seal(asked.scopes, text)
        if do == "send" and (version := found.checked.get(sealed)):
            number = commander_of(context).push(viewer.shown, found, asked.scopes, text, version)
            return RedirectResponse(f"/orders/{number}", 303)
        if do in ("check", "send"):  # a changed manifest is checked before it is sent
            checked = await in_thread(check, context.settings, found, asked.scopes, text)
            if checked.announced is not None:
                found.passed(sealed, checked.announced["manifest"]["version"])
    except EdgeAgentError as error:
        checked = Checked(None, (), error.code, without_path(error.message, found))
    drawn = partial(_form_of, request, found, asked, said, text=text, by_text=by_text, checked=checked)
    return _page(request, await run_in_threadpool(drawn))


def _first_form(request: Request, found: Upload, asked: Asked, signature: ModelTensors | None) -> Markup:
    name, infos = model_name(found.path.stem), _infos(context_of(request), asked)
    said = first_guess(name, signature, sources(infos))
    text = found.manifest or (first_text(found.shown, name, signature) if needs_text(signature) else "")
    return _form_of(request, found, asked, said, text=text, by_text=bool(text), infos=infos)


def _form_of(
    request: Request,
    found: Upload,
    asked: Asked,
    said: Described,
    *,
    text: str,
    by_text: bool,
    infos: push_forms.Infos | None = None,
    checked: Checked | None = None,
) -> Markup:
    """The form; runs in a thread, as it reads the sources of all devices."""
    context = context_of(request)
    infos = _infos(context, asked) if infos is None else infos
    return push_forms.describe(
        request.state.csrf,
        found,
        asked,
        said,
        devices=context.watched.devices(),
        groups=context.watched.groups(),
        known=sources(infos),
        text=text,
        by_text=by_text,
        checked=checked,
        meant=_meant(context, asked),
    )


def _meant(context: Context, asked: Asked) -> list[str]:
    """The chosen devices, as far as they are known."""
    return list(
        dict.fromkeys([*asked.devices, *(one for name in asked.groups for one in context.watched.members(name))])
    )


def _infos(context: Context, asked: Asked) -> push_forms.Infos:
    """The infos of the chosen devices, or of all devices if none is chosen."""
    return {name: context.watched.info(name) for name in _meant(context, asked) or context.watched.devices()}


def _sent(request: Request) -> Response | None:
    """A redirect to the order, if this model has already been sent, as by a double click."""
    orders = context_of(request).orders
    given = orders.ledger.given(request.path_params["upload"]) if orders else []
    return RedirectResponse(f"/orders/{given[0].id}", 303) if given else None


def _upload(request: Request) -> Upload:
    orders = context_of(request).orders
    found = orders.uploads.get(request.path_params["upload"], viewer_of(request).shown) if orders else None
    if found is None:
        raise HTTPException(404)
    return found


async def _form(request: Request) -> FormData:
    """A form with a file; raises ``ConfigError`` (usage) if it is larger than any model may be."""
    most = MOST_BYTES + _AROUND_BYTES
    size = request.headers.get("content-length", "")
    if not size.isdecimal() or int(size[:20]) > most:
        raise ConfigError("usage", f"a model has {MOST_BYTES >> 20} MiB at most here; use push-model for a larger one")
    left = most

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise ConfigError("usage", "the form is longer than its header says; send it again")
        return message

    return await Request(request.scope, receive).form(max_files=2, max_fields=20)


async def _text(file: UploadFile) -> str:
    data = await file.read(_MOST_MANIFEST_BYTES + 1)
    if len(data) > _MOST_MANIFEST_BYTES:
        raise ConfigError("usage", f"a manifest has {_MOST_MANIFEST_BYTES >> 10} KiB at most; shorten it")
    return data.decode("utf-8", "replace")


def _page(request: Request, *body: str, status: int = 200) -> Response:
    broker = context_of(request).watched.broker
    return page(
        "Push",
        element("h1", "Push a model"),
        *body,
        viewer=viewer_of(request),
        broker=broker,
        now=time.time(),
        here="/push",
        status=status,
    )
