"""How sockets are shown: what the admin page is told of each."""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final

from nuncio.cluster.remote import RemoteSocket
from nuncio.cluster.values import plain

logger = logging.getLogger("nuncio.admin")

# With these, whoever sees the page could act as the client.
SECRET_HEADERS: Final = frozenset(("authorization", "cookie", "proxy-authorization"))


def timestamp() -> str:
    """Now, as JavaScript writes a date."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def client_id(session: Any) -> str:
    """What the sockets of one connection have in common.

    Node's servers tell the first half of the session's id, which is a secret. This is as good: the
    page compares it with its likes only.
    """
    return urlsafe_b64encode(hashlib.sha256(session.id.encode()).digest())[:12].decode()


def mark(socket: Any) -> dict[str, Any]:
    """What other servers are told of a socket's connection, for their admin pages."""
    return {"clientId": client_id(socket.conn), "transport": socket.conn.transport.name}


def told_data(socket: Any) -> Any:
    """A socket's data as plain data; an empty object where it cannot be sent."""
    try:
        data = plain(socket.data)
    except (TypeError, ValueError, RecursionError) as error:
        logger.debug("the data of socket %r cannot be shown: %r", socket.id, error)
        return {}
    return {} if data is None else data


def shown(socket: Any) -> dict[str, Any]:
    """A socket as the page knows it.

    Args:
        socket: a `Socket`, or a `RemoteSocket` of another server.
    """
    handshake = socket.handshake
    headers = handshake.headers
    remote = isinstance(socket, RemoteSocket)
    marked = (socket.mark if remote else mark(socket)) or {}
    address = headers.get("cf-connecting-ip") or headers.get("x-forwarded-for")
    return {
        "id": socket.id,
        "clientId": marked.get("clientId"),
        "transport": marked.get("transport"),
        "nsp": socket.nsp.name,
        "data": ({} if socket.data is None else socket.data) if remote else told_data(socket),
        "handshake": {
            "address": address or handshake.address,
            "headers": {
                name: value for name, value in headers.items() if name not in SECRET_HEADERS
            },
            "query": handshake.query,
            "issued": round(handshake.issued * 1000),
            "secure": handshake.secure,
            "time": handshake.time,
            "url": handshake.url,
            "xdomain": handshake.xdomain,
        },
        # Its own first.
        "rooms": sorted(socket.rooms, key=lambda room: room != socket.id),
    }
