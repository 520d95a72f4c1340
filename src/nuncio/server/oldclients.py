"""Connections of Socket.IO 2.x clients (Socket.IO protocol revision 4). [compiled]

Such a client joins the default namespace by connecting, without asking. Its sockets have the
session's id; it is told of them by a CONNECT packet without content, and of refusals by a string.
What it wants to say of itself stands behind a `?` in the name of the namespace.
"""

from __future__ import annotations

from nuncio.engine.request import parse_query
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser
from nuncio.protocol.socketio import CONNECT, Packet
from nuncio.server.connection import Connection


class OldConnection(Connection):
    """One session of revision 3, and the sockets on it."""

    __slots__ = ()

    def begin(self) -> None:
        """Join the default namespace."""
        self._connect(Packet(CONNECT, "/", -1, {}), None)

    def _receive(self, packet: Packet) -> None:
        name, mark, query = packet.nsp.partition("?")
        if mark:
            packet.nsp = name
        if packet.type == CONNECT:
            packet.data = parse_query(query) if mark else {}
        super()._receive(packet)

    def socket_id(self, nsp: str) -> str:
        """See `Connection.socket_id`."""
        id = self.session.id
        return id if nsp == "/" else nsp + "#" + id

    def greeting(self, parser: Parser, prefix: bytes, id: str) -> Message:
        """See `Connection.greeting`."""
        return parser.encode_connect(prefix, None)

    def refusal(self, parser: Parser, prefix: bytes, message: str, data: object) -> Message:
        """See `Connection.refusal`."""
        return parser.encode_error(prefix, data or message)
