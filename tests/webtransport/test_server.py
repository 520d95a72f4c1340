from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from nuncio import ConnectError, Limits, Rate, Server
from nuncio.engine import Engine
from nuncio.engine.refusal import ConnectionFailure
from nuncio.hosts.serve import Listening
from tests.support.aio import eventually, run_async, within
from tests.support.webtransport import ALL, RawClient, listen_with, listener_of, raw


class Place:
    """A server with a raw client, and what the server told."""

    def __init__(self, io: Server, listening: Listening, client: RawClient) -> None:
        self.io = io
        self.engine = io.engine
        self.listening = listening
        self.client = client
        self.failures: list[ConnectionFailure] = []
        io.engine.on("connection_error", self.failures.append)

    @property
    def names(self) -> list[Any]:
        """What the failures told so far were."""
        return [one.context.get("name") for one in self.failures]


@asynccontextmanager
async def a_place(**options: Any) -> AsyncIterator[Place]:
    io = Server(transports=list(ALL), **options)
    async with await listen_with(io) as listening, raw(listening.port) as client:
        yield Place(io, listening, client)


async def opened(client: RawClient, stream: int) -> dict[str, Any]:
    """The server's open packet."""
    packet = await client.next(stream)
    assert isinstance(packet, str) and packet[0] == "0"
    found: dict[str, Any] = json.loads(packet[1:])
    return found


def gone(place: Place, sid: str) -> bool:
    """Whether a session has ended."""
    return sid not in place.engine.sessions


@run_async
async def test_a_session_begins_with_an_open_packet_in_a_stream() -> None:
    async with a_place() as place:
        session, stream = await place.client.enter()
        handshake = await opened(place.client, stream)
        assert handshake["upgrades"] == []
        assert place.client.headers[session][b"sec-webtransport-http3-draft"] == b"draft02"
        inside = place.engine.sessions[handshake["sid"]]
        assert inside.transport.name == "webtransport"
        place.client.send(stream, "40")
        assert (await place.client.next(stream)).startswith('40{"sid"')  # type: ignore[arg-type]  # text
        socket = next(iter(place.io.sockets.sockets.values()))
        assert socket.handshake.secure and socket.handshake.address == "127.0.0.1"
        assert socket.handshake.query == {"EIO": "4", "transport": "webtransport"}
        assert socket.handshake.headers["host"] == "127.0.0.1"


@run_async
async def test_the_query_may_be_there_as_our_clients_send_it() -> None:
    async with a_place() as place:
        _, stream = await place.client.enter("0", "/socket.io/?a=1&EIO=4&transport=webtransport")
        handshake = await opened(place.client, stream)
        request = place.engine.sessions[handshake["sid"]].request
        assert request.query == {"a": "1", "EIO": "4", "transport": "webtransport"}


async def polled(port: int) -> str:
    """Open a session by polling; returns its id."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling") as response,
    ):
        text = await response.text()
        handshake = json.loads(text.split("\x1e")[0][1:])
        assert handshake["upgrades"] == ["websocket", "webtransport"]
        return str(handshake["sid"])


@run_async
async def test_a_session_of_polling_moves_there() -> None:
    async with a_place() as place:
        sid = await polled(place.listening.port)
        _, stream = await place.client.enter(json.dumps({"sid": sid}).join(("0", "")))
        place.client.send(stream, "2probe")
        assert await place.client.next(stream) == "3probe"
        place.client.send(stream, "5", "40")
        assert (await place.client.next(stream)).startswith("40")  # type: ignore[arg-type]  # text
        session = place.engine.sessions[sid]
        assert session.upgraded and session.transport.name == "webtransport"


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"\x04oops", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x0240", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x830{}", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x80", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x00", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x030{}", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x040nil", "TRANSPORT_HANDSHAKE_ERROR"),
        (b'\x0a0{"sid":1}', "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x020\xff", "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x7f" + b"\xff" * 8, "TRANSPORT_HANDSHAKE_ERROR"),
        (b"\x7f\x00\x00\x00\x00\x00\x0f\x42\x41", "TRANSPORT_HANDSHAKE_ERROR"),
    ],
)
@run_async
async def test_what_is_no_open_packet_ends_the_session(first: bytes, name: str) -> None:
    async with a_place() as place:
        session = await place.client.ask()
        stream = place.client.stream(session)
        place.client.write(stream, first)
        await place.client.closed(session)
        assert place.names == [name]
        assert place.engine.counters.refused_requests == 1
        assert not place.engine.sessions
        # The connection, and whoever else is on it, has not suffered.
        _, second = await place.client.enter()
        await opened(place.client, second)


@run_async
async def test_a_session_that_nobody_knows_is_refused_with_the_reference_s_words() -> None:
    async with a_place() as place:
        session, _ = await place.client.enter('0{"sid":"nobody"}')
        code, reason = await place.client.closed(session)
        assert code == 400
        assert json.loads(reason) == {"code": 1, "message": "Session ID unknown"}
        asked = await place.client.ask("/socket.io/?EIO=4&transport=webtransport&sid=nobody")
        assert place.client.statuses[asked] == 400
        assert [one.code for one in place.failures] == [1, 1]


@run_async
async def test_one_that_is_upgrading_or_upgraded_takes_no_second_attempt() -> None:
    async with a_place() as place:
        sid = await polled(place.listening.port)
        named = f'0{{"sid":"{sid}"}}'
        _, stream = await place.client.enter(named)
        place.client.send(stream, "2probe")
        assert await place.client.next(stream) == "3probe"
        session, _ = await place.client.enter(named)
        await place.client.closed(session)
        place.client.send(stream, "5")
        await eventually(lambda: place.engine.sessions[sid].upgraded, "it has moved")
        session, _ = await place.client.enter(named)
        await place.client.closed(session)
        assert place.engine.sessions[sid].ready_state == "open"


@run_async
async def test_middlewares_are_asked_and_may_refuse() -> None:
    async with a_place() as place:
        seen = []

        @place.engine.use
        async def guard(request: Any, response: Any) -> None:
            await asyncio.sleep(0)
            seen.append((request.method, request.query.get("transport"), request.headers["x-key"]))
            if request.headers["x-key"] != "right":
                raise ConnectError("no")
            response.set_header("x-greeting", "hello")

        wrong = await place.client.ask(headers={"x-key": "wrong"})
        assert place.client.statuses[wrong] == 400
        right = await place.client.ask(headers={"x-key": "right"})
        assert place.client.statuses[right] == 200
        assert place.client.headers[right][b"x-greeting"] == b"hello"
        assert seen == [
            ("CONNECT", "webtransport", "wrong"),
            ("CONNECT", "webtransport", "right"),
        ]
        assert place.names == ["MIDDLEWARE_FAILURE"]


@run_async
async def test_a_middleware_may_answer_itself() -> None:
    async with a_place() as place:
        place.engine.use(lambda request, response: response.end(503, "later"))
        asked = await place.client.ask()
        assert place.client.statuses[asked] == 503
        await eventually(lambda: asked in place.client.ended, "the answer's end")
        assert place.client.bodies[asked] == b"later"


@run_async
async def test_origins_are_checked_and_cors_may_be_on() -> None:
    async with a_place(cors="https://good.example") as place:
        good = await place.client.ask(headers={"origin": "https://good.example"})
        assert place.client.statuses[good] == 200
        assert place.client.headers[good][b"access-control-allow-origin"] == b"https://good.example"
        stream = place.client.stream(good)
        place.client.send(stream, "0")
        await opened(place.client, stream)
        bad = await place.client.ask(headers={"origin": "https://bad.example"})
        assert place.client.statuses[bad] == 403
        assert place.names == ["ORIGIN_NOT_ALLOWED"]


@run_async
async def test_allow_request_is_asked_for_new_sessions() -> None:
    async def allow(request: Any) -> bool | str:
        await asyncio.sleep(0)
        return "no such key" if request.query.get("key") != "1" else True

    async with a_place(allow_request=allow) as place:
        session, _ = await place.client.enter()
        code, reason = await place.client.closed(session)
        assert (code, json.loads(reason)["message"]) == (403, "no such key")
        _, stream = await place.client.enter("0", "/socket.io/?key=1")
        await opened(place.client, stream)


@run_async
async def test_ids_are_the_application_s_own() -> None:
    async with a_place(generate_id=lambda request: "chosen") as place:
        _, stream = await place.client.enter()
        assert (await opened(place.client, stream))["sid"] == "chosen"
        session, _ = await place.client.enter()
        assert (await place.client.closed(session))[0] == 400
        assert place.names == ["ID_GENERATION_ERROR"]


@run_async
async def test_limits_at_the_door_hold() -> None:
    limits = Limits(connections=2, connections_per_address=1)
    async with a_place(limits=limits) as place:
        _, stream = await place.client.enter()
        await opened(place.client, stream)
        session, _ = await place.client.enter()
        assert (await place.client.closed(session))[0] == 429
        assert place.names == ["TOO_MANY_CONNECTIONS_OF_ADDRESS"]
        assert place.engine.counters.refused_connections == 1


@run_async
async def test_handshakes_of_an_address_are_counted_once_each() -> None:
    limits = Limits(handshakes_per_address=Rate(1, per=1000, burst=2))
    async with a_place(limits=limits) as place:
        for _ in range(2):
            _, stream = await place.client.enter()
            await opened(place.client, stream)
        session, _ = await place.client.enter()
        assert (await place.client.closed(session))[0] == 429
        assert place.engine.counters.refused_handshakes == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [("EIO=3", 5), ("EIO=4&transport=polling", 0), ("transport=websocket", 0), ("EIO=5", 5)],
)
@run_async
async def test_other_transports_and_revisions_are_refused_there(query: str, code: int) -> None:
    async with a_place(allow_eio3=True) as place:
        asked = await place.client.ask(f"/socket.io/?{query}")
        assert place.client.statuses[asked] == 400
        assert [one.code for one in place.failures] == [code]


@run_async
async def test_by_an_http_request_nobody_gets_there() -> None:
    async with a_place() as place:
        asked = await place.client.ask(method="GET", protocol="webtransport")
        assert place.client.statuses[asked] == 404
        asked = await place.client.ask("/elsewhere/")
        assert place.client.statuses[asked] == 404
        import aiohttp

        url = f"http://127.0.0.1:{place.listening.port}/socket.io/?EIO=4&transport=webtransport"
        for method in ("GET", "CONNECT", "POST"):
            async with aiohttp.ClientSession() as http, http.request(method, url) as response:
                assert response.status >= 400
                if method == "GET":
                    assert (await response.json())["code"] == 0


@run_async
async def test_who_says_nothing_is_let_go() -> None:
    async with a_place(upgrade_timeout=0.2) as place:
        session = await place.client.ask()
        assert place.client.statuses[session] == 200
        await place.client.closed(session)
        assert place.names == ["TRANSPORT_HANDSHAKE_ERROR"]
        other = await place.client.ask()
        stream = place.client.stream(other)
        # Half a packet is no packet.
        place.client.write(stream, b"\x20")
        await place.client.closed(other)
        await eventually(lambda: listener_of(place.listening).connections == 0, "all are gone")


@run_async
async def test_a_connection_without_a_session_does_not_stay() -> None:
    async with a_place(upgrade_timeout=0.2) as place:
        listener = listener_of(place.listening)
        assert (listener.connections, listener.idling) == (1, 1)
        await eventually(lambda: place.client.terminated, "it was closed")
        await eventually(lambda: listener.connections == 0, "it is forgotten")


@run_async
async def test_a_peer_that_ends_its_stream_or_session_ends_the_session() -> None:
    async with a_place() as place:
        ends: list[str] = []
        for how in ("stream", "session", "reset"):
            session, stream = await place.client.enter()
            sid = (await opened(place.client, stream))["sid"]
            inside = place.engine.sessions[sid]
            inside.on("close", lambda reason, _: ends.append(reason))
            if how == "stream":
                place.client.write(stream, b"", True)
            elif how == "session":
                place.client.http.send_data(session, b"", end_stream=True)
                place.client.transmit()
            else:
                place.client._quic.reset_stream(stream, 0)
                place.client.transmit()
            await eventually(partial(gone, place, sid), "it has ended")
        assert ends == ["transport close"] * 3


@run_async
async def test_a_lost_connection_ends_its_sessions_at_once() -> None:
    async with a_place() as place:
        for _ in range(2):
            _, stream = await place.client.enter()
            await opened(place.client, stream)
        assert len(place.engine.sessions) == 2
        place.client.close()
        await eventually(lambda: not place.engine.sessions, "both have ended")


@run_async
async def test_sessions_and_streams_of_one_connection_are_few() -> None:
    async with a_place() as place:
        for _ in range(4):
            _, stream = await place.client.enter()
            await opened(place.client, stream)
        fifth = await place.client.ask()
        assert place.client.statuses[fifth] == 429
        # A second stream of a session is of no use.
        first = min(place.client.statuses)
        more = place.client.stream(first)
        place.client.send(more, "0")
        await eventually(lambda: more in place.client.reset, "it was reset")
        assert len(place.engine.sessions) == 4


@run_async
async def test_a_packet_over_the_limit_is_refused_when_it_is_announced() -> None:
    async with a_place(max_http_buffer_size=1000) as place:
        _, stream = await place.client.enter()
        sid = (await opened(place.client, stream))["sid"]
        reasons: list[Any] = []
        place.engine.sessions[sid].on("close", lambda *args: reasons.append(args))
        place.client.write(stream, b"\x7e\x03\xe9")
        await eventually(lambda: reasons, "it ended")
        assert reasons == [("transport error", "a packet of 1001 bytes is over the limit of 1000")]


@run_async
async def test_an_empty_binary_message_is_taken_as_official_clients_write_it() -> None:
    engine = Engine(transports=["webtransport"])
    heard: list[Any] = []

    @engine.on("connection")
    def connection(session: Any) -> None:
        session.on("message", heard.append)
        session.on("message", session.send)

    async with await listen_with(engine) as listening, raw(listening.port) as client:
        _, stream = await client.enter("0", "/engine.io/")
        await opened(client, stream)
        client.write(stream, b"\x80")
        assert await client.next(stream) == "b"
        client.send(stream, b"abc")
        assert await client.next(stream) == b"abc"
        assert heard == [b"", b"abc"]


@run_async
async def test_a_server_that_stops_says_goodbye_after_all_that_was_sent() -> None:
    io = Server(transports=list(ALL))
    listening = await listen_with(io)
    async with raw(listening.port) as client:
        session, stream = await client.enter()
        await opened(client, stream)
        client.send(stream, "40")
        await client.next(stream)
        big = "x" * 300_000
        io.emit("last", big)
        await within(listening.close())
        assert await client.next(stream) == f'42["last","{big}"]'
        await client.closed(session)
    assert not io.engine.sessions


@run_async
async def test_nothing_is_left_behind() -> None:
    async with a_place() as place:
        for _ in range(3):
            _, stream = await place.client.enter()
            sid = (await opened(place.client, stream))["sid"]
            place.client.write(stream, b"", True)
            await eventually(partial(gone, place, sid), "it has ended")
        listener = listener_of(place.listening)
        (peer,) = listener._ids
        await eventually(lambda: not peer.streams and not peer.sessions, "all are gone")
        assert not peer.quic._wide and not peer.quic._held
        await eventually(lambda: listener.connections == 0, "the connection went, too")
        assert not listener._by_id
