"""Networks go wrong when a test says so."""

from __future__ import annotations

import asyncio

import pytest

import nuncio
from nuncio.testing import Clock, Network, connect, settle
from tests.testing.stages import staged, timed


def echo() -> tuple[nuncio.Server, list[str]]:
    """A server, and why its clients went."""
    io = nuncio.Server(ping_interval=20, ping_timeout=10)
    reasons: list[str] = []

    @io.event
    def echo(socket: nuncio.Socket, value: object) -> object:
        return value

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str) -> None:
        reasons.append(reason)

    return io, reasons


@timed
async def test_a_cut_is_seen_by_both_and_clients_come_back(clock: Clock) -> None:
    io, reasons = echo()
    client = await connect(io, reconnection_delay=2)
    first = client.id
    client.emit("echo", "on its way")
    lost = asyncio.ensure_future(client.emit_with_ack("echo", "lost"))
    await asyncio.sleep(0)
    client.network.cut()
    await client.expect("disconnect", "transport close")
    assert reasons == ["transport close"]
    with pytest.raises(nuncio.Disconnected):
        await lost
    await clock.advance(1.9)
    assert client.disconnected
    await clock.advance(0.1)
    await client.expect("connect")
    assert client.id not in ("", first)
    asked = asyncio.ensure_future(client.emit_with_ack("echo", 1))
    await settle()
    assert asked.result() == 1


@timed
async def test_a_network_that_is_down_comes_up_by_itself(clock: Clock) -> None:
    io, _ = echo()
    client = await connect(io, reconnection_delay=1, reconnection_delay_max=1)
    attempts: list[int] = []
    client.io.on("reconnect_attempt", attempts.append)
    client.network.down(3.5)
    assert client.network.disturbed
    await client.expect("disconnect", "transport close")
    await clock.advance(3)
    assert attempts == [1, 2, 3]
    error = (await client.next("connect_error")).args[0]
    assert isinstance(error, nuncio.TransportError)
    assert "connection refused" in str(error)
    assert client.disconnected
    await clock.advance(1)
    await client.expect("connect")
    assert not client.network.disturbed


@timed
async def test_a_network_that_came_up_before_its_time_stays_as_it_is_told(clock: Clock) -> None:
    network = Network()
    network.down(10)
    network.up()
    network.refuse()
    network.hold(seconds=10)
    network.release()
    network.hold(to="server")
    await clock.advance(20)
    assert network.holds("server")
    network.release()
    assert network.disturbed


@timed
async def test_refusals_take_their_time(clock: Clock) -> None:
    network = Network()
    network.delay = 0.5
    connecting = asyncio.ensure_future(
        _connected(nuncio.Server(transports=["polling"]), network, timeout=20)
    )
    await clock.advance(0.9)
    assert not connecting.done()
    await clock.advance(0.1)
    with pytest.raises(nuncio.TransportError):
        await connecting


@staged
async def test_a_network_that_is_down_comes_up_when_told() -> None:
    io, _ = echo()
    client = await connect(io)
    client.network.down()
    await client.next("connect_error")
    client.network.up()
    await client.expect("connect")


@staged
async def test_who_is_refused_is_told() -> None:
    io, _ = echo()
    network = Network()
    network.refuse()
    with pytest.raises(nuncio.TransportError, match="connection refused"):
        await connect(io, network=network)
    network.accept()
    async with connect(io, network=network) as client:
        network.refuse()
        # Links that are there stay.
        assert await client.emit_with_ack("echo", 1) == 1


@timed
async def test_held_links_time_out_on_both_sides(clock: Clock) -> None:
    io, reasons = echo()
    client = await connect(io, reconnection=False)
    client.network.hold()
    await clock.advance(29.9)
    assert client.connected
    assert not reasons
    await clock.advance(0.1)
    await client.expect("disconnect", "ping timeout")
    assert reasons == ["ping timeout"]


@timed
async def test_links_held_for_a_while_go_on(clock: Clock) -> None:
    io, reasons = echo()
    client = await connect(io)
    client.network.hold(seconds=5)
    io.emit("news", 1)
    asked = asyncio.ensure_future(client.emit_with_ack("echo", 2))
    await clock.advance(4.9)
    assert not client.received
    assert not asked.done()
    await clock.advance(0.1)
    await client.expect("news", 1)
    assert asked.result() == 2
    await clock.advance(1000)
    assert client.connected
    assert not reasons


@staged
async def test_one_direction_is_held_alone() -> None:
    io, _ = echo()
    client = await connect(io)
    client.network.hold(to="server")
    io.emit("news", 1)
    await client.expect("news", 1)
    asked = asyncio.ensure_future(client.emit_with_ack("echo", 2))
    await settle()
    assert not asked.done()
    client.network.release(to="client")
    await settle()
    assert not asked.done()
    client.network.release(to="server")
    assert await asked == 2


@staged
async def test_what_is_held_is_lost_with_a_cut() -> None:
    io, _ = echo()
    client = await connect(io)
    client.network.hold(to="client")
    io.emit("news", 1)
    await settle()
    client.network.cut()
    client.network.release()
    await client.expect("connect")
    await client.expect_nothing("news")


@timed
async def test_attempts_to_connect_are_held_too(clock: Clock) -> None:
    io, _ = echo()
    network = Network()
    network.hold(to="server")
    connecting = asyncio.ensure_future(_connected(io, network, timeout=20))
    await settle()
    assert not io.engine.sessions
    network.release()
    await settle()
    assert connecting.done()
    network.hold(to="client")
    waiting = asyncio.ensure_future(_connected(io, network, timeout=20))
    await settle()
    assert len(io.engine.sessions) == 2
    await clock.advance(20)
    with pytest.raises(nuncio.ConnectTimeout):
        await waiting
    await settle()
    assert len(io.engine.sessions) == 1


async def _connected(
    io: nuncio.Server,
    network: Network,
    timeout: float,
) -> None:
    await connect(io, network=network, timeout=timeout)


@staged
async def test_attempts_to_connect_are_cut_too() -> None:
    io, _ = echo()
    network = Network()
    network.hold()
    connecting = asyncio.ensure_future(_connected(io, network, timeout=20))
    await settle()
    network.cut()
    with pytest.raises(nuncio.TransportError, match="the connection was cut"):
        await connecting


@timed
async def test_everything_takes_its_time(clock: Clock) -> None:
    io, _ = echo()
    network = Network()
    network.delay = 0.5
    connecting = asyncio.ensure_future(_connected(io, network, timeout=20))
    # The handshake there and back, the open packet with it, then joining the namespace.
    await clock.advance(1.4)
    assert len(io.engine.sessions) == 1
    assert not io.sockets.sockets
    await clock.advance(0.1)
    assert len(io.sockets.sockets) == 1
    await clock.advance(0.4)
    assert not connecting.done()
    await clock.advance(0.1)
    assert connecting.done()


@timed
async def test_what_is_delayed_keeps_its_order(clock: Clock) -> None:
    io, _ = echo()
    client = await connect(io)
    client.network.delay = 1
    io.emit("first")
    await clock.advance(0.5)
    client.network.delay = 0
    io.emit("second")
    client.network.delay = 1
    io.emit("third")
    await settle()
    assert not client.received
    await clock.advance(0.5)
    assert [event.name for event in client.received] == ["first", "second"]
    await clock.advance(0.5)
    assert [event.name for event in client.received] == ["first", "second", "third"]


@staged
async def test_each_client_has_a_network_of_its_own() -> None:
    io, _ = echo()
    ada, bob = await connect(io), await connect(io)
    ada.network.hold()
    io.emit("news")
    await bob.expect("news")
    await ada.expect_nothing()


@staged
async def test_clients_share_a_network_that_they_are_given() -> None:
    io, reasons = echo()
    network = Network()
    clients = [await connect(io, network=network) for _ in range(3)]
    assert len(network.links) == 3
    network.cut()
    for client in clients:
        await client.expect("connect")
    assert reasons == ["transport close"] * 3


@staged
async def test_what_cannot_be_is_refused() -> None:
    network = Network()
    with pytest.raises(nuncio.OptionError, match="to must be 'server'"):
        network.hold(to="nobody")
    with pytest.raises(nuncio.OptionError, match="delay must be"):
        network.delay = -1
    with pytest.raises(nuncio.OptionError, match="seconds must be"):
        network.down(0)


def test_a_network_tells_what_is_wrong_with_it() -> None:
    network = Network()
    assert repr(network) == "<Network: 0 links>"
    network.refuse()
    network.hold(to="server")
    network.delay = 0.25
    assert repr(network) == (
        "<Network: 0 links, holds what goes to the server, refuses new ones, takes 0.25 s>"
    )
