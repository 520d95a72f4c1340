"""What is counted of sessions, where somebody wants to know."""

from __future__ import annotations

import aiohttp

import nuncio
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


@run_async
async def test_messages_are_counted_with_their_attachments() -> None:
    io = nuncio.Server()
    traffic = io.engine.meter()
    client = Client.join(io)
    assert (traffic.opened, traffic.packets_in, traffic.bytes_in) == (1, 1, 1)
    greeting = len('0{"sid":""}') + 20
    assert (traffic.packets_out, traffic.bytes_out) == (1, greeting)
    client.send('2["e","ä"]', '51-["e",{"_placeholder":true,"num":0}]', b"abc")
    # Of which ä is two bytes.
    assert (traffic.packets_in, traffic.bytes_in) == (4, 1 + 11 + 38 + 3)
    io.emit("e", b"ab", b"c")
    sent = '52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert (traffic.packets_out, traffic.bytes_out) == (4, greeting + len(sent) + 3)
    client.lose()
    assert traffic.closed == {"transport close": 1}
    traffic.clear()
    assert (traffic.opened, traffic.packets_in, traffic.bytes_out, traffic.closed) == (0, 0, 0, {})


@run_async
async def test_what_waits_is_counted_once_and_what_is_dropped_not_at_all() -> None:
    io = nuncio.Server()
    traffic = io.engine.meter()
    client = Client.join(io)
    traffic.clear()
    client.stall()
    io.emit("e")
    io.volatile.emit("e")
    assert (traffic.packets_out, traffic.bytes_out) == (1, 6)
    client.drain()
    assert traffic.packets_out == 1
    client.lose()
    io.emit("e")
    assert traffic.packets_out == 1


@run_async
async def test_heartbeats_are_not_counted() -> None:
    io = nuncio.Server(ping_interval=0.05, ping_timeout=5.0)
    traffic = io.engine.meter()
    async with await io.listen(0) as own, nuncio.connect(f"http://127.0.0.1:{own.port}") as client:
        beats: list[int] = []
        (session,) = io.engine.sessions.values()
        session.on("heartbeat", lambda: beats.append(1))
        await eventually(lambda: len(beats) > 2)
        # Each side's CONNECT.
        assert (traffic.packets_in, traffic.packets_out) == (1, 1)
        assert client.connected


@run_async
async def test_sessions_of_old_clients_are_counted_too() -> None:
    io = nuncio.Server(allow_eio3=True)
    traffic = io.engine.meter()
    async with await io.listen(0) as listening:
        url = f"http://127.0.0.1:{listening.port}/socket.io/?EIO=3&transport=websocket"
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            await socket.send_str('42["e"]')
            await socket.send_bytes(b"\x04abc")
            await eventually(lambda: traffic.packets_in == 2)
            assert (traffic.opened, traffic.bytes_in) == (1, 6 + 3)
            # It joins the default namespace without asking.
            assert (traffic.packets_out, traffic.bytes_out) == (1, 1)
        await eventually(lambda: traffic.closed)


def test_nobody_is_counted_unless_asked() -> None:
    assert nuncio.Server().engine.traffic is None
