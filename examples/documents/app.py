"""One namespace for each document, made when somebody opens it.

    python examples/documents/app.py

http://localhost:3002/#recipes and http://localhost:3002/#holidays are two documents. Who has one
open sees what others write there, and how many they are; the last to leave takes the namespace
along.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nuncio

HERE = Path(__file__).parent
CLIENT = HERE.parent / "chat" / "node_modules" / "socket.io-client" / "dist"

MOST_CHARACTERS = 10_000

io = nuncio.Server(
    cleanup_empty_child_namespaces=True,
    serve_client=CLIENT if CLIENT.is_dir() else "auto",
)
documents = io.of(re.compile(r"^/document-[a-z]{1,20}$"))
texts: dict[str, str] = {}


@documents.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """Somebody opened a document."""
    socket.emit("text", texts.get(socket.nsp.name, ""))
    socket.nsp.emit("readers", len(socket.nsp.sockets))


@documents.on("disconnect")
def disconnect(socket: nuncio.Socket) -> None:
    """Somebody closed it."""
    socket.nsp.emit("readers", len(socket.nsp.sockets))


@documents.event
def write(socket: nuncio.Socket, text: str) -> dict[str, bool]:
    """Somebody changed it: tell the others."""
    if len(text) > MOST_CHARACTERS:
        return {"ok": False}
    texts[socket.nsp.name] = text
    socket.broadcast.emit("text", text)
    return {"ok": True}


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": (HERE / "index.html").read_bytes()})


if __name__ == "__main__":
    io.run(port=3002, app=page)
