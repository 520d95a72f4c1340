"""Who decides about requests: origins, the application, middlewares."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from nuncio.engine import Engine
from nuncio.engine.request import Exchange, Request
from nuncio.errors import ConnectError, OptionError
from tests.support.aio import run_async
from tests.support.door import HERE, POLLING, WEBSOCKET, Door, header, packet
from tests.support.fakes import FakeExchange, a_request

# Origins.

FOREIGN = (b"origin", b"https://evil.example")
OWN = (b"origin", b"http://here.example")


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_pages_of_other_origins_are_refused_on_every_way_in(
    waits: bool,
) -> None:
    door = Door()
    if waits:
        door.engine.use(lambda request, response: asyncio.sleep(0))
    exchange = await door.knock(headers=[FOREIGN])
    assert exchange.status == 403
    assert json.loads(exchange.body) == {"code": 4, "message": "Origin not allowed"}
    socket = await door.knock(WEBSOCKET, upgrade=True, headers=[FOREIGN])
    assert socket.answer == (400, b"Origin not allowed")
    assert socket.transport is None
    sid = await door.open()
    for method in ("GET", "POST", "OPTIONS"):
        exchange = await door.knock(f"{POLLING}&sid={sid}", method, headers=[FOREIGN])
        assert exchange.status == 403
    socket = await door.knock(f"{WEBSOCKET}&sid={sid}", upgrade=True, headers=[FOREIGN])
    assert socket.transport is None
    assert {failure.code for failure in door.failures} == {4}
    assert door.failures[0].context == {
        "name": "ORIGIN_NOT_ALLOWED",
        "origin": "https://evil.example",
    }
    assert all(header(one, "access-control-allow-origin") is None for one in (exchange, socket))


@pytest.mark.parametrize("headers", [[], [OWN]])
@run_async
async def test_own_pages_and_who_has_no_origin_are_admitted(
    headers: list[tuple[bytes, bytes]],
) -> None:
    door = Door()
    assert (await door.knock(headers=headers)).status == 200
    assert (await door.knock(WEBSOCKET, upgrade=True, headers=headers)).transport is not None


@pytest.mark.parametrize(
    "origin", [b"null", b"", b"http://here.example.evil", b"http://here.example:81"]
)
@run_async
async def test_what_only_looks_like_the_own_origin_is_refused(origin: bytes) -> None:
    door = Door()
    assert (await door.knock(headers=[(b"origin", origin)])).status == 403


@pytest.mark.parametrize("origin", [b"http://h\x7fre.example", b"http://h\xe9re.example", b"a\tb"])
@run_async
async def test_an_origin_with_odd_characters_is_a_bad_request(origin: bytes) -> None:
    door = Door(cors="*")
    exchange = await door.knock(headers=[(b"origin", origin)])
    assert exchange.status == 400
    assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    (failure,) = door.failures
    assert failure.context == {"name": "INVALID_ORIGIN", "origin": origin.decode("latin-1")}


def test_a_foreign_origin_is_a_warning_once_and_not_a_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @run_async
    async def knock_often() -> None:
        door = Door()
        for _ in range(10):
            await door.knock(headers=[FOREIGN])

    with caplog.at_level(logging.DEBUG, "nuncio"):
        knock_often()
    levels = [record.levelno for record in caplog.records]
    assert levels.count(logging.WARNING) == 1
    assert max(levels) == logging.WARNING


# Scripts: what JSONP asks for, any page can load, and no browser sends `Origin` with it.

JSONP = "EIO=3&transport=polling&j=0"


def site(value: bytes) -> tuple[bytes, bytes]:
    return (b"sec-fetch-site", value)


def referer(value: bytes) -> tuple[bytes, bytes]:
    return (b"referer", value)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize(
    "headers",
    [
        [site(b"cross-site")],
        [site(b"same-site")],
        [site(b"")],
        [site(b"same-origin"), site(b"cross-site")],
        # What the browser says counts, whatever page it names.
        [site(b"cross-site"), referer(b"http://here.example/chat")],
        [referer(b"https://evil.example/page?x=http://here.example/")],
        [referer(b"http://here.example.evil.example/")],
        [referer(b"http://here.example@evil.example/")],
        [referer(b"http://here.example:81/")],
        [referer(b"about:blank")],
        [referer(b"")],
        [referer(b"x" * 5000)],
    ],
)
@run_async
async def test_scripts_for_pages_of_other_origins_are_refused(
    headers: list[tuple[bytes, bytes]], revision: int, waits: bool
) -> None:
    door = Door(allow_eio3=True)
    if waits:
        door.engine.use(lambda request, response: asyncio.sleep(0))
    query = JSONP.replace("3", str(revision))
    exchange = await door.knock(query, headers=headers)
    assert exchange.status == 403
    assert json.loads(exchange.body) == {"code": 4, "message": "Origin not allowed"}
    assert door.engine.clients_count == 0
    assert door.failures[0].context["name"] == "ORIGIN_NOT_ALLOWED"
    # Nor do they get at a session there is.
    opened = await door.knock(query)
    assert opened.body.startswith(b"___eio[0](")
    sid = door.sessions[0].id
    for method in ("GET", "POST"):
        exchange = await door.knock(f"{query}&sid={sid}", method, headers=headers)
        assert exchange.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [site(b"same-origin")],
        [site(b"same-origin"), referer(b"https://evil.example/")],
        [site(b"none")],
        [referer(b"http://here.example/chat?room=1#top")],
        [referer(b"http://here.example")],
        [referer(b"http://HERE.example:80/")],
    ],
)
@run_async
async def test_scripts_for_own_pages_and_for_who_names_none_are_answered(
    headers: list[tuple[bytes, bytes]],
) -> None:
    door = Door(allow_eio3=True)
    exchange = await door.knock(JSONP, headers=headers)
    assert exchange.status == 200
    assert exchange.body.startswith(b"___eio[0](")


@pytest.mark.parametrize(
    ("cors", "headers", "status"),
    [
        ("*", [site(b"cross-site"), referer(b"https://evil.example/")], 200),
        (True, [site(b"cross-site"), referer(b"https://evil.example/")], 200),
        (["https://front.example"], [referer(b"https://front.example/chat")], 200),
        (["https://front.example"], [referer(b"https://evil.example/chat")], 403),
        (["https://front.example"], [site(b"cross-site")], 403),
        (
            lambda origin: origin == "https://front.example",
            [referer(b"https://front.example/")],
            200,
        ),
        (
            lambda origin: origin == "https://front.example",
            [referer(b"https://evil.example/")],
            403,
        ),
        # The origin itself, where it is named, says all.
        (
            ["https://front.example"],
            [(b"origin", b"https://front.example"), site(b"cross-site")],
            200,
        ),
        (["https://front.example"], [FOREIGN, site(b"same-origin")], 403),
    ],
)
@run_async
async def test_scripts_for_admitted_origins(
    cors: Any, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    door = Door(allow_eio3=True, cors=cors)
    assert (await door.knock(JSONP, headers=headers)).status == status


@run_async
async def test_without_old_clients_there_are_no_scripts() -> None:
    door = Door()
    exchange = await door.knock(f"{POLLING}&j=0", headers=[site(b"cross-site")])
    assert packet(exchange)["sid"] == door.sessions[0].id


@run_async
async def test_what_is_no_script_is_not_judged_by_its_referer() -> None:
    door = Door(allow_eio3=True)
    foreign = [site(b"cross-site"), referer(b"https://evil.example/")]
    assert (await door.knock("EIO=3&transport=polling", headers=foreign)).status == 200


def test_a_refused_script_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    @run_async
    async def knock_often() -> None:
        door = Door(allow_eio3=True)
        for _ in range(3):
            await door.knock(JSONP, headers=[referer(b"https://evil.example/\x1b[31m")])

    with caplog.at_level(logging.DEBUG, "nuncio"):
        knock_often()
    (warning,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "'https://evil.example' asked for a script (JSONP)" in warning.getMessage()


@run_async
async def test_cors_headers_are_on_every_answer_of_an_admitted_page() -> None:
    door = Door(cors="https://front.example")
    friend = (b"origin", b"https://front.example")
    answers = [
        await door.knock(headers=[friend]),
        await door.knock("EIO=4&transport=tobi", headers=[friend]),
        await door.knock(f"{POLLING}&sid=tobi", headers=[friend]),
        await door.knock(WEBSOCKET, upgrade=True, headers=[friend]),
    ]
    sid = door.sessions[0].id
    post = await door.knock(f"{POLLING}&sid={sid}", "POST", headers=[friend])
    post.deliver(b"4a")
    answers.append(post)
    for answer in answers:
        assert header(answer, "access-control-allow-origin") == "https://front.example"
    refused = await door.knock(headers=[FOREIGN])
    assert refused.status == 403


@run_async
async def test_a_preflight_is_answered_and_opens_nothing() -> None:
    door = Door(cors={"origin": "https://front.example", "credentials": True})
    exchange = await door.knock(
        method="OPTIONS",
        headers=[
            (b"origin", b"https://front.example"),
            (b"access-control-request-method", b"POST"),
            (b"access-control-request-headers", b"x-one"),
        ],
    )
    assert exchange.answer == (204, b"")
    assert header(exchange, "access-control-allow-origin") == "https://front.example"
    assert header(exchange, "access-control-allow-credentials") == "true"
    assert header(exchange, "access-control-allow-headers") == "x-one"
    assert door.engine.clients_count == 0
    assert door.failures == []


@pytest.mark.parametrize("kind", ["plain", "async"])
@run_async
async def test_the_application_may_decide_about_origins(kind: str) -> None:
    async def ask(origin: str) -> bool:
        await asyncio.sleep(0)
        return origin == "https://front.example"

    def say(origin: str) -> bool:
        return origin == "https://front.example"

    door = Door(cors=ask if kind == "async" else say)
    friend = [(b"origin", b"https://front.example")]
    assert (await door.knock(headers=friend)).status == 200
    assert (await door.knock(headers=[FOREIGN])).status == 403
    assert (await door.knock(WEBSOCKET, upgrade=True, headers=[FOREIGN])).transport is None


@pytest.mark.parametrize("kind", ["plain", "async"])
@run_async
async def test_a_function_for_origins_that_fails_admits_nobody(kind: str) -> None:
    async def ask(origin: str) -> bool:
        raise RuntimeError("database away")

    def say(origin: str) -> bool:
        raise RuntimeError("database away")

    door = Door(cors=ask if kind == "async" else say)
    assert (await door.knock(headers=[FOREIGN])).status == 403
    assert (await door.knock()).status == 200


# The application's gates.


def answers(value: object) -> list[Callable[..., Any]]:
    """A plain and an async function that answer the same."""

    async def ask(request: Request) -> object:
        await asyncio.sleep(0)
        return value

    return [lambda request: value, ask]


@pytest.mark.parametrize("allow", answers(True))
@run_async
async def test_allow_request_lets_in(allow: Callable[..., Any]) -> None:
    door = Door(allow_request=allow)
    assert (await door.knock()).status == 200
    assert (await door.knock(WEBSOCKET, upgrade=True)).transport is not None


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        *((allow, "Forbidden") for allow in answers(False)),
        *((allow, "Thou shall not pass") for allow in answers("Thou shall not pass")),
        *((allow, "Forbidden") for allow in answers(None)),
        *((allow, "Forbidden") for allow in answers(1)),
        *((allow, "") for allow in answers("")),
    ],
)
@run_async
async def test_allow_request_refuses(allow: Callable[..., Any], message: str) -> None:
    door = Door(allow_request=allow)
    exchange = await door.knock()
    assert exchange.status == 403
    assert json.loads(exchange.body) == {"code": 4, "message": message}
    assert door.failures[0].context == {"message": message}
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert socket.answer == (400, message.encode())
    assert door.engine.clients_count == 0


@run_async
async def test_an_allow_request_that_fails_admits_nobody() -> None:
    def allow(request: Request) -> bool:
        raise RuntimeError("database away")

    door = Door(allow_request=allow)
    exchange = await door.knock()
    assert (exchange.status, json.loads(exchange.body)["message"]) == (403, "Forbidden")


@run_async
async def test_allow_request_is_asked_about_new_sessions_alone() -> None:
    asked: list[str] = []

    def allow(request: Request) -> bool:
        asked.append(request.query_string)
        return True

    door = Door(allow_request=allow)
    sid = await door.open()
    await door.knock(f"{WEBSOCKET}&sid={sid}", upgrade=True)
    (await door.knock(f"{POLLING}&sid={sid}", "POST")).deliver(b"4a")
    await door.knock("EIO=4&transport=tobi")
    assert asked == [POLLING]


@run_async
async def test_the_protocol_is_checked_after_the_application_was_asked() -> None:
    door = Door(allow_request=lambda request: False)
    exchange = await door.knock("EIO=3&transport=polling")
    assert json.loads(exchange.body)["code"] == 4
    door = Door(allow_request=lambda request: True)
    exchange = await door.knock("EIO=3&transport=polling")
    assert json.loads(exchange.body)["code"] == 5


@run_async
async def test_the_application_may_make_the_ids() -> None:
    async def later(request: Request) -> str:
        await asyncio.sleep(0)
        return "later-" + request.query["n"]

    for generate in (lambda request: "now-" + request.query["n"], later):
        door = Door(generate_id=generate)
        sid = packet(await door.knock(f"{POLLING}&n=1"))["sid"]
        assert sid in ("now-1", "later-1")
        assert door.sessions[0].id == sid


@pytest.mark.parametrize("id", [None, "", 5, "taken", "a b", "a\r\nb", "é", "\ud800", b"bytes"])
@run_async
async def test_an_id_that_cannot_be_used_is_a_bad_request(id: object) -> None:
    ids = iter(["taken", id])
    door = Door(generate_id=lambda request: next(ids), cookie=True)
    await door.knock()
    exchange = await door.knock()
    assert exchange.status == 400
    assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    context = door.failures[0].context
    assert context["name"] == "ID_GENERATION_ERROR"
    assert isinstance(context["error"], OptionError)
    assert list(door.engine.sessions) == ["taken"]


@run_async
async def test_making_an_id_may_fail() -> None:
    async def generate(request: Request) -> str:
        raise RuntimeError("no ids left")

    door = Door(generate_id=generate)
    exchange = await door.knock()
    assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    assert str(door.failures[0].context["error"]) == "no ids left"
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert socket.answer == (400, b"Bad request")
    assert socket.transport is None


@run_async
async def test_a_client_that_leaves_while_the_application_decides_gets_no_session() -> None:
    decided: list[asyncio.Future[bool]] = []

    def decide(_: object) -> asyncio.Future[bool]:
        decided.append(asyncio.get_running_loop().create_future())
        return decided[-1]

    for option in ("allow_request", "cors"):
        door = Door(**{option: decide})
        headers = [HERE, FOREIGN] if option == "cors" else [HERE]
        exchange = FakeExchange(a_request(headers=headers))
        waiting = door.engine.handle(exchange, False)
        assert waiting is not None
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        exchange.lose()
        decided.pop().set_result(True)
        await task
        assert door.engine.clients_count == 0
        assert exchange.status == 0


@run_async
async def test_the_house_may_fill_up_while_the_application_decides() -> None:
    decided: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    door = Door(allow_request=lambda request: decided)
    knocking = asyncio.ensure_future(door.knock())
    await asyncio.sleep(0)
    door.engine.may_open = lambda: False
    decided.set_result(True)
    assert (await knocking).answer == (503, b'{"code":503,"message":"Too many connections"}')


# Middlewares.


@run_async
async def test_middlewares_run_in_order_for_every_request() -> None:
    order: list[str] = []
    door = Door()

    @door.engine.use
    def first(request: Request, response: Exchange) -> None:
        order.append("first")
        response.set_header("X-First", "1")

    @door.engine.use
    async def second(request: Request, response: Exchange) -> None:
        await asyncio.sleep(0)
        order.append("second")

    exchange = await door.knock()
    sid = door.sessions[0].id
    assert header(exchange, "x-first") == "1"
    socket = await door.knock(f"{WEBSOCKET}&sid={sid}", upgrade=True)
    assert header(socket, "x-first") == "1"
    refused = await door.knock("EIO=4&transport=tobi")
    assert header(refused, "x-first") == "1"
    assert order == ["first", "second"] * 3


@run_async
async def test_a_middleware_may_answer_itself() -> None:
    door = Door()
    later: list[None] = []
    door.engine.use(lambda request, response: response.end(503, "closed today"))
    door.engine.use(lambda request, response: later.append(None))
    exchange = await door.knock()
    assert exchange.answer == (503, b"closed today")
    assert (await door.knock(WEBSOCKET, upgrade=True)).answer == (503, b"closed today")
    assert later == []
    assert door.failures == []
    assert door.engine.clients_count == 0


@pytest.mark.parametrize("kind", ["plain", "async"])
@run_async
async def test_a_middleware_that_raises_refuses(kind: str) -> None:
    def now(request: Request, response: Exchange) -> None:
        raise RuntimeError("no")

    async def later(request: Request, response: Exchange) -> None:
        raise RuntimeError("no")

    door = Door()
    door.engine.use(now if kind == "plain" else later)
    exchange = await door.knock()
    assert exchange.status == 400
    assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    assert door.failures[0].context["name"] == "MIDDLEWARE_FAILURE"
    assert (await door.knock(WEBSOCKET, upgrade=True)).answer == (400, b"Bad request")


@pytest.mark.parametrize(
    ("error", "level"),
    [(KeyError("x-user"), logging.ERROR), (ConnectError("go away"), logging.DEBUG)],
)
def test_a_bug_in_a_middleware_is_told_and_a_refusal_is_not(
    error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    def gate(request: Request, response: Exchange) -> None:
        raise error

    @run_async
    async def knock() -> None:
        door = Door()
        door.engine.use(gate)
        assert (await door.knock()).status == 400

    with caplog.at_level(logging.DEBUG, "nuncio"):
        knock()
    (record,) = caplog.records
    assert record.levelno == level
    assert (record.exc_info is not None) == (level == logging.ERROR)


@pytest.mark.parametrize("answer", [7, None, "a b", KeyError("node")])
def test_an_id_that_cannot_be_made_is_told(
    answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    def generate(request: Request) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    @run_async
    async def knock() -> None:
        assert (await Door(generate_id=generate).knock()).status == 400

    with caplog.at_level(logging.DEBUG, "nuncio"):
        knock()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "generate_id failed, so its request is refused"
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "middleware",
    [
        lambda request, response, next: next(),
        lambda request: None,
        lambda: None,
        lambda request, response, *, next: None,
    ],
)
def test_a_middleware_that_cannot_be_called_is_refused_at_once(middleware: Any) -> None:
    with pytest.raises(OptionError, match=r"there is no `next`: return to go on"):
        Engine().use(middleware)


def test_what_may_be_a_middleware() -> None:
    class Gate:
        def __call__(self, request: Request, response: Exchange, /) -> None: ...

        def method(self, *args: object) -> None: ...

    for middleware in (Gate(), Gate().method, print, lambda request, response, more=None: None):
        assert Engine().use(middleware) is middleware


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-One", "a\r\nX-Two: b"),
        ("X-One", "a\nb"),
        ("X-One", "a\0b"),
        ("X-One", "€"),
        ("X-One\r\nX-Two", "a"),
        ("X One", "a"),
        ("X-One:", "a"),
        ("", "a"),
    ],
)
@run_async
async def test_headers_that_would_break_the_head_are_refused(name: str, value: str) -> None:
    door = Door()
    door.engine.use(lambda request, response: response.set_header(name, value))
    for upgrade in (False, True):
        exchange = await door.knock(WEBSOCKET if upgrade else POLLING, upgrade=upgrade)
        assert exchange.status == 400
        assert not any("Two" in "".join(pair) for pair in exchange.sent)
    exchange = FakeExchange()
    with pytest.raises(ValueError, match=r"name|value"):
        exchange.set_header(name, value)
    assert exchange.headers == []


@pytest.mark.parametrize("kind", ["plain", "async"])
@run_async
async def test_bodies_are_limited_behind_a_middleware_too(kind: str) -> None:
    async def later(request: Request, response: Exchange) -> None:
        await asyncio.sleep(0)

    door = Door(max_http_buffer_size=5)
    door.engine.use(later if kind == "async" else lambda request, response: None)
    sid = await door.open()
    heard: list[Any] = []
    door.sessions[0].on("message", heard.append)
    exchange = await door.knock(f"{POLLING}&sid={sid}", "POST")
    exchange.deliver(b"4abc", b"de")
    assert exchange.answer == (413, b"")
    exchange = await door.knock(f"{POLLING}&sid={sid}", "POST")
    exchange.deliver(b"4abcd")
    assert exchange.answer == (200, b"ok")
    assert heard == ["abcd"]


@run_async
async def test_what_cannot_be_called_is_no_middleware() -> None:
    middleware: Any = 5
    with pytest.raises(TypeError, match="middleware must be callable, not 5"):
        Engine().use(middleware)
