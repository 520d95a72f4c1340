"""The application of the load generator on Nuncio, with default options.

`--async` registers the same handlers as `async def`. `--host asgi` leaves the native WebSocket path
out and runs as any ASGI application would, with uvicorn's own WebSocket implementation.
`--typed` annotates the arguments, so that they are checked; `--class` registers a class.
`--parser msgpack` speaks MessagePack, `--eio3` admits old clients, `--recovery` remembers events.
`--transports` names those that are served. `--adapter` joins a cluster over the Redis at `--redis`;
`--workers` names the folder where the workers of one server meet.
"""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn

import nuncio
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter

ADAPTERS = {
    "classic": RedisAdapter,
    "sharded": RedisShardedAdapter,
    "streams": RedisStreamsAdapter,
}


def register(io: nuncio.Server) -> None:
    """Register every handler as a plain function."""

    @io.event
    def echo(socket: nuncio.Socket, x: Any) -> None:
        socket.emit("echo", x)

    @io.event
    def ack(socket: nuncio.Socket, x: Any) -> Any:
        return x

    @io.event
    def bin(socket: nuncio.Socket, data: Any) -> None:
        socket.emit("bin", data)

    @io.event
    def bcast(socket: nuncio.Socket, x: Any) -> None:
        io.emit("bcast", x)

    @io.event
    def join(socket: nuncio.Socket, name: Any) -> None:
        socket.join(name)

    @io.event
    def room(socket: nuncio.Socket, name: Any, x: Any) -> None:
        io.to(name).emit("room", x)


def register_async(io: nuncio.Server) -> None:
    """Register every handler as a coroutine function."""

    @io.event
    async def echo(socket: nuncio.Socket, x: Any) -> None:
        socket.emit("echo", x)

    @io.event
    async def ack(socket: nuncio.Socket, x: Any) -> Any:
        return x

    @io.event
    async def bin(socket: nuncio.Socket, data: Any) -> None:
        socket.emit("bin", data)

    @io.event
    async def bcast(socket: nuncio.Socket, x: Any) -> None:
        io.emit("bcast", x)

    @io.event
    async def join(socket: nuncio.Socket, name: Any) -> None:
        socket.join(name)

    @io.event
    async def room(socket: nuncio.Socket, name: Any, x: Any) -> None:
        io.to(name).emit("room", x)


def register_typed(io: nuncio.Server) -> None:
    """Register handlers whose arguments are checked."""

    @io.event
    def echo(socket: nuncio.Socket, x: str) -> None:
        socket.emit("echo", x)

    @io.event
    def ack(socket: nuncio.Socket, x: str) -> str:
        return x


def register_class(io: nuncio.Server) -> None:
    """Register handlers as methods."""

    class Echo(nuncio.Namespace):
        def on_echo(self, socket: nuncio.Socket, x: Any) -> None:
            socket.emit("echo", x)

        def on_ack(self, socket: nuncio.Socket, x: Any) -> Any:
            return x

    io.of("/", Echo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--async", dest="asynchronous", action="store_true")
    parser.add_argument("--typed", action="store_true")
    parser.add_argument("--class", dest="klass", action="store_true")
    parser.add_argument("--eio3", action="store_true")
    parser.add_argument("--recovery", action="store_true")
    parser.add_argument("--transports", default="polling,websocket", help="names, with commas")
    parser.add_argument("--host", choices=("native", "asgi"), default="native")
    parser.add_argument("--adapter", choices=tuple(ADAPTERS))
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", help="its address")
    parser.add_argument("--workers", default=False, help="the folder where they meet")
    parser.add_argument("--parser", choices=("json", "msgpack"), default="json")
    options = parser.parse_args()

    packets = nuncio.MsgPackParser() if options.parser == "msgpack" else nuncio.JSONParser()
    adapter = ADAPTERS[options.adapter](options.redis) if options.adapter else None
    io = nuncio.Server(
        adapter=adapter,
        workers=options.workers,
        parser=packets,
        allow_eio3=options.eio3,
        connection_state_recovery=options.recovery,
        transports=options.transports.split(","),
        webrtc={"addresses": ["127.0.0.1"]},
    )
    if options.asynchronous:
        register_async(io)
    elif options.typed:
        register_typed(io)
    elif options.klass:
        register_class(io)
    else:
        register(io)
    if options.host == "native":
        beside = {}
        if "webtransport" in options.transports:
            # A certificate made for the occasion; the client asks for its hash.
            beside["webtransport"] = {"dev": True}
        io.run(host="127.0.0.1", port=options.port, **beside)
        return
    uvicorn.run(
        io.asgi(),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
