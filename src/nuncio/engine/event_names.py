"""The events of an engine and of its sessions, and what to do in place of those of JavaScript."""

from __future__ import annotations

from typing import Final

from nuncio.events import EventNames

_DRAIN: Final = "a session tells of it: session.on('drain'), or socket.conn.on('drain')"
_CLOSE: Final = "a session tells of it: session.on('close'), or socket.conn.on('close')"

ENGINE_EVENTS: Final = EventNames(
    "the engine",
    ("connection", "connection_error", "initial_headers", "headers"),
    {
        "connect": "write 'connection'",
        "flush": _DRAIN,
        "drain": _DRAIN,
        "close": _CLOSE,
        "disconnect": _CLOSE,
        "upgrade": "a session tells of it: session.on('upgrade'), or socket.conn.on('upgrade')",
    },
)

_SEEN: Final = "packets are not shown one by one"
_OPENED: Final = "a session is open when engine.on('connection') tells of it"

_EVENTS: Final = ("close", "upgrading", "upgrade", "heartbeat", "drain")
_ELSEWHERE: Final = {
    "open": _OPENED,
    "connection": _OPENED,
    "flush": "write 'drain', which tells that the buffer is empty",
    "disconnect": "write 'close'",
    "error": "what went wrong is the second argument of 'close'",
}

# Of an engine that stands alone.
SESSION_EVENTS: Final = EventNames(
    "the session",
    ("message", *_EVENTS),
    {
        **_ELSEWHERE,
        "data": "write 'message'",
        "packet": f"{_SEEN}: there are 'message' and 'heartbeat'",
        "packetCreate": f"{_SEEN}: wrap session.send",
        "packet_create": f"{_SEEN}: wrap session.send",
    },
)

_INCOMING: Final = "events from clients are seen by socket.on_any(…)"
_OUTGOING: Final = "events to clients are seen by socket.on_any_outgoing(…)"

# Under Socket.IO, where applications meet it as `socket.conn`.
CONN_EVENTS: Final = EventNames(
    "socket.conn",
    _EVENTS,
    {
        **_ELSEWHERE,
        "message": f"its messages are Socket.IO's packets: {_INCOMING}",
        "data": f"its messages are Socket.IO's packets: {_INCOMING}",
        "packet": f"{_SEEN}: {_INCOMING}, heartbeats by socket.conn.on('heartbeat')",
        "packetCreate": f"{_SEEN}: {_OUTGOING}",
        "packet_create": f"{_SEEN}: {_OUTGOING}",
    },
)
