"""The chat's files over HTTP: a plain ASGI application, served on the port of Socket.IO."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HERE = Path(__file__).resolve().parent

# A list of what exists, so no request can name any other file.
FILES = {
    "/": (HERE / "index.html", "text/html; charset=utf-8"),
    "/style.css": (HERE / "style.css", "text/css; charset=utf-8"),
    "/chat.js": (HERE / "chat.js", "text/javascript; charset=utf-8"),
    "/view.js": (HERE / "view.js", "text/javascript; charset=utf-8"),
    "/images.js": (HERE / "images.js", "text/javascript; charset=utf-8"),
    "/icon.svg": (HERE / "icon.svg", "image/svg+xml"),
}

# Nothing but this site's own files may run, load or be connected to; images also from memory.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer GET and HEAD for the files above; everything else is refused."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    elif scope["method"] not in ("GET", "HEAD"):
        await _answer(scope, send, 405, b"Method not allowed\n", allow="GET, HEAD")
    elif scope["path"] not in FILES:
        await _answer(scope, send, 404, b"Not found\n")
    else:
        path, kind = FILES[scope["path"]]
        await _answer(scope, send, 200, path.read_bytes(), kind)


async def _lifespan(receive: Receive, send: Send) -> None:
    """A server announces start and end; there is nothing to prepare."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def _answer(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    kind: str = "text/plain; charset=utf-8",
    **more: str,
) -> None:
    headers = {
        "content-type": kind,
        "content-length": str(len(body)),
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        **more,
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
