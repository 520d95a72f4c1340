from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import ClientLimits
from nuncio.client import ClientTransport, Dial, Polling, WebSocket
from nuncio.client.frames import ClientWebSocket
from nuncio.client.http import closed
from nuncio.client.options import ManagerOptions
from nuncio.client.polling import ClientPolling
from nuncio.client.tools import tools
from nuncio.client.transports import chosen
from nuncio.client.url import parse
from nuncio.engine.transport import PacketSink, Transport
from nuncio.errors import OptionError, TransportError
from nuncio.protocol.engineio import Message
from tests.support.aio import eventually, run_async, within
from tests.support.lines import turns
from tests.support.oddserver import (
    BINARY,
    CLOSE,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    OddServer,
    Request,
    Wire,
)

# Names.


def test_transports_are_chosen_by_name_by_class_or_as_objects() -> None:
    class Own(ClientTransport):
        name = "own"

    made = Own()
    found = chosen(["websocket", Polling, Own])
    assert [type(one) for one in found] == [WebSocket, Polling, Own]
    assert chosen([made]) == [made]
    assert chosen([]) == []


def test_each_is_chosen_once() -> None:
    assert [one.name for one in chosen(["polling", "websocket", "polling", WebSocket])] == [
        "polling",
        "websocket",
    ]


@pytest.mark.parametrize(
    ("transports", "words"),
    [
        (["websockets"], "did you mean 'websocket'?"),
        (["pigeon"], "there is no 'pigeon'"),
        (["xyzzy"], "there are polling, websocket"),
        ([5], "there is no 5"),
        ([None], "there is no None"),
        ([int], "there is no <class 'int'>"),
        ([["polling"]], "there is no ['polling']"),
        ([ClientTransport], "has no name"),
    ],
)
def test_what_is_no_transport(transports: list[Any], words: str) -> None:
    with pytest.raises(OptionError, match="transports: ") as caught:
        chosen(transports)
    assert words in str(caught.value)


# WebSocket.


class Heard(PacketSink):
    """Takes what a transport tells."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[Any] = []
        self.ends: list[tuple[str, str]] = []

    def both(self) -> bool:
        return len(self.packets) == 2

    def text(self, transport: Transport, data: bytes) -> None:
        self.packets.append(data.decode())

    def binary(self, transport: Transport, data: bytes) -> None:
        self.packets.append(data)

    def drained(self, transport: Transport) -> None:
        pass

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        self.ends.append((reason, description))


class Scene:
    """A server that upgrades, and what it takes to open a WebSocket to it."""

    def __init__(self, dial: Dial, accepted: asyncio.Queue[Wire]) -> None:
        self.dial = dial
        self._accepted = accepted

    async def open(self) -> tuple[ClientWebSocket, Heard, Wire]:
        """Connect and read."""
        transport = await within(WebSocket().open(self.dial))
        assert isinstance(transport, ClientWebSocket)
        heard = Heard()
        transport.sink = heard
        transport.resume_reading()
        return transport, heard, await within(self._accepted.get())


@asynccontextmanager
async def scene(
    head: dict[str, str] | None = None, behind: bytes = b"", **options: Any
) -> AsyncIterator[tuple[Scene, OddServer]]:
    """A server that answers every request by upgrading; `behind` comes in the same write."""
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    over = asyncio.Event()

    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request, head)
        if behind:
            wire.raw(behind)
        accepted.put_nowait(wire)
        await over.wait()

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(**options), tools(), None)
        await dial.prepare()
        try:
            yield Scene(dial, accepted), server
        finally:
            over.set()
            dial.done()
            await within(closed(dial.tools))


async def end(transport: ClientWebSocket, wire: Wire) -> None:
    """End it in order."""
    transport.abort()
    await wire.gone()


@run_async
async def test_it_shakes_hands_and_talks() -> None:
    async with scene(cookies={"a": "1"}, extra_headers={"X-A": "b"}) as (there, server):
        there.dial.sid = "s"
        transport, heard, wire = await there.open()
        (request,) = server.requests
        assert request.method == "GET"
        assert request.query == {"EIO": "4", "transport": "websocket", "sid": "s"}
        assert request.headers["upgrade"] == "websocket"
        assert request.headers["connection"].lower() == "upgrade"
        assert request.headers["sec-websocket-version"] == "13"
        assert request.headers["cookie"] == "a=1"
        assert request.headers["x-a"] == "b"
        assert "permessage-deflate" in request.headers["sec-websocket-extensions"]
        assert "sec-websocket-protocol" not in request.headers
        transport.send(Message(b"4hello", None))
        transport.send(Message(None, [b"\x01"]))
        assert (await within(wire.receive())).data == b"4hello"
        frame = await within(wire.receive())
        assert (frame.opcode, frame.data) == (BINARY, b"\x01")
        wire.frame("4there")
        wire.frame(b"\x02")
        await eventually(lambda: heard.packets == ["4there", b"\x02"])
        await end(transport, wire)


@run_async
async def test_its_connection_does_not_need_the_pool() -> None:
    async with scene() as (there, _):
        transport, heard, wire = await there.open()
        there.dial.done()
        await within(closed(there.dial.tools))
        assert there.dial.tools.http is None
        wire.frame("4still here")
        await eventually(lambda: heard.packets == ["4still here"])
        await end(transport, wire)


@run_async
async def test_what_comes_with_the_answer_is_not_lost() -> None:
    packet = b'0{"sid":"a"}'
    frames = bytes([0x81, len(packet)]) + packet + b"\x81\x024a"
    for cut in (0, 1, 5, len(frames) - 1, len(frames)):
        async with scene(behind=frames[:cut]) as (there, _):
            transport, heard, wire = await there.open()
            wire.raw(frames[cut:])
            await eventually(heard.both)
            assert heard.packets == ['0{"sid":"a"}', "4a"]
            await end(transport, wire)


@run_async
async def test_much_that_comes_with_the_answer_is_not_lost_either() -> None:
    payload = b"4" + b"x" * 300_000
    frame = bytes([0x82, 127]) + len(payload).to_bytes(8, "big") + payload
    async with scene(behind=frame * 3) as (there, _):
        transport, heard, wire = await there.open()
        await eventually(lambda: len(heard.packets) == 3)
        assert heard.packets == [payload] * 3
        await end(transport, wire)


@run_async
async def test_nothing_is_read_before_somebody_is_there() -> None:
    async with scene(behind=b"\x81\x024a") as (there, _):
        transport = await within(WebSocket().open(there.dial))
        await asyncio.sleep(0.02)
        heard = Heard()
        transport.sink = heard
        await turns()
        assert heard.packets == []
        transport.resume_reading()
        await eventually(lambda: heard.packets == ["4a"])
        transport.abort()


@run_async
async def test_compression_is_agreed_upon() -> None:
    async with scene(DEFLATE) as (there, server):
        transport, _, wire = await there.open()
        transport.send(Message(b"4" + b"x" * 5000))
        frame = await within(wire.receive())
        assert frame.compressed
        assert len(frame.data) < 100
        await end(transport, wire)
    async with scene(per_message_deflate=False) as (there, server):
        transport, _, wire = await there.open()
        assert "sec-websocket-extensions" not in server.requests[0].headers
        transport.send(Message(b"4" + b"x" * 5000))
        assert not (await within(wire.receive())).compressed
        await end(transport, wire)


@run_async
async def test_subprotocols_are_agreed_upon() -> None:
    async with scene({"Sec-WebSocket-Protocol": "v2"}, protocols=["v1", "v2"]) as (there, server):
        transport, _, wire = await there.open()
        assert server.requests[0].headers["sec-websocket-protocol"] == "v1, v2"
        await end(transport, wire)


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ({"Sec-WebSocket-Accept": "wrong"}, {}),
        ({"Upgrade": "h2c"}, {}),
        ({"Connection": "keep-alive"}, {}),
        ({"Sec-WebSocket-Protocol": "nobody-asked"}, {}),
        ({"Sec-WebSocket-Extensions": "permessage-bzip"}, {}),
        ({"Sec-WebSocket-Extensions": "permessage-deflate; unknown=1"}, {}),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, {"per_message_deflate": False}),
    ],
)
@run_async
async def test_a_handshake_that_is_wrong(head: dict[str, str], options: dict[str, Any]) -> None:
    async with scene(head, **options) as (there, _):
        with pytest.raises(TransportError, match=r"^websocket: ") as caught:
            await there.open()
        assert caught.value.transport == "websocket"
        # The connection is not left open; at the latest it ends with the pool.
        there.dial.done()
        wire = await within(there._accepted.get())
        await wire.gone()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, "Session ID unknown", "answered with status 400: Session ID unknown"),
        (404, "", "is Socket.IO served there?"),
        (200, "hello", "answered with status 200: hello"),
        (502, "<html>bad gateway</html>", "answered with status 502"),
    ],
)
@run_async
async def test_an_answer_that_is_no_upgrade(status: int, body: str, words: str) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(status, body)
        await wire.gone()

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(), tools(), None)
        await dial.prepare()
        with pytest.raises(TransportError) as caught:
            await within(WebSocket().open(dial))
        assert words in str(caught.value)
        assert caught.value.status == status
        dial.done()
        await within(closed(dial.tools))


@run_async
async def test_an_endless_answer_that_is_no_upgrade() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while not wire.at_end:
                wire.raw(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                await asyncio.sleep(0)
        except ConnectionError:
            pass

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(), tools(), None)
        await dial.prepare()
        with pytest.raises(TransportError, match="answered with status 200"):
            await within(WebSocket().open(dial))
        dial.done()
        await within(closed(dial.tools))


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgr", b"\x00\x01\x02\r\n\r\n"]
)
@run_async
async def test_an_answer_that_is_cut_or_no_http(data: bytes) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.raw(data)
        wire.close()

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(), tools(), None)
        await dial.prepare()
        with pytest.raises(TransportError, match=r"^websocket: "):
            await within(WebSocket().open(dial))
        dial.done()
        await within(closed(dial.tools))


@run_async
async def test_a_connection_that_is_cut_right_behind_the_handshake() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.close()

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(), tools(), None)
        await dial.prepare()
        heard = Heard()
        try:
            transport = await within(WebSocket().open(dial))
        except TransportError as error:
            assert "cut behind the handshake" in str(error)
        else:
            transport.sink = heard
            transport.resume_reading()
            await eventually(lambda: heard.ends)
            assert heard.ends[0][0] == "transport close"
        dial.done()
        await within(closed(dial.tools))


@run_async
async def test_messages_have_a_greatest_size() -> None:
    async with scene(limits=ClientLimits(message_bytes=1000)) as (there, _):
        _, heard, wire = await there.open()
        wire.frame("4" + "x" * 999)
        await eventually(lambda: heard.packets)
        wire.frame("4" + "x" * 1000)
        await eventually(lambda: heard.ends)
        assert heard.ends == [("transport error", "message too big")]
        frame = await within(wire.receive())
        assert (frame.opcode, frame.data[:2]) == (CLOSE, (1009).to_bytes(2, "big"))


@run_async
async def test_pings_and_goodbyes_over_a_real_connection() -> None:
    async with scene() as (there, _):
        transport, heard, wire = await there.open()
        wire.frame(b"beat", PING)
        frame = await within(wire.receive())
        assert (frame.opcode, frame.data) == (PONG, b"beat")
        transport.close()
        assert (await within(wire.receive())).opcode == CLOSE
        wire.frame(b"", CLOSE)
        await eventually(lambda: heard.ends)
        await wire.gone()


@run_async
async def test_a_server_that_does_not_read_makes_it_wait() -> None:
    async with scene(limits=ClientLimits(high_water_bytes=1000)) as (there, _):
        transport, _, wire = await there.open()
        while transport.writable:
            transport.send(Message(b"4" + b"x" * 10_000))
            transport.flush()
        received = 0
        while not transport.writable:
            frame = await within(wire.receive())
            assert frame.opcode == TEXT
            received += 1
            await asyncio.sleep(0)
        assert received > 0
        await end(transport, wire)


# Long-polling.


@run_async
async def test_polling_brings_the_first_answer() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        if request.handshake:
            wire.reply(200, '0{"sid":"a"}')
        else:
            await wire.gone()

    async with OddServer(answer) as server:
        dial = Dial(parse(server.url), ManagerOptions(), tools(), None)
        await dial.prepare()
        transport = await within(Polling().open(dial))
        assert isinstance(transport, ClientPolling)
        dial.sid = "a"
        heard = Heard()
        transport.sink = heard
        transport.resume_reading()
        await eventually(lambda: heard.packets == ['0{"sid":"a"}'])
        transport.abort()
        dial.done()
        await within(closed(dial.tools))
