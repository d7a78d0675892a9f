"""The page that takes a model's file."""

from support.asgi import ask
from support.dashboards import NAMESPACE, Page, local_access

from edge_agent.wire.topics import Topics
from host_tools.broker.settings import Settings
from host_tools.dashboard.access.headers import POLICY
from host_tools.dashboard.app import build
from host_tools.dashboard.context import Context
from host_tools.dashboard.live.watching import Watched
from host_tools.dashboard.orders.commander import Commander

FORM = (
    '--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf}\r\n'
    '--x\r\nContent-Disposition: form-data; name="model"; filename="har.onnx"\r\n\r\nmodel\r\n--x--\r\n'
)


def test_a_file_for_what_can_be_no_device_is_refused_and_not_kept() -> None:
    watched, settings = Watched(Topics(NAMESPACE), print), Settings(url="mqtt://127.0.0.1:9", namespace=NAMESPACE)
    orders = Commander(settings, print, watched.touch)
    app = build(Context(settings, watched, watched.recent, local_access(commanding=True), orders))
    seen = ask(app, "/push")
    (csrf, *_) = (one["value"] for one in Page(seen.body).all("input") if one.get("name") == "csrf")
    body = FORM.format(csrf=csrf).encode()
    headers = {
        "cookie": seen.cookie,
        "content-type": "multipart/form-data; boundary=x",
        "content-length": str(len(body)),
    }

    refused, kept = (
        ask(app, f"/push/upload?device={name}", method="POST", headers=headers, body=body)
        for name in ("BAD%20NAME", "pi-1")
    )

    try:
        assert (refused.status, refused.header("content-security-policy")) == (400, POLICY)
        assert "must match" in refused.body
        assert kept.status == 303
        assert len(orders.uploads._known) == 1
    finally:
        orders.uploads.forget()
