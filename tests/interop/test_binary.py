"""Bytes in events and answers."""

from __future__ import annotations

import asyncio

from nuncio import Ack, Server, Socket
from tests.support.aio import run_async, within
from tests.support.inbox import Inbox
from tests.support.node import JS, Node, Way

NESTED = [{"a": [b"1", {"b": b"2"}]}, b"3", [[b"4"]], {"b": b""}, "text", None]


@run_async
async def test_bytes_may_stand_anywhere(node: Node, way: Way) -> None:
    io = Server()
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    got = Inbox()
    io.on("echo", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        for args in ([b""], [b"\xe0\x41 looks like a digit in base64"], NESTED, [bytes(10)] * 10):
            await client.emit("echo", *args)
            assert await got.next() == args
            assert await client.next("back") == args


@run_async
async def test_every_kind_of_buffer_is_bytes(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    io.on("kinds", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.emit(
            "kinds",
            JS("new Uint8Array([1, 2, 3]).buffer"),
            JS("new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4)"),
            JS("new Uint16Array([1, 256])"),
            JS("new DataView(new Uint8Array([9, 1]).buffer, 1)"),
            JS("Buffer.from('hé')"),
        )
        assert await got.next() == [b"\1\2\3", b"\1\2\3", b"\1\0\0\1", b"\1", "hé".encode()]
        io.emit("kinds", bytearray(b"12"), memoryview(b"0123")[1:3], [memoryview(b"")])
        assert await client.next("kinds") == [b"12", b"12", [b""]]


@run_async
async def test_large_attachments(node: Node, way: Way) -> None:
    io = Server()
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        for size in (125, 126, 65_535, 65_536, 200_000):
            data = bytes(range(256)) * (size // 256) + bytes(size % 256)
            await client.emit("echo", data, {"second": data[::-1]})
            assert await client.next("back") == [data, {"second": data[::-1]}]


@run_async
async def test_answers_carry_bytes(node: Node, way: Way) -> None:
    io = Server()

    @io.event
    async def echo(socket: Socket, *args: object) -> Ack:
        await asyncio.sleep(0)
        return Ack(*args)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.on("echo", "(...args) => args.pop()(...args)")
        assert await client.ask("echo", *NESTED) == NESTED
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("echo", *NESTED)) == NESTED
        assert await within(socket.emit_with_ack("echo", b"one")) == b"one"


@run_async
async def test_sending_changes_nothing_that_was_sent(node: Node) -> None:
    io = Server()
    data = {"a": [b"1", {"b": b"2"}], "c": (b"3",)}
    async with node.clients(io) as clients:
        client = await clients.connect()
        io.emit("data", data)
        io.emit("data", data)
        expected = {"a": [b"1", {"b": b"2"}], "c": [b"3"]}
        assert await client.next("data") == [expected]
        assert await client.next("data") == [expected]
        assert data == {"a": [b"1", {"b": b"2"}], "c": (b"3",)}


@run_async
async def test_a_placeholder_in_plain_data_stays_data(node: Node) -> None:
    io = Server()
    got = Inbox()
    io.on("data", got)
    lookalike = {"_placeholder": True, "num": 0}
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.emit("data", lookalike)
        assert await got.next() == [lookalike]
        io.emit("data", lookalike)
        assert await client.next("data") == [lookalike]


@run_async
async def test_too_many_attachments_end_the_connection(node: Node, way: Way) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.emit("data", *[b""] * 11)
        assert (await gone.next())[0] == "forced close"
        assert (await client.next("disconnect"))[0] == "transport close"
