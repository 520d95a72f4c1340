"""What strangers may do, and what it costs: their own connection at most, and nothing logged."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from nuncio import Server
from nuncio.webtransport.quic import SMALL_WINDOW, WINDOW
from tests.support.aio import eventually, run_async
from tests.support.webtransport import ALL, listen_with, listener_of, raw


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """Nothing is told above debug level."""
    caplog.set_level(logging.DEBUG)
    yield
    loud = [record for record in caplog.records if record.levelno > logging.DEBUG]
    # asyncio's own, and those of the clients of these tests.
    assert [record for record in loud if record.name not in ("asyncio", "quic")] == []


def first_datagrams() -> list[bytes]:
    """What a client sends first."""
    quic = QuicConnection(
        configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="x")
    )
    quic.connect(("192.0.2.1", 1), now=0.0)
    return [data for data, _ in quic.datagrams_to_send(now=0.0)]


def mangled(data: bytes, chance: random.Random) -> bytes:
    """The same with some bytes changed."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


@run_async
async def test_garbage_in_datagrams_is_not_kept() -> None:
    chance = random.Random(7)
    io = Server(transports=list(ALL))
    async with await listen_with(io) as listening:
        listener = listener_of(listening)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", listening.port))
            good = first_datagrams()[0]
            for _ in range(200):
                sender.send(chance.randbytes(chance.choice((1, 20, 100, 1200, 1400))))
                # It looks like the beginning of a connection, but for its content.
                sender.send(good[:30] + chance.randbytes(1200))
                sender.send(good[: chance.randrange(1, 1199)])
                await asyncio.sleep(0)
            async with raw(listening.port) as client:
                _, stream = await client.enter()
                assert str(await client.next(stream)).startswith("0{")
                assert listener.connections == 1
        assert len(listener._by_id) < 20


@run_async
async def test_mangled_beginnings_end_soon() -> None:
    chance = random.Random(8)
    io = Server(transports=list(ALL), upgrade_timeout=0.5)
    async with await listen_with(io) as listening:
        listener = listener_of(listening)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", listening.port))
            for _ in range(30):
                sender.send(mangled(first_datagrams()[0], chance))
                await asyncio.sleep(0)
        await eventually(lambda: listener.connections == 0, "none is left")


@run_async
async def test_from_many_beginnings_on_addresses_must_be_proved_and_then_nobody_is_answered() -> (
    None
):
    io = Server(transports=list(ALL))
    async with await listen_with(io, webtransport={"dev": True, "pending": 80}) as listening:
        listener = listener_of(listening)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", listening.port))
            sender.setblocking(False)
            for _ in range(70):
                for datagram in first_datagrams():
                    sender.send(datagram)
                await asyncio.sleep(0.001)
            await eventually(lambda: listener.connections == 64, "so many may begin unproved")
            # Who has an address of his own gets in, with one more round.
            async with raw(listening.port) as client:
                _, stream = await client.enter()
                assert str(await client.next(stream)).startswith("0{")
                assert (listener.connections, listener.idling) == (65, 64)
                clients = [raw(listening.port) for _ in range(16)]
                for one in clients:
                    await one.__aenter__()
                assert listener.idling == 80
                with pytest.raises((TimeoutError, ConnectionError)):
                    async with asyncio.timeout(1.0), raw(listening.port, idle_timeout=0.5):
                        pass
                for one in clients:
                    await one.__aexit__(None, None, None)


@run_async
async def test_windows_slide_and_do_not_grow() -> None:
    io = Server(transports=list(ALL), max_http_buffer_size=10_000_000)
    io.on("size", lambda socket, value: len(value))
    async with await listen_with(io) as listening, raw(listening.port) as client:
        session = await client.ask()
        stream = client.stream(session)
        granted = client._quic._streams[stream]
        # Before it was let in, hardly anything may be sent.
        assert granted.max_stream_data_remote == SMALL_WINDOW
        client.send(stream, "0")
        await client.next(stream)
        client.send(stream, "40")
        await client.next(stream)
        for number in range(4):
            placeholder = '{"_placeholder":true,"num":0}'
            client.send(stream, f'451-{number}["size",{placeholder}]', bytes(900_000))
            answer = await client.next(stream)
            assert answer == f"43{number}[900000]"
        sent = granted.sender.highest_offset
        assert sent > 3_600_000
        assert granted.max_stream_data_remote <= sent + WINDOW
        assert client._quic._remote_max_data <= client._quic._remote_max_data_used + 2 * WINDOW


@run_async
async def test_who_reads_nothing_is_a_slow_consumer() -> None:
    from nuncio import Limits

    limits = Limits(outgoing_bytes=200_000)
    io = Server(transports=list(ALL), limits=limits)
    async with (
        await listen_with(io) as listening,
        raw(listening.port, max_data=70_000, max_stream_data=70_000) as client,
    ):
        _, stream = await client.enter()
        await client.next(stream)
        client.send(stream, "40")
        await client.next(stream)
        # It takes no more than its first window.
        client._quic._write_stream_limits = lambda **_: None  # type: ignore[method-assign]  # on purpose
        client._quic._write_connection_limits = lambda **_: None  # type: ignore[method-assign]  # too
        (session,) = io.engine.sessions.values()
        reasons: list[str] = []
        session.on("close", lambda reason, _: reasons.append(reason))
        for _ in range(100):
            io.emit("news", "x" * 10_000)
            await asyncio.sleep(0)
        await eventually(lambda: reasons, "it was given up")
        assert reasons == ["slow consumer"]
        assert io.engine.counters.slow_consumers == 1


@run_async
async def test_a_server_that_does_not_come_to_reading_lets_the_client_wait() -> None:
    io = Server(transports=list(ALL))
    go = asyncio.Event()
    heard: list[int] = []

    @io.event
    async def work(socket: Any, number: int, filler: str) -> None:
        await go.wait()
        heard.append(number)

    async with await listen_with(io) as listening, raw(listening.port) as client:
        _, stream = await client.enter()
        await client.next(stream)
        client.send(stream, "40")
        await client.next(stream)
        total = 2500
        client.send(stream, *(f'42["work",{number},"{"x" * 1000}"]' for number in range(total)))
        sender = client._quic._streams[stream].sender
        await eventually(
            lambda: (
                client._quic._streams[stream].max_stream_data_remote - sender.highest_offset < 3000
            ),
            "the window is used up",
        )
        (session,) = io.engine.sessions.values()
        transport: Any = session.transport
        held = sum(map(len, transport._raw)) + sum(len(p.data) for p in transport._arrived)
        assert 0 < held <= WINDOW + SMALL_WINDOW
        go.set()
        await eventually(lambda: len(heard) == total, "all were handled")
        # So many begin together.
        assert sorted(heard) == list(range(total))


@pytest.mark.parametrize("what", ["headers", "settings", "capsules", "unknown"])
@run_async
async def test_much_that_is_no_packet_ends_the_connection(what: str) -> None:
    io = Server(transports=list(ALL))
    async with await listen_with(io) as listening, raw(listening.port) as client:
        quic = client._quic
        if what == "capsules":
            session = await client.ask()
            for _ in range(80):
                client.http.send_data(session, bytes(1000), end_stream=False)
        else:
            unidirectional = what != "headers"
            stream = quic.get_next_available_stream_id(is_unidirectional=unidirectional)
            kinds = {"headers": b"\x01", "settings": b"\x00\x04", "unknown": b"\x21"}
            quic.send_stream_data(stream, kinds[what] + encode_uint_var(2**30) + bytes(80_000))
        client.transmit()
        await eventually(lambda: client.terminated, "the connection has ended")
        await eventually(lambda: listener_of(listening).connections == 0, "it is forgotten")


@run_async
async def test_headers_that_unfold_to_megabytes_are_no_headers() -> None:
    io = Server(transports=list(ALL))
    async with await listen_with(io) as listening, raw(listening.port) as client:
        # A reference to a dynamic table, which there is not.
        await eventually(lambda: client.http.received_settings, "the settings")
        assert client.http.received_settings[0x1] == 0
        stream = client._quic.get_next_available_stream_id()
        client._quic.send_stream_data(stream, b"\x01\x04\x02\x00\x80\x80")
        client.transmit()
        await eventually(lambda: client.terminated, "the connection has ended")
        assert not io.engine.sessions


@run_async
async def test_any_bytes_after_the_open_packet_end_at_most_that_session() -> None:
    chance = random.Random(9)
    io = Server(transports=list(ALL), upgrade_timeout=1.0)
    async with await listen_with(io) as listening:
        for _ in range(25):
            async with raw(listening.port) as client:
                session, stream = await client.enter()
                await client.next(stream)
                client.write(stream, chance.randbytes(chance.randint(1, 200)), True)
                await client.closed(session)
        async with raw(listening.port) as client:
            _, stream = await client.enter()
            assert str(await client.next(stream)).startswith("0{")
            assert len(io.engine.sessions) == 1
        await eventually(lambda: not io.engine.sessions, "none is left")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be counted")
@run_async
async def test_no_descriptor_is_left() -> None:
    io = Server(transports=list(ALL))

    async def once() -> None:
        async with await listen_with(io) as listening, raw(listening.port) as client:
            _, stream = await client.enter()
            await client.next(stream)

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await once()
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "all are closed")
