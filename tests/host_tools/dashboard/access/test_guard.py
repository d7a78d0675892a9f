import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from support.asgi import Answered, ask

from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.exposure import Exposure, expose
from host_tools.dashboard.access.guard import MOST_FORM_BYTES, Guard
from host_tools.dashboard.access.headers import POLICY
from host_tools.dashboard.access.record import Record
from host_tools.dashboard.access.users import Users
from host_tools.dashboard.access.viewer import Role, Viewer


async def page(request: Request) -> PlainTextResponse:
    form = await request.form()
    return PlainTextResponse(f"{request.state.viewer.shown} {request.state.csrf} {form.get('model', '')}")


def where(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.client.host if request.client else "")


def fault(_request: Request) -> PlainTextResponse:
    raise RuntimeError("broken")


def guarded(access: Access) -> Guard:
    paths = ("/", "/login", "/logout", "/orders", "/static/app.css", "/push/upload")
    routes = [Route(path, page, methods=["GET", "POST"]) for path in paths]
    return Guard(Starlette(routes=[*routes, Route("/who", where)]), access)


def local(*, commanding: bool = True) -> Access:
    exposure = expose("127.0.0.1", login=False, tls_cert=None, tls_key=None, proxy="", names=())
    return Access(exposure=exposure, commanding=commanding)


def with_login(proxy: str = "", record: Record | None = None) -> Access:
    exposure = Exposure(names=frozenset({"dash.lan"}), secure=True, proxy=proxy)
    return Access(exposure=exposure, users=Users({}), commanding=True, record=record or Record(print))


def logged_in(access: Access, role: Role = "operator") -> str:
    """The cookie of a person who has logged in."""
    return access.set_session_cookie(access.sessions.begin(Viewer("anna", role))).partition(";")[0]


def token_of(answer: Answered) -> str:
    return answer.body.split(" ")[1]


def test_a_page_has_the_headers_that_hold_a_browser_to_it_and_is_stored_nowhere() -> None:
    answer = ask(guarded(local()), "/")

    assert (answer.status, answer.header("content-security-policy")) == (200, POLICY)
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert "HttpOnly; SameSite=Strict" in answer.header("set-cookie")


def test_a_refusal_has_them_too() -> None:
    answer = ask(guarded(local()), "/", headers={"host": "evil.example"})

    assert (answer.status, answer.header("content-security-policy")) == (400, POLICY)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9999", "[::1]:8080", "192.0.2.7"])
def test_an_address_and_localhost_are_names_of_the_page(host: str) -> None:
    assert ask(guarded(local()), "/", headers={"host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "a:b@c"])
def test_a_name_that_an_attacker_made_point_here_is_refused(host: str) -> None:
    assert ask(guarded(local()), "/", headers={"host": host}).status == 400


def test_a_form_of_a_page_of_ours_is_obeyed() -> None:
    app = guarded(local())
    seen = ask(app, "/")

    answer = ask(app, "/orders", headers={"cookie": seen.cookie}, form={"csrf": token_of(seen), "model": "har"})

    assert (answer.status, answer.body.split(" ")[2]) == (200, "har")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8080"},
        {"origin": "", "sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site"},
        {"cookie": ""},
        {"cookie": "edge-agent-form=another"},
    ],
)
def test_a_form_of_another_page_is_refused(headers: dict[str, str]) -> None:
    app = guarded(local())
    seen = ask(app, "/")

    answer = ask(app, "/orders", headers={"cookie": seen.cookie} | headers, form={"csrf": token_of(seen)})

    assert answer.status == 403


@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "0" * 64}])
def test_a_form_without_its_token_is_refused(form: dict[str, str]) -> None:
    app = guarded(local())

    assert ask(app, "/orders", headers={"cookie": ask(app, "/").cookie}, form=form).status == 403


def test_a_token_in_a_header_does_as_well() -> None:
    app = guarded(local())
    seen = ask(app, "/")

    headers = {"cookie": seen.cookie, "x-csrf-token": token_of(seen)}

    assert ask(app, "/orders", headers=headers, form={}).status == 200


def test_other_forms_and_methods_and_long_ones_are_refused() -> None:
    app = guarded(local())
    seen = ask(app, "/")
    cookie = {"cookie": seen.cookie}
    long = {"csrf": token_of(seen), "model": "x" * MOST_FORM_BYTES}

    assert ask(app, "/orders", headers={**cookie, "content-type": "text/plain"}, form={}).status == 415
    multipart = {**cookie, "content-type": "multipart/form-data; boundary=x"}
    assert ask(app, "/orders", headers=multipart, method="POST").status == 415
    assert ask(app, "/orders", headers=cookie, form=long).status == 413
    assert ask(app, "/orders", headers=cookie, method="DELETE").status == 405


def test_nobody_commands_without_allow_commands() -> None:
    app = guarded(local(commanding=False))
    seen = ask(app, "/")

    answer = ask(app, "/orders", headers={"cookie": seen.cookie}, form={"csrf": token_of(seen)})

    assert (answer.status, "--allow-commands" in answer.body) == (403, True)


def test_who_has_not_logged_in_is_sent_to_the_login_and_a_script_is_told() -> None:
    app = guarded(with_login())
    host = {"host": "dash.lan"}

    page = ask(app, "/orders?id=1", headers=host, scheme="https")

    assert (page.status, page.header("location")) == (303, "/login?next=%2Forders%3Fid%3D1")
    assert ask(app, "/orders", headers={**host, "accept": "application/json"}, scheme="https").status == 401
    assert ask(app, "/static/app.css", headers=host, scheme="https").status == 200
    assert "__Host-edge-agent-form=" in page.header("set-cookie")
    assert "Secure" in page.header("set-cookie")


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 200)])
def test_only_an_operator_commands(role: Role, status: int) -> None:
    said: list[str] = []
    access = with_login(record=Record(said.append))
    app = guarded(access)
    headers = {"host": "dash.lan", "cookie": logged_in(access, role)}
    seen = ask(app, "/", headers=headers, scheme="https")

    assert seen.status == 200
    answer = ask(app, "/orders", headers=headers, form={"csrf": token_of(seen)}, scheme="https")
    assert answer.status == status
    assert ask(app, "/logout", headers=headers, form={"csrf": token_of(seen)}, scheme="https").status == 200
    assert [line for line in said if "anna at 127.0.0.1 was refused /orders: anna may read" in line] == (
        said if status == 403 else []
    )
    assert len(said) == (status == 403)


def test_what_a_page_loads_gives_no_cookie() -> None:
    assert not ask(guarded(local()), "/static/app.css").header("set-cookie"), "it is the same file for everybody"


def test_the_cookie_of_forms_leaves_a_session_as_it_is() -> None:
    access = with_login()
    app = guarded(access)
    asked = ask(app, "/login", headers={"host": "dash.lan"}, scheme="https")
    both = {"host": "dash.lan", "cookie": f"{asked.cookie}; {logged_in(access)}"}

    seen = ask(app, "/", headers=both, scheme="https")

    assert asked.cookie.startswith("__Host-edge-agent-form=")
    assert (seen.body.split(" ")[0], seen.header("set-cookie")) == ("anna", "")
    assert token_of(seen) != token_of(asked)
    assert ask(app, "/orders", headers=both, form={"csrf": token_of(seen)}, scheme="https").status == 200
    assert ask(app, "/orders", headers=both, form={"csrf": token_of(asked)}, scheme="https").status == 403


def test_a_fault_has_the_headers_of_a_page_too() -> None:
    app = Starlette(routes=[Route("/fault", fault)], middleware=[Middleware(Guard, access=local())])

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await app(scope, receive, send)

    said = ask(server, "/fault")

    assert (said.status, said.header("content-security-policy")) == (500, POLICY)
    assert said.header("x-content-type-options") == "nosniff"


BEHIND = {"host": "dash.lan", "x-forwarded-for": "198.51.100.9", "x-forwarded-proto": "https"}


@pytest.mark.parametrize(
    ("proxy", "client"),
    [("10.0.0.2", "10.0.0.2"), ("::1", "0:0:0:0:0:0:0:1"), ("10.0.0.2", "::ffff:10.0.0.2"), ("::1", "::1")],
)
def test_behind_a_proxy_the_last_address_that_it_says_is_the_one_who_asks(proxy: str, client: str) -> None:
    access = with_login(proxy=proxy)
    app = guarded(access)
    headers = {**BEHIND, "cookie": logged_in(access)}

    assert ask(app, "/who", headers=headers, client=client).body == "198.51.100.9"
    twice = ask(app, "/who", headers=headers, client=client, more=[("x-forwarded-for", "203.0.113.5")])
    assert twice.body == "203.0.113.5", "the first line is what the client says of itself"


def test_behind_a_proxy_only_the_proxy_may_ask_by_tls() -> None:
    app = guarded(with_login(proxy="10.0.0.2"))

    assert ask(app, "/login", headers=BEHIND, client="10.0.0.2").status == 200
    assert ask(app, "/login", headers=BEHIND, client="10.0.0.3").status == 400
    assert ask(app, "/login", headers={**BEHIND, "x-forwarded-proto": "http"}, client="10.0.0.2").status == 400
    assert ask(app, "/login", headers={**BEHIND, "x-forwarded-for": ""}, client="10.0.0.2").status == 400
    both = [("x-forwarded-proto", "http")]
    assert ask(app, "/login", headers=BEHIND, client="10.0.0.2", more=both).status == 400


def test_a_proxy_that_nobody_named_exposes_nothing() -> None:
    answer = ask(guarded(local()), "/", headers={"x-forwarded-for": "198.51.100.9"})

    assert (answer.status, "--trusted-proxy" in answer.body) == (400, True)


def test_a_link_from_another_site_changes_no_cookie_and_leads_on() -> None:
    for access in (local(), with_login()):
        scheme, host = ("https", "dash.lan") if access.exposure.secure else ("http", "127.0.0.1:8080")
        headers = {"host": host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

        answer = ask(guarded(access), "/", headers=headers, scheme=scheme)

        assert (answer.status, answer.header("set-cookie")) == (200, "")
        assert 'http-equiv="refresh"' in answer.body


def test_what_a_page_asks_for_beside_itself_voids_none_of_its_forms() -> None:
    """A browser asks for an icon before the page's cookie has come."""
    icon = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}

    assert ask(guarded(local()), "/favicon.ico", headers=icon).header("set-cookie") == ""
    assert ask(guarded(local()), "/", headers={"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}).cookie


def test_cookies_of_other_programs_on_this_host_turn_ours_not_off() -> None:
    app = guarded(local())
    seen = ask(app, "/")

    for others in ('ui={"a":1}', "foo[bar]=1", "a=b c", "=;=;"):
        answer = ask(app, "/orders", headers={"cookie": f"{others}; {seen.cookie}"}, form={"csrf": token_of(seen)})
        assert answer.status == 200, others
