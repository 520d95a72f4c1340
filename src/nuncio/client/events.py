"""The events that a client tells of its connection, and names that people may look for."""

from __future__ import annotations

from nuncio.events import EventNames

ENGINE_EVENTS = EventNames(
    "an Engine.IO client",
    (
        "open",
        "handshake",
        "message",
        "packet",
        "ping",
        "drain",
        "upgrading",
        "upgrade",
        "upgrade_error",
        "error",
        "close",
    ),
    {
        "data": "it is called message",
        "upgradeError": "write upgrade_error",
        "pong": "the answer to a ping is sent by itself; ping is told",
        "heartbeat": "it is called ping",
        "flush": "it is called drain",
    },
)

MANAGER_EVENTS = EventNames(
    "a Manager",
    (
        "open",
        "error",
        "ping",
        "packet",
        "close",
        "reconnect_attempt",
        "reconnect",
        "reconnect_error",
        "reconnect_failed",
    ),
    {
        "connect": "sockets have it: manager.socket('/').on('connect')",
        "connect_error": "sockets have it; the Manager's own is error",
        "disconnect": "sockets have it; the Manager's own is close",
        "reconnecting": "it is called reconnect_attempt",
    },
)
