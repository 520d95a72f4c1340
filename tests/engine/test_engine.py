from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio.engine import Engine, Session
from nuncio.errors import OptionError
from tests.support.aio import run_async
from tests.support.door import POLLING, WEBSOCKET, Door, header, packet

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
async def test_an_empty_sid_is_none() -> None:
    door = Door()
    exchange = await door.knock(f"{POLLING}&sid=")
    assert exchange.status == 200
    assert exchange.body.startswith(b'0{"sid":"')


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
        for sid in ("tobi", "__proto__", "constructor", "__class__", "é", "x" * 5000)
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
        assert exchange.status == 503
        assert exchange.body in (
            b'{"code":503,"message":"Too many connections"}',
            b"Too many connections",
        )
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
        ({"add_trailing_slash": False}, "/engine.io/", True),
        ({"add_trailing_slash": False}, "/engine.io/more", True),
        # The reference would take these; they are somebody else's.
        ({"add_trailing_slash": False}, "/engine.iox", False),
        ({"add_trailing_slash": False}, "/engine.io-admin/", False),
        ({"add_trailing_slash": False, "path": "/a/b/"}, "/a/b", True),
        ({"add_trailing_slash": False, "path": "/"}, "/anything", True),
        ({"path": "/"}, "/anything", True),
    ],
)
def test_which_paths_are_the_engines(options: dict[str, Any], path: str, mine: bool) -> None:
    assert Engine(**options).matches(path) is mine


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("generateId", "generate_id"),
        ("generate_id", "generate_id"),
        ("pingInterval", "ping_interval"),
        ("allow_request", "allow_request"),
        ("path", "path"),
    ],
)
def test_an_option_that_is_assigned_would_have_no_effect(name: str, option: str) -> None:
    engine = Engine()
    with pytest.raises(OptionError, match=f"{name} is an option: give it to the server, {option}="):
        setattr(engine, name, lambda request: "x")
