"""What is known of a client from the moment it connected."""

from __future__ import annotations

import datetime
from typing import Any

from nuncio.engine.request import Request


class Handshake:
    """`socket.handshake`, under the official names.

    Attributes:
        auth: what the client sent as `auth`.
        issued: when it connected, in seconds since the epoch.
    """

    __slots__ = ("_request", "auth", "issued")

    def __init__(self, request: Request, auth: dict[str, Any], issued: float) -> None:
        """Made by the socket, of the request that opened the connection."""
        self._request = request
        self.auth = auth
        self.issued = issued

    @property
    def headers(self) -> dict[str, str]:
        """Request headers by lower-case name."""
        return self._request.headers

    @property
    def query(self) -> dict[str, str]:
        """Query parameters, `EIO` and `transport` among them."""
        return self._request.query

    @property
    def url(self) -> str:
        """Path and query."""
        return self._request.url

    @property
    def address(self) -> str:
        """The client's address; behind a trusted proxy the one it reports."""
        client = self._request.client
        return "" if client is None else client[0]

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self._request.secure

    @property
    def xdomain(self) -> bool:
        """Whether a browser sent it across origins or otherwise named its origin."""
        return "origin" in self._request.headers

    @property
    def time(self) -> str:
        """When the client connected, as JavaScript writes a date, in UTC."""
        moment = datetime.datetime.fromtimestamp(self.issued, tz=datetime.UTC)
        return moment.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")

    def __repr__(self) -> str:
        return f"<Handshake from {self.address!r} at {self.time}>"
