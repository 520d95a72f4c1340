"""python-socketio's server, for tests of the client: psio.py PORT."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import socketio
import uvicorn

io = socketio.AsyncServer(async_mode="asgi", ping_interval=0.2, ping_timeout=5)


async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    """Let everybody in who does not say that it fails, and tell what they brought."""
    if auth and auth.get("fail"):
        raise socketio.exceptions.ConnectionRefusedError("Not here", {"code": 7})
    query = environ["QUERY_STRING"]
    await io.emit("greeting", {"auth": auth, "query": query}, to=sid)


async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
    """Send everything back, as an event and as the answer."""
    await io.emit("echo", args, to=sid)
    return args


async def ask(sid: str, *args: Any) -> None:
    """Ask the client, and tell it what it has answered."""

    async def answered(*answer: Any) -> None:
        await io.emit("answered", answer, to=sid)

    await io.emit("question", args, to=sid, callback=answered)


async def join(sid: str, room: str) -> None:
    """Put the client into a room."""
    await io.enter_room(sid, room)


async def tell(sid: str, room: str, *args: Any) -> None:
    """Emit to a room."""
    await io.emit("told", args, room=room)


async def leave(sid: str) -> None:
    """Send the client away."""
    await io.disconnect(sid)


async def echo_in_foo(sid: str, *args: Any) -> tuple[Any, ...]:
    """As in the default namespace."""
    return ("foo", *args)


for handler in (connect, echo, ask, join, tell, leave):
    io.on(handler.__name__, handler)
io.on("echo", echo_in_foo, namespace="/foo")

if __name__ == "__main__":
    config = uvicorn.Config(
        socketio.ASGIApp(io),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        # Of whoever has not said goodbye it would wait for the heartbeat.
        timeout_graceful_shutdown=1,
    )
    asyncio.run(uvicorn.Server(config).serve())
