"""The application of the load generator on python-socketio, as fast as its own options allow.

Handlers run in place instead of in a task each (`async_handlers=False`), both loggers are off, and
uvicorn runs with uvloop and httptools, without an access log or permessage-deflate.
"""

from __future__ import annotations

import argparse
from typing import Any

import socketio  # type: ignore[import-untyped]
import uvicorn

sio = socketio.AsyncServer(
    async_mode="asgi", async_handlers=False, logger=False, engineio_logger=False
)


@sio.event  # type: ignore[untyped-decorator]
async def echo(sid: str, x: Any) -> None:
    await sio.emit("echo", x, to=sid)


@sio.event  # type: ignore[untyped-decorator]
async def ack(sid: str, x: Any) -> Any:
    return x


@sio.on("bin")  # type: ignore[untyped-decorator]
async def binary(sid: str, data: bytes) -> None:
    await sio.emit("bin", data, to=sid)


@sio.event  # type: ignore[untyped-decorator]
async def bcast(sid: str, x: Any) -> None:
    await sio.emit("bcast", x)


@sio.event  # type: ignore[untyped-decorator]
async def join(sid: str, room: str) -> None:
    await sio.enter_room(sid, room)


@sio.event  # type: ignore[untyped-decorator]
async def room(sid: str, name: str, x: Any) -> None:
    await sio.emit("room", x, to=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--ws", default="websockets-sansio")
    options = parser.parse_args()
    uvicorn.run(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws=options.ws,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
