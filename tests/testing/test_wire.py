"""Links bound what waits, and close as WebSockets do."""

from __future__ import annotations

import asyncio
from typing import Any

import nuncio
from nuncio.testing import Clock, Network, connect, settle
from tests.testing.stages import staged, timed

KIB = 1024


@staged
async def test_much_in_one_turn_is_not_too_much() -> None:
    io = nuncio.Server()
    client = await connect(io)
    for number in range(1000):
        io.volatile.emit("tick", number, "x" * 500)
    await settle()
    assert [event.args[0] for event in client.received] == list(range(1000))


@staged
async def test_a_client_that_does_not_read_is_behind() -> None:
    io = nuncio.Server(limits=nuncio.Limits(high_water_bytes=10 * KIB))
    client = await connect(io)
    session = client.server_socket.conn
    client.network.hold(to="client")
    io.emit("first", "x" * 20 * KIB)
    assert session.congested
    io.emit("second", 2)
    io.volatile.emit("lost")
    sent = asyncio.ensure_future(session.drain())
    await settle()
    assert not sent.done()
    assert not client.received
    client.network.release()
    await settle()
    assert sent.done()
    assert not session.congested
    assert [event.name for event in client.received] == ["first", "second"]


@staged
async def test_a_client_far_behind_is_a_slow_consumer() -> None:
    io = nuncio.Server(
        limits=nuncio.Limits(high_water_bytes=10 * KIB, outgoing_bytes=20 * KIB),
        slow_consumer="disconnect",
    )
    reasons: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str) -> None:
        reasons.append(reason)

    client = await connect(io, reconnection=False)
    client.network.hold(to="client")
    for _ in range(10):
        io.emit("news", "x" * 10 * KIB)
    await settle()
    assert reasons == ["slow consumer"]
    assert client.connected
    client.network.release()
    # What was on its way went down with the connection.
    await client.expect("disconnect", "transport close")
    assert not client.received


@staged
async def test_a_server_that_does_not_read_is_waited_for() -> None:
    io = nuncio.Server(concurrency=1, limits=nuncio.Limits(queued_events=2))
    may_go_on = asyncio.Event()
    heard: list[int] = []

    @io.event
    async def work(socket: nuncio.Socket, number: int, padding: str) -> None:
        heard.append(number)
        await may_go_on.wait()

    client = await connect(io, limits=nuncio.ClientLimits(high_water_bytes=KIB))
    for number in range(100):
        client.emit("work", number, "x" * 100)
    await settle(patience=0)
    assert heard == [0]
    sent = client.emit("work", 100, "")
    assert client.io.engine.session.congested
    may_go_on.set()
    await asyncio.wait_for(asyncio.ensure_future(sent), 10)
    await settle()
    assert heard == list(range(101))


@staged
async def test_attachments_and_their_packet_stay_together() -> None:
    io = nuncio.Server()

    @io.event
    def swap(socket: nuncio.Socket, first: bytes, second: bytes) -> nuncio.Ack:
        return nuncio.Ack(second, first)

    client = await connect(io)
    asked = [client.emit_with_ack("swap", bytes([n]), b"") for n in range(10)]
    assert await asyncio.gather(*asked) == [[b"", bytes([n])] for n in range(10)]


@staged
async def test_both_sides_say_goodbye() -> None:
    io = nuncio.Server()
    descriptions: list[Any] = []

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str, description: Any) -> None:
        descriptions.append((reason, description))

    client = await connect(io, reconnection=False)
    client.on("disconnect", lambda reason, description: descriptions.append((reason, description)))
    client.io.engine.close()
    await client.next("disconnect")
    await settle()
    assert ("transport close", "the peer closed with code 1005") in descriptions
    assert not client.network.links


@timed
async def test_a_goodbye_that_is_not_answered_ends_in_time(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io, reconnection=False)
    client.network.hold(to="server")
    closing = asyncio.ensure_future(client.close())
    await settle()
    assert not closing.done()
    await clock.advance(9)
    assert not closing.done()
    assert io.engine.sessions
    await clock.advance(1)
    assert closing.done()
    client.network.release()
    await settle()
    assert not io.engine.sessions


@timed
async def test_who_closes_while_not_reading_sees_the_answer(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io, reconnection=False)
    session = client.server_socket.conn
    session.pause_reading()
    session.close()
    await client.expect("disconnect", "transport close")
    await settle()
    assert not client.network.links


@timed
async def test_a_server_that_closes_on_a_silent_client_ends_in_time(clock: Clock) -> None:
    io = nuncio.Server(limits=nuncio.Limits(close_seconds=3))
    network = Network()
    client = await connect(io, network=network, reconnection=False)
    network.hold(to="client")
    client.server_socket.disconnect(True)
    await settle()
    assert not io.engine.sessions
    assert client.connected
    assert len(network.links) == 1
    await clock.advance(3)
    network.release()
    await client.expect("disconnect", "transport close")
    assert not network.links
