"""Acts the play of `stage.py` with python-socketio: client.py asyncio|threads URL TRANSPORT.

Before it leaves it waits until its last request has been answered. Otherwise the task that sends
would find on its return that the client is about to leave, and end without sending the goodbye:
an answer that comes by a poll may be sooner than that of the request which asked the question.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys
from typing import Any

import socketio

WAIT = 30.0
DATA = b"\x00\x01\xff"
TEXT = ("Grüße, 世界", 42, {"nested": [1, None]})
OPTIONS: dict[str, Any] = {
    "reconnection_delay": 0.05,
    "reconnection_delay_max": 0.2,
    "randomization_factor": 0,
}


def show(word: str, *values: object) -> None:
    print(word, *values, flush=True)


def compact(args: tuple[Any, ...]) -> str:
    return json.dumps(args, ensure_ascii=False, separators=(",", ":"))


def transports(name: str) -> list[str]:
    return ["polling", "websocket"] if name == "upgrade" else [name]


async def with_asyncio(url: str, transport: str) -> None:
    events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    client = socketio.AsyncClient(**OPTIONS)

    async def expect(event: str) -> tuple[Any, ...]:
        name, *args = await asyncio.wait_for(events.get(), WAIT)
        assert name == event, f"{name} {args} came instead of {event}"
        return tuple(args)

    client.on("connect", lambda: events.put_nowait(("connect",)))
    client.on("disconnect", lambda reason: events.put_nowait(("disconnect",)))
    client.on("multiply", lambda a, b: a * b)
    for name in ("text", "heard", "binary", "news"):
        client.on(name, lambda *args, name=name: events.put_nowait((name, *args)))

    await client.connect(url, transports=transports(transport), auth={"name": "asyncio"})
    await expect("connect")
    show("connected")
    await client.emit("text", TEXT)
    show("text", compact(await expect("text")))
    show("sum", await client.call("sum", (6, 7), timeout=WAIT))
    await client.emit("question")
    show("heard", *await expect("heard"))
    await client.emit("binary", DATA)
    show("binary", (await expect("binary"))[0].hex())
    show("blob", (await client.call("blob", DATA, timeout=WAIT)).hex())
    await client.emit("join", "lobby")
    show("news", *await expect("news"))
    await client.emit("cut")
    await expect("disconnect")
    show("disconnected")
    await expect("connect")
    show("connected")
    show("sum", await client.call("sum", (1, 2), timeout=WAIT))
    await client.eio.queue.join()
    await client.disconnect()
    show("done")


def with_threads(url: str, transport: str) -> None:
    events: queue.Queue[tuple[Any, ...]] = queue.Queue()
    client = socketio.Client(**OPTIONS)

    def expect(event: str) -> tuple[Any, ...]:
        name, *args = events.get(timeout=WAIT)
        assert name == event, f"{name} {args} came instead of {event}"
        return tuple(args)

    client.on("connect", lambda: events.put(("connect",)))
    client.on("disconnect", lambda reason: events.put(("disconnect",)))
    client.on("multiply", lambda a, b: a * b)
    for name in ("text", "heard", "binary", "news"):
        client.on(name, lambda *args, name=name: events.put((name, *args)))

    client.connect(url, transports=transports(transport), auth={"name": "threads"})
    expect("connect")
    show("connected")
    client.emit("text", TEXT)
    show("text", compact(expect("text")))
    show("sum", client.call("sum", (6, 7), timeout=WAIT))
    client.emit("question")
    show("heard", *expect("heard"))
    client.emit("binary", DATA)
    show("binary", expect("binary")[0].hex())
    show("blob", client.call("blob", DATA, timeout=WAIT).hex())
    client.emit("join", "lobby")
    show("news", *expect("news"))
    client.emit("cut")
    expect("disconnect")
    show("disconnected")
    expect("connect")
    show("connected")
    show("sum", client.call("sum", (1, 2), timeout=WAIT))
    client.eio.queue.join()
    client.disconnect()
    show("done")


if __name__ == "__main__":
    kind, url, transport = sys.argv[1:]
    if kind == "asyncio":
        asyncio.run(with_asyncio(url, transport))
    else:
        with_threads(url, transport)
    sys.stdin.read()
