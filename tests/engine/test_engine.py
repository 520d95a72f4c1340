from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio.engine import Engine, Session
from nuncio.engine.engine import ConnectionFailure
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.errors import OptionError
from tests.support.aio import run_async
from tests.support.fakes import FakeExchange, FakeTransport, a_request

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"
HERE = (b"host", b"here.example")


class Handshake(FakeExchange):
    """A WebSocket handshake; `transport` is what came of it."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.transport: FakeTransport | None = None

    def accept(self) -> Transport:
        """See `Exchange.accept`."""
        self.done = True
        self.sent = list(self.headers)
        self.transport = FakeTransport()
        return self.transport


class Door:
    """An engine, and requests that knock at it."""

    def __init__(self, **options: Any) -> None:
        self.engine = Engine(**options)
        self.sessions: list[Session] = []
        self.failures: list[ConnectionFailure] = []
        self.engine.on("connection", self.sessions.append)
        self.engine.on("connection_error", self.failures.append)

    async def knock(
        self,
        query: str = POLLING,
        method: str = "GET",
        *,
        upgrade: bool = False,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Any:
        """Hand in a request and return its exchange."""
        request = a_request(query, method, [HERE, *(headers or [])])
        exchange = Handshake(request) if upgrade else FakeExchange(request)
        waiting = self.engine.handle(exchange, upgrade)
        if waiting is not None:
            await waiting
        return exchange

    async def open(self) -> str:
        """Open a session over polling and return its id."""
        return str(packet(await self.knock())["sid"])


def packet(exchange: FakeExchange) -> dict[str, Any]:
    """The content of an open packet."""
    assert exchange.status == 200, exchange.answer
    body = exchange.body.partition(b"\x1e")[0]
    assert body.startswith(b"0")
    opened: dict[str, Any] = json.loads(body[1:])
    return opened


def header(exchange: FakeExchange, name: str) -> str | None:
    values = [value for key, value in exchange.sent if key.lower() == name]
    assert len(values) < 2
    return values[0] if values else None


# Opening.


@run_async
async def test_the_open_packet_of_a_polling_session() -> None:
    door = Door(ping_interval=25.5, ping_timeout=0.02, max_http_buffer_size=1234)
    exchange = await door.knock()
    opened = packet(exchange)
    assert list(opened) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert opened["upgrades"] == ["websocket"]
    assert (opened["pingInterval"], opened["pingTimeout"]) == (25500, 20)
    assert opened["maxPayload"] == 1234
    assert header(exchange, "content-type") == "text/plain; charset=UTF-8"
    assert header(exchange, "cache-control") == "no-store"
    assert header(exchange, "set-cookie") is None
    assert header(exchange, "access-control-allow-origin") is None
    (session,) = door.sessions
    assert session.id == opened["sid"]
    assert session.transport.name == "polling"
    assert door.engine.clients_count == 1


@run_async
async def test_the_open_packet_of_a_websocket_session() -> None:
    door = Door()
    exchange = await door.knock(WEBSOCKET, upgrade=True)
    (sent,) = exchange.transport.take()
    opened = json.loads(sent[1:])
    assert opened["upgrades"] == []
    assert opened["maxPayload"] == 1_000_000
    assert door.sessions[0].transport is exchange.transport
    assert door.engine.sessions == {opened["sid"]: door.sessions[0]}


@pytest.mark.parametrize(
    ("options", "upgrades"),
    [
        ({}, ["websocket"]),
        ({"allow_upgrades": False}, []),
        ({"transports": ["polling"]}, []),
        ({"transports": ["websocket", "polling"]}, ["websocket"]),
    ],
)
@run_async
async def test_the_upgrades_that_are_offered(options: dict[str, Any], upgrades: list[str]) -> None:
    assert packet(await Door(**options).knock())["upgrades"] == upgrades


@run_async
async def test_ids_are_long_random_and_safe_in_urls() -> None:
    door = Door()
    ids = {await door.open() for _ in range(500)}
    assert len(ids) == 500
    for id in ids:
        assert len(base64.urlsafe_b64decode(id)) * 8 >= 120
        assert len(id) == 20
    # None can be guessed from another: no position is the same in all.
    assert all(len({id[index] for id in ids}) > 30 for index in range(20))


@pytest.mark.parametrize(
    ("initial", "rest"), [("hello", b"4hello"), (b"\x01\x02", b"bAQI="), ("", b"4")]
)
@run_async
async def test_the_initial_packet_goes_with_the_open_packet(
    initial: str | bytes, rest: bytes
) -> None:
    door = Door(initial_packet=initial)
    exchange = await door.knock()
    assert exchange.body.partition(b"\x1e")[2] == rest
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert socket.transport.take()[1:] == [rest]


@run_async
async def test_what_the_connection_handler_sends_follows_the_open_packet() -> None:
    door = Door()
    door.engine.on("connection", lambda session: session.send("welcome"))
    exchange = await door.knock()
    assert b"welcome" not in exchange.body
    poll = await door.knock(f"{POLLING}&sid={door.sessions[0].id}")
    assert poll.answer == (200, b"4welcome")
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert [sent[:1] for sent in socket.transport.take()] == [b"0", b"4"]


@run_async
async def test_a_stand_alone_engine_hands_messages_to_listeners() -> None:
    door = Door()
    heard: list[object] = []
    door.engine.on("connection", lambda session: session.on("message", heard.append))
    exchange = await door.knock(WEBSOCKET, upgrade=True)
    exchange.transport.receive("4é".encode())
    exchange.transport.receive_binary(b"\x01")
    exchange.transport.receive(b"4")
    assert heard == ["é", b"\x01", ""]


@run_async
async def test_the_request_of_a_session_can_be_looked_at_later() -> None:
    door = Door()
    await door.knock(f"{POLLING}&token=a%20b", headers=[(b"x-one", b"1"), (b"x-one", b"2")])
    request = door.sessions[0].request
    assert request.query == {"EIO": "4", "transport": "polling", "token": "a b"}
    assert request.headers == {"host": "here.example", "x-one": "1, 2"}
    assert request.client == ("192.0.2.1", 4711)
    assert request.url == f"/engine.io/?{POLLING}&token=a%20b"


# Refusals. Every line: the request, then status, code, message and context of the answer.

SID = "{sid}"

REFUSALS: list[tuple[str, str, bool, int, int, str, Mapping[str, object]]] = [
    ("", "GET", False, 400, 0, "Transport unknown", {"transport": ""}),
    ("EIO=4", "GET", False, 400, 0, "Transport unknown", {"transport": ""}),
    *(
        (f"EIO=4&transport={name}", "GET", False, 400, 0, "Transport unknown", {"transport": name})
        for name in (
            "tobi",
            "webtransport",
            "constructor",
            "__proto__",
            "__class__",
            "__dict__",
            "POLLING",
            "polling,websocket",
            "é",
        )
    ),
    (
        "transport=polling&transport=tobi&EIO=4",
        "GET",
        False,
        400,
        0,
        "Transport unknown",
        {"transport": "tobi"},
    ),
    *(
        (f"{POLLING}&sid={sid}", "GET", False, 400, 1, "Session ID unknown", {"sid": sid})
        for sid in ("tobi", "__proto__", "constructor", "__class__", "", "é", "x" * 5000)
    ),
    (f"{POLLING}&sid=tobi", "POST", False, 400, 1, "Session ID unknown", {"sid": "tobi"}),
    (f"{WEBSOCKET}&sid=tobi", "GET", True, 400, 1, "Session ID unknown", {"sid": "tobi"}),
    *(
        (POLLING, method, False, 400, 2, "Bad handshake method", {"method": method})
        for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE")
    ),
    (WEBSOCKET, "GET", False, 400, 3, "Bad request", {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
    (POLLING, "GET", True, 400, 3, "Bad request", {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
    (
        f"{WEBSOCKET}&sid={SID}",
        "GET",
        False,
        400,
        3,
        "Bad request",
        {
            "name": "TRANSPORT_MISMATCH",
            "transport": "websocket",
            "previous_transport": "polling",
        },
    ),
    (
        f"{POLLING}&sid={SID}",
        "GET",
        True,
        400,
        3,
        "Bad request",
        {"name": "TRANSPORT_HANDSHAKE_ERROR"},
    ),
    *(
        (
            f"{eio}&transport=polling&sid={SID}",
            "GET",
            False,
            400,
            3,
            "Bad request",
            {"name": "PROTOCOL_MISMATCH", "protocol": 3, "previous_protocol": 4},
        )
        for eio in ("EIO=3", "", "EIO=5")
    ),
    *(
        (f"{eio}&transport=polling", "GET", False, 400, 5, "Unsupported protocol version", why)
        for eio in ("EIO=3", "", "EIO=", "EIO=44", "EIO=4.0", "EIO=four", "EIO=4&EIO=3")
        for why in ({"protocol": 3},)
    ),
    (
        "EIO=3&transport=websocket",
        "GET",
        True,
        400,
        5,
        "Unsupported protocol version",
        {"protocol": 3},
    ),
    # Where several things are wrong, the reference's order of the checks decides.
    (
        "EIO=3&transport=tobi&sid=tobi",
        "PUT",
        False,
        400,
        0,
        "Transport unknown",
        {"transport": "tobi"},
    ),
    (
        "EIO=3&transport=polling&sid=tobi",
        "PUT",
        False,
        400,
        1,
        "Session ID unknown",
        {"sid": "tobi"},
    ),
    (
        "EIO=3&transport=websocket",
        "POST",
        False,
        400,
        2,
        "Bad handshake method",
        {"method": "POST"},
    ),
]


@pytest.mark.parametrize(
    ("query", "method", "upgrade", "status", "code", "message", "why"), REFUSALS
)
@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_requests_are_refused_as_the_reference_refuses_them(
    query: str,
    method: str,
    upgrade: bool,
    status: int,
    code: int,
    message: str,
    why: Mapping[str, object],
    waits: bool,
) -> None:
    door = Door()
    if waits:
        door.engine.use(lambda request, response: asyncio.sleep(0))
    sid = await door.open()
    exchange = await door.knock(query.replace(SID, sid), method, upgrade=upgrade)
    if upgrade:
        assert exchange.answer == (status, message.encode())
        assert header(exchange, "content-type") == "text/html"
        assert header(exchange, "connection") == "close"
    else:
        assert exchange.status == status
        assert json.loads(exchange.body) == {"code": code, "message": message}
        assert header(exchange, "content-type") == "application/json"
        assert header(exchange, "cache-control") is None
    (failure,) = door.failures
    assert (failure.code, failure.message, failure.context) == (code, message, why)
    assert failure.request is exchange.request
    assert list(door.engine.sessions) == [sid]
    assert len(door.sessions) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@run_async
async def test_other_methods_on_a_session_are_an_error_without_words(method: str) -> None:
    door = Door()
    sid = await door.open()
    exchange = await door.knock(f"{POLLING}&sid={sid}", method)
    assert exchange.answer == (500, b"")
    assert door.failures == []
    assert door.sessions[0].is_open


@run_async
async def test_where_websockets_are_off_their_handshake_is_an_ordinary_request() -> None:
    door = Door(transports=["polling"])
    exchange = await door.knock(WEBSOCKET, upgrade=True)
    assert exchange.status == 400
    assert json.loads(exchange.body) == {"code": 0, "message": "Transport unknown"}


@run_async
async def test_where_polling_is_off_it_is_unknown() -> None:
    door = Door(transports=["websocket"])
    exchange = await door.knock()
    assert json.loads(exchange.body) == {"code": 0, "message": "Transport unknown"}
    assert (await door.knock(WEBSOCKET, upgrade=True)).transport is not None


@run_async
async def test_polls_of_a_websocket_session_are_refused() -> None:
    door = Door()
    await door.knock(WEBSOCKET, upgrade=True)
    sid = door.sessions[0].id
    for method in ("GET", "POST"):
        exchange = await door.knock(f"{POLLING}&sid={sid}", method)
        assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    assert door.failures[0].context["previous_transport"] == "websocket"
    exchange = await door.knock(f"{WEBSOCKET}&sid={sid}")
    assert json.loads(exchange.body) == {"code": 3, "message": "Bad request"}
    assert door.sessions[0].is_open


@run_async
async def test_a_full_house_says_so_and_when_to_come_back() -> None:
    door = Door()
    door.engine.may_open = lambda: False
    for query, upgrade in ((POLLING, False), (WEBSOCKET, True)):
        exchange = await door.knock(query, upgrade=upgrade)
        assert exchange.answer == (503, b"")
        assert header(exchange, "retry-after") == "5"
        assert header(exchange, "connection") == "close"
    assert door.engine.clients_count == 0
    # Nor is anybody let in while the server stops.
    door.engine.may_open = None
    door.engine.stopping = True
    assert (await door.knock()).answer == (503, b"")
    door.engine.stopping = False
    # Who is in stays in.
    sid = await door.open()
    door.engine.may_open = lambda: False
    assert (await door.knock(f"{POLLING}&sid={sid}")).answer is None


@run_async
async def test_a_listener_of_connection_error_that_fails_changes_no_answer() -> None:
    door = Door()
    door.engine.on("connection_error", lambda failure: 1 / 0)
    exchange = await door.knock("EIO=4&transport=tobi")
    assert exchange.status == 400


@run_async
async def test_a_listener_of_connection_that_fails_leaves_the_session() -> None:
    door = Door()
    door.engine.on("connection", lambda session: 1 / 0)
    assert packet(await door.knock())["sid"] == door.sessions[0].id
    assert door.sessions[0].is_open


# Sessions.


@run_async
async def test_polls_and_payloads_find_their_session() -> None:
    door = Door()
    sid = await door.open()
    heard: list[str] = []
    door.sessions[0].on("message", heard.append)
    query = f"{POLLING}&sid={sid}&t=abc"
    poll = await door.knock(query)
    assert poll.answer is None
    post = await door.knock(query, "POST")
    post.deliver(b"4a")
    assert post.answer == (200, b"ok")
    assert heard == ["a"]
    door.sessions[0].send("b")
    await asyncio.sleep(0)
    assert poll.answer == (200, b"4b")


@pytest.mark.parametrize("prefix", ["x=1&", "EIO=3&", "sid=other&", "transport=tobi&"])
@run_async
async def test_of_parameters_that_come_twice_the_last_wins(prefix: str) -> None:
    door = Door()
    sid = await door.open()
    assert (await door.knock(f"{prefix}{POLLING}&sid={sid}")).answer is None


@run_async
async def test_a_session_that_ended_is_unknown() -> None:
    door = Door()
    sid = await door.open()
    (await door.knock(f"{POLLING}&sid={sid}")).lose()
    exchange = await door.knock(f"{POLLING}&sid={sid}")
    assert json.loads(exchange.body)["code"] == 1
    assert door.engine.clients_count == 0


@run_async
async def test_closing_the_engine_ends_every_session_at_once() -> None:
    door = Door()
    reasons: list[str] = []
    for upgrade in (False, True, False):
        await door.knock(WEBSOCKET if upgrade else POLLING, upgrade=upgrade)
    for session in door.sessions:
        session.on("close", lambda reason, _: reasons.append(reason))
        session.send("dropped")
    door.engine.close()
    assert reasons == ["forced close"] * 3
    assert door.engine.clients_count == 0
    door.engine.close()


# Upgrades.


@asynccontextmanager
async def polling_session(**options: Any) -> AsyncIterator[tuple[Door, Session, str]]:
    door = Door(**options)
    sid = await door.open()
    yield door, door.sessions[0], f"{WEBSOCKET}&sid={sid}"


@run_async
async def test_an_upgrade_of_a_session() -> None:
    async with polling_session() as (door, session, query):
        exchange = await door.knock(query, upgrade=True)
        exchange.transport.receive(b"2probe")
        assert exchange.transport.take() == [b"3probe"]
        exchange.transport.receive(b"5")
        assert session.transport is exchange.transport
        assert door.engine.clients_count == 1
        poll = await door.knock(query.replace("websocket", "polling"))
        assert json.loads(poll.body) == {"code": 3, "message": "Bad request"}


@run_async
async def test_upgrades_are_taken_even_when_they_are_not_offered() -> None:
    async with polling_session(allow_upgrades=False) as (door, session, query):
        exchange = await door.knock(query, upgrade=True)
        exchange.transport.receive(b"5")
        assert session.upgraded


@pytest.mark.parametrize("moved", [False, True])
@run_async
async def test_a_second_upgrade_is_closed_and_changes_nothing(moved: bool) -> None:
    async with polling_session() as (door, session, query):
        first = await door.knock(query, upgrade=True)
        first.transport.receive(b"2probe")
        if moved:
            first.transport.receive(b"5")
        second = await door.knock(query, upgrade=True)
        assert second.transport.ending == ["discard"]
        second.transport.receive(b"5")
        if not moved:
            first.transport.receive(b"5")
        assert first.transport.ending == []
        assert first.transport.sink is session


@run_async
async def test_an_upgrade_of_a_websocket_session_is_closed() -> None:
    door = Door()
    await door.knock(WEBSOCKET, upgrade=True)
    exchange = await door.knock(f"{WEBSOCKET}&sid={door.sessions[0].id}", upgrade=True)
    assert exchange.transport.ending == ["discard"]
    assert door.sessions[0].is_open


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
    assert (await knocking).answer == (503, b"")


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


@run_async
async def test_what_cannot_be_called_is_no_middleware() -> None:
    middleware: Any = 5
    with pytest.raises(TypeError, match="middleware must be callable, not 5"):
        Engine().use(middleware)


# Headers and cookies.


@run_async
async def test_listeners_may_change_headers() -> None:
    door = Door(cookie=True)
    seen: list[tuple[str, str | None]] = []

    @door.engine.on("initial_headers")
    def initial(headers: dict[str, str], request: Request) -> None:
        seen.append(("initial", headers.get("Set-Cookie", "")[:3]))
        headers["X-Initial"] = "1"

    @door.engine.on("headers")
    def every(headers: dict[str, str], request: Request) -> None:
        seen.append(("every", request.query.get("sid")))
        headers["X-Every"] = "1"

    exchange = await door.knock()
    sid = door.sessions[0].id
    assert (header(exchange, "x-initial"), header(exchange, "x-every")) == ("1", "1")
    post = await door.knock(f"{POLLING}&sid={sid}", "POST")
    post.deliver(b"4a")
    assert (header(post, "x-initial"), header(post, "x-every")) == (None, "1")
    socket = await door.knock(f"{WEBSOCKET}&sid={sid}", upgrade=True)
    assert (header(socket, "x-initial"), header(socket, "x-every")) == (None, "1")
    fresh = await door.knock(WEBSOCKET, upgrade=True)
    assert (header(fresh, "x-initial"), header(fresh, "x-every")) == ("1", "1")
    assert seen == [
        ("initial", "io="),
        ("every", None),
        ("every", sid),
        ("every", sid),
        ("initial", ""),
        ("every", None),
    ]


@run_async
async def test_headers_that_come_several_times_stay_so_when_somebody_listens() -> None:
    door = Door()

    @door.engine.use
    def cookies(request: Request, response: Exchange) -> None:
        response.set_header("Set-Cookie", "a=1")
        response.set_header("Set-Cookie", "b=2")

    door.engine.on("headers", lambda headers, request: None)
    exchange = await door.knock()
    assert [value for name, value in exchange.sent if name == "Set-Cookie"] == ["a=1", "b=2"]


@run_async
async def test_a_listener_may_take_headers_away() -> None:
    door = Door(cookie=True)
    door.engine.on("headers", lambda headers, request: headers.pop("Set-Cookie", None))
    assert header(await door.knock(), "set-cookie") is None


@run_async
async def test_a_header_of_a_listener_that_would_break_the_head_is_left_out() -> None:
    door = Door()

    @door.engine.on("headers")
    def every(headers: dict[str, Any], request: Request) -> None:
        headers["X-One"] = "a\r\nX-Two: b"
        headers["X-Three"] = 3
        headers["X-Four"] = "4"

    for upgrade in (False, True):
        exchange = await door.knock(WEBSOCKET if upgrade else POLLING, upgrade=upgrade)
        assert header(exchange, "x-four") == "4"
        assert header(exchange, "x-one") is None
        assert not any("Two" in "".join(pair) for pair in exchange.sent)


@run_async
async def test_the_cookie_goes_with_the_first_polling_answer_alone() -> None:
    door = Door(cookie={"name": "sticky", "path": "/custom"})
    exchange = await door.knock()
    sid = door.sessions[0].id
    assert header(exchange, "set-cookie") == f"sticky={sid}; Path=/custom; HttpOnly; SameSite=Lax"
    post = await door.knock(f"{POLLING}&sid={sid}", "POST")
    post.deliver(b"4a")
    assert header(post, "set-cookie") is None
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert header(socket, "set-cookie") is None


@pytest.mark.parametrize(
    ("agent", "value"),
    [
        (b"Mozilla/5.0 (compatible;MSIE 9.0; Windows NT 6.1)", "0"),
        (b"Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "0"),
        (b"Mozilla/5.0 (X11; Linux x86_64) Firefox/130", None),
    ],
)
@run_async
async def test_old_explorers_get_a_header_of_their_own(agent: bytes, value: str | None) -> None:
    exchange = await Door().knock(headers=[(b"user-agent", agent)])
    assert header(exchange, "x-xss-protection") == value


# Paths.


@pytest.mark.parametrize(
    ("options", "path", "mine"),
    [
        ({}, "/engine.io/", True),
        ({}, "/engine.io/more", True),
        ({}, "/engine.io", False),
        ({}, "/engine.iox/", False),
        ({}, "/", False),
        ({"path": "/a/b/"}, "/a/b/", True),
        ({"path": "/a/b"}, "/a/bc", False),
        ({"add_trailing_slash": False}, "/engine.io", True),
        ({"path": "/"}, "/anything", True),
    ],
)
def test_which_paths_are_the_engines(options: dict[str, Any], path: str, mine: bool) -> None:
    assert Engine(**options).matches(path) is mine
