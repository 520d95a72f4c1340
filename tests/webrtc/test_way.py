"""How a server takes offers: who is let in, what is kept of whom, and what others may cost."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio.engine import Engine
from nuncio.webrtc.way import WebRTCWay
from tests.support.aio import eventually, run_async
from tests.support.live import HOSTS, Home
from tests.support.rawclient import Connection, Response, fetch, request
from tests.webrtc.offers import chromium
from tests.webrtc.peer import SDP, TARGET, RawPeer, descriptors

ALL = ["polling", "websocket", "webrtc"]

# The most offers, the most of one address, and how many are answered at once.
OFFERS, OF_ADDRESS, ANSWERS = 5, 4, 2


class Place(Home):
    """A server that echoes, with narrow limits."""

    def __init__(self, host: str, *, uvloop: bool) -> None:
        self.allow: Any = True
        engine = Engine(
            path="/socket.io",
            transports=ALL,
            upgrade_timeout=1.0,
            max_http_buffer_size=100_000,
            allow_request=self._allows,
            webrtc={"offers": OFFERS, "offers_per_address": OF_ADDRESS, "answers": ANSWERS},
        )
        engine.on("connection", lambda session: session.on("message", session.send))
        super().__init__(engine, host, uvloop=uvloop)

    def _allows(self, request: nuncio.Request) -> Any:
        return self.allow

    @property
    def way(self) -> WebRTCWay:
        way = self.engine._ways["webrtc"]
        assert isinstance(way, WebRTCWay)
        return way

    async def emptied(self, *, close: bool = False) -> None:
        """Wait until nothing is left of anybody."""
        way = self.way
        if close:
            self.engine.close(discard=True)
        await eventually(lambda: not self.engine.sessions, "every session has ended")
        await eventually(lambda: not (way._attempts or way._closing), "every task has ended")
        assert way.offers.open == 0
        assert way.offers._of_address == {}


@pytest.fixture(scope="module", params=HOSTS)
def shared_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    place = Place(request.param, uvloop=request.param == "native")
    yield place
    place.close()


@pytest.fixture
def place(shared_place: Place) -> Iterator[Place]:
    """The server; each test leaves it as it found it."""
    shared_place.allow = True
    yield shared_place
    shared_place.run(shared_place.emptied(close=True))


@asynccontextmanager
async def peer(**channel: Any) -> AsyncIterator[RawPeer]:
    """A peer, closed at the end."""
    one = RawPeer(**channel)
    try:
        yield one
    finally:
        await one.close()


async def post(place: Place | Away, body: bytes, more: str = "", headers: Any = SDP) -> Response:
    return await fetch(place.port, TARGET + more, "POST", headers, body)


def error(response: Response) -> tuple[int, str]:
    return response.status, json.loads(response.body)["message"]


# Sessions.


@run_async
async def test_a_session_over_a_data_channel(place: Place) -> None:
    async with peer() as one:
        response = await one.post(place.port)
        assert response.status == 201
        assert response.header("content-type") == "application/sdp"
        assert response.header("cache-control") == "no-store"
        handshake = json.loads((await one.packets.get())[1:])
        assert handshake["upgrades"] == []
        session = place.engine.sessions[handshake["sid"]]
        assert session.transport.name == "webrtc"
        one.send(b"4a", b"4\xc3\xa4")
        assert [await one.packets.get() for _ in range(2)] == [b"4a", b"4\xc3\xa4"]
        one.channel.send(b"\x82\x00\x01")
        assert await one.packets.get() == b"\x00\x01"
        one.send(b"b")
        # An empty binary is written as base64 of nothing.
        assert await one.packets.get() == b"b"
        # A stream has no messages: a packet may come in pieces, and hold more than one message can.
        large = b"4" + b"x" * 90_000
        data = b"\x7f" + len(large).to_bytes(8, "big") + large
        for at in range(0, len(data), 7_000):
            one.channel.send(data[at : at + 7_000])
        assert await one.packets.get() == large


@run_async
async def test_a_session_of_polling_moves_there(place: Place) -> None:
    opened = await fetch(place.port, "/socket.io/?EIO=4&transport=polling")
    handshake = json.loads(opened.body[1:])
    assert handshake["upgrades"] == ["websocket", "webrtc"]
    async with peer() as one:
        await one.connect(place.port, f"&sid={handshake['sid']}")
        one.send(b"2probe")
        assert await one.packets.get() == b"3probe"
        one.send(b"5", b"4moved")
        assert await one.packets.get() == b"4moved"
        session = place.engine.sessions[handshake["sid"]]
        assert (session.transport.name, session.upgraded) == ("webrtc", True)
        # It is there now: nobody else can move it.
        assert error(await post(place, chromium(), f"&sid={session.id}")) == (400, "Bad request")


@run_async
async def test_the_end_of_one_side_is_the_end_of_the_other(place: Place) -> None:
    async with peer() as one:
        await one.connect(place.port)
        sid = json.loads((await one.packets.get())[1:])["sid"]
        session = place.engine.sessions[sid]
        for number in range(100):
            session.send(str(number))
        session.close()
        await one.ended.wait()
        # What was sent before the end has arrived.
        assert [one.packets.get_nowait() for _ in range(100)][-1] == b"499"
    await place.emptied()
    async with peer() as one:
        await one.connect(place.port)
        await one.packets.get()
        reasons: list[str] = []
        (session,) = place.engine.sessions.values()
        session.on("close", lambda reason: reasons.append(reason))
        one.channel.close()
        await eventually(lambda: reasons == ["transport close"])


# Who is let in.


@run_async
async def test_the_gates_are_those_of_every_transport(place: Place) -> None:
    refused = await fetch(
        place.port, TARGET, "POST", [*SDP, ("Origin", "https://evil.example")], chromium()
    )
    assert error(refused) == (403, "Origin not allowed")
    place.allow = "no"
    assert error(await post(place, chromium())) == (403, "no")
    place.allow = True
    assert error(await post(place, chromium(), "&sid=unknown")) == (400, "Session ID unknown")
    assert error(await fetch(place.port, TARGET)) == (400, "Bad handshake method")
    old = await fetch(place.port, "/socket.io/?EIO=3&transport=webrtc", "POST", SDP, chromium())
    assert error(old) == (400, "Unsupported protocol version")


@run_async
async def test_a_middleware_may_refuse(place: Place) -> None:
    engine = Engine(path="/socket.io", transports=ALL)

    @engine.use
    def refuse(request: nuncio.Request, response: nuncio.Exchange) -> None:
        raise nuncio.ConnectError("no")

    async with await engine.listen(0) as listening:
        response = await fetch(listening.port, TARGET, "POST", SDP, chromium())
        assert error(response) == (400, "Bad request")


@run_async
async def test_a_session_tries_one_thing_at_a_time_and_only_by_post(place: Place) -> None:
    opened = await fetch(place.port, "/socket.io/?EIO=4&transport=polling")
    sid = json.loads(opened.body[1:])["sid"]
    wrong = await fetch(place.port, f"{TARGET}&sid={sid}")
    assert error(wrong) == (400, "Bad request")
    async with peer() as one, peer() as two:
        await one.connect(place.port, f"&sid={sid}")
        await eventually(lambda: place.engine.sessions[sid].upgrading)
        assert (await two.post(place.port, f"&sid={sid}")).status == 400
        # Nothing came of the first within the time for an upgrade: the session stays where it is.
        await one.ended.wait()
        assert place.engine.sessions[sid].transport.name == "polling"


# Offers.


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (chromium(), [("Content-Type", "text/plain")], 400),
        (chromium(), [], 400),
        (b"x" * 16_385, SDP, 413),
        (b"garbage", SDP, 400),
        (b"", SDP, 400),
        (b"\x00\xff", SDP, 400),
        (chromium("m=audio 9 UDP/TLS/RTP/SAVPF 111"), SDP, 400),
        (chromium(*(f"a=candidate:{number}" for number in range(65))), SDP, 400),
    ],
)
@run_async
async def test_what_is_no_offer_is_refused(
    place: Place, body: bytes, headers: Any, status: int
) -> None:
    before = place.engine.counters.refused_requests
    assert (await post(place, body, headers=headers)).status == status
    assert place.engine.counters.refused_requests == before + 1
    assert (place.way.offers.open, place.way._attempts) == (0, set())


@run_async
async def test_an_offer_whose_size_is_not_said_is_counted_as_it_comes(place: Place) -> None:
    head = request(TARGET, "POST", [*SDP, ("Transfer-Encoding", "chunked")])
    async with await Connection.open(place.port) as connection:
        await connection.send(head)
        for _ in range(5):
            await connection.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        assert (await connection.response("POST")).status == 413
    assert place.way.offers.open == 0


@run_async
async def test_an_offer_is_not_taken_twice(place: Place) -> None:
    async with peer() as one:
        offer = await one.offer()
        assert (await one.post(place.port, body=offer)).status == 201
        await one.opened.wait()
        assert error(await post(place, offer)) == (400, "Bad request")


@run_async
async def test_a_flood_of_offers_is_refused_and_forgotten(place: Place) -> None:
    before = descriptors()
    answers = await asyncio.gather(*(post(place, chromium()) for _ in range(12)))
    statuses = sorted(response.status for response in answers)
    assert statuses == [201] * OF_ADDRESS + [429] * (12 - OF_ADDRESS)
    assert all(one.header("retry-after") for one in answers if one.status == 429)
    assert place.way.offers.open == OF_ADDRESS
    # Nobody opens a channel: after the time for an upgrade nothing is left.
    await place.emptied()
    await eventually(lambda: descriptors() <= before, "the sockets are closed")


@run_async
async def test_who_goes_away_in_the_middle_of_an_offer_leaves_nothing(place: Place) -> None:
    offer = chromium()
    head = request(TARGET, "POST", [*SDP, ("Content-Length", str(len(offer)))])
    for part in (b"", offer[:100]):
        async with await Connection.open(place.port) as connection:
            await connection.send(head + part)
            await eventually(lambda: place.way.offers.open == 1)
        await eventually(lambda: place.way.offers.open == 0, "the offer is forgotten")


@run_async
async def test_an_offer_that_does_not_come_to_its_end_is_given_up(place: Place) -> None:
    head = request(TARGET, "POST", [*SDP, ("Content-Length", "1000")])
    async with await Connection.open(place.port) as connection:
        await connection.send(head + b"v=0")
        await eventually(lambda: place.way.offers.open == 1)
        await eventually(lambda: place.way.offers.open == 0, "it is not waited for any longer")
        if place.host == "native":
            # Under ASGI that is told when the rest has come.
            assert (await connection.response("POST")).status == 408


@run_async
async def test_a_peer_that_has_lost_its_session_meanwhile_is_sent_away(place: Place) -> None:
    opened = await fetch(place.port, "/socket.io/?EIO=4&transport=polling")
    sid = json.loads(opened.body[1:])["sid"]
    async with peer() as one:
        assert (await one.post(place.port, f"&sid={sid}")).status == 201
        place.engine.sessions[sid].close(discard=True)
        await one.opened.wait()
        await one.ended.wait()
    assert place.engine.sessions == {}


# What comes over the channel.


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" + (2**62).to_bytes(8, "big"),
        b"\x7f" + (100_001).to_bytes(8, "big"),
        b"\x029x",
        b"\x00",
        b"\x03\x34\xff\xfe",
        "text",
        "",
    ],
)
@run_async
async def test_garbage_ends_the_session(place: Place, data: bytes | str) -> None:
    async with peer() as one:
        await one.connect(place.port)
        await one.packets.get()
        one.channel.send(data)
        await one.ended.wait()
    assert place.engine.sessions == {}


@pytest.mark.parametrize("channel", [{"ordered": False}, {"maxRetransmits": 0}])
@run_async
async def test_a_channel_that_loses_or_mixes_is_not_taken(
    place: Place, channel: dict[str, Any]
) -> None:
    async with peer(**channel) as one:
        assert (await one.post(place.port)).status == 201
        await place.emptied()
        assert one.packets.empty()


@run_async
async def test_a_second_channel_ends_the_session(place: Place) -> None:
    async with peer() as one:
        await one.connect(place.port)
        one.connection.createDataChannel("another")
        await one.ended.wait()


@run_async
async def test_who_breaks_the_rules_of_sctp_costs_its_own_connection(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with peer() as one:
        await one.connect(place.port)
        sctp: Any = one.connection.sctp
        # A DATA_CHANNEL_OPEN for a channel that is open; aiortc asserts that nobody does that.
        opening = b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        await sctp._send(one.channel.id, 50, opening)
        await one.ended.wait()
    await place.emptied()
    assert [entry for entry in caplog.records if entry.levelno > logging.INFO] == []


@run_async
async def test_who_does_not_read_is_cut_off(place: Place) -> None:
    async with peer() as one:
        await one.connect(place.port)
        sid = json.loads((await one.packets.get())[1:])["sid"]
        session = place.engine.sessions[sid]
        reasons: list[str] = []
        session.on("close", lambda reason: reasons.append(reason))
        sctp: Any = one.connection.sctp

        async def nothing(data: bytes) -> None:
            """Nothing is acknowledged any more."""

        sctp._handle_data = nothing
        message = "x" * 50_000
        sent = 0
        while not reasons:
            session.send(message)
            sent += len(message)
            await asyncio.sleep(0)
            assert sent < 100_000_000
        assert reasons == ["slow consumer"]
        assert sent < 4 * place.engine.options.limits.outgoing_bytes


@run_async
async def test_who_sends_more_than_is_taken_is_held_back(place: Place) -> None:
    async with peer() as one:
        await one.connect(place.port)
        sid = json.loads((await one.packets.get())[1:])["sid"]
        session = place.engine.sessions[sid]
        session.pause_reading()
        transport: Any = session.transport
        link = transport._link
        for _ in range(100):
            one.send(b"4" + b"x" * 20_000)
        # aiortc itself sends on, whatever room it is told of.
        sctp = link._connection.sctp
        await eventually(lambda: sctp._advertised_rwnd <= 0, "there is no room any more")
        held = sum(len(data) for data in link._arrived)
        assert 500_000 < held < 1_100_000
        assert one.channel.bufferedAmount > 500_000
        # The server can still send, and everything comes.
        session.send("still here")
        assert await one.packets.get() == b"4still here"
        session.resume_reading()
        for _ in range(100):
            assert await one.packets.get() == b"4" + b"x" * 20_000


# The end.


@run_async
async def test_nothing_is_left_of_a_server_that_has_ended(place: Place) -> None:
    before = descriptors()
    tasks = asyncio.all_tasks()
    io = nuncio.Server(transports=ALL)
    async with await io.listen(0) as listening, peer() as one, peer() as two:
        await one.connect(listening.port)
        # One is about to begin.
        assert (await post(Away(listening.port), chromium())).status == 201
        await two.offer()
        await io.close()
        await one.ended.wait()
        way = io.engine._ways["webrtc"]
        assert isinstance(way, WebRTCWay)
        assert (way._attempts, way._closing, way.offers.open) == (set(), set(), 0)
    await eventually(lambda: asyncio.all_tasks() <= tasks, "every task has ended")
    await eventually(lambda: descriptors() <= before, "the sockets are closed")


class Away:
    """Another server, of which only the port is known."""

    def __init__(self, port: int) -> None:
        self.port = port


@run_async
async def test_nothing_is_left_of_sessions_that_have_ended(place: Place) -> None:
    before = descriptors()
    for how in ("channel", "connection", "session"):
        async with peer() as one:
            await one.connect(place.port)
            sid = json.loads((await one.packets.get())[1:])["sid"]
            if how == "channel":
                one.channel.close()
            elif how == "session":
                place.engine.sessions[sid].close()
                await one.ended.wait()
        await place.emptied()
    gc.collect()
    await eventually(lambda: descriptors() <= before, "the sockets are closed")
