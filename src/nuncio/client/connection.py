"""The layer between a session and the sockets of its namespaces: packets in. [compiled]"""

from __future__ import annotations

from typing import Any, final

from nuncio.client.socket import ClientSocket
from nuncio.engine.listener import Listener
from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser, Reader
from nuncio.protocol.socketio import CONNECT, EVENT, Packet, Pending


@final
class ClientConnection(Listener):
    """One session's packets, given to the sockets of their namespaces.

    Args:
        manager: is told `undecodable(error)`, `unwanted(socket)`, `saw(packet)` where it watches,
            and `closed(connection, reason, description)`.
        sockets: the Manager's, by namespace.
        parser: how packets are written.
        max_attachments: how many binary attachments a packet may announce.
        max_bytes: their size together.
        max_containers: how many lists and objects a packet may hold.
    """

    __slots__ = ("_manager", "_max_bytes", "_pending", "_reader", "_sockets", "_watched")

    def __init__(
        self,
        manager: Any,
        sockets: dict[str, ClientSocket],
        parser: Parser,
        max_attachments: int,
        max_bytes: int,
        max_containers: int,
    ) -> None:
        self._manager = manager
        self._sockets = sockets
        self._max_bytes = max_bytes
        self._reader: Reader = parser.reader(max_attachments, max_bytes, max_containers)
        self._pending: Pending | None = None
        self._watched = False

    def watch(self) -> None:
        """Tell the Manager of every packet, `saw(packet)`."""
        self._watched = True

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        try:
            if self._pending is not None:
                raise PacketError("got plaintext data when reconstructing a packet")
            packet = self._reader.text(data)
        except PacketError as error:
            self._undecodable(error)
            return
        if packet is not None:
            self._receive(packet)

    def binary(self, data: bytes) -> None:
        """See `Listener.binary`."""
        pending = self._pending
        packet: Packet | None = None
        try:
            if pending is None:
                packet = self._reader.binary(data)
            elif pending.add(data):
                self._pending = None
                packet = pending.packet
        except PacketError as error:
            self._undecodable(error)
            return
        if packet is not None:
            self._receive(packet)

    def _receive(self, packet: Packet) -> None:
        if packet.attachments:
            self._pending = Pending(packet, self._max_bytes)
            return
        if self._watched:
            self._manager.saw(packet)
        # What is for others is ignored, as the reference does.
        socket = self._sockets.get(packet.nsp)
        if socket is None:
            return
        if not socket.active:
            if packet.type == CONNECT:
                self._manager.unwanted(socket)
            return
        if packet.type == EVENT:
            # The everyday packet, a call shorter.
            data: Any = packet.data
            socket.on_event(data, packet.id)
        else:
            socket.on_packet(packet)

    def _undecodable(self, error: PacketError) -> None:
        self._pending = None
        self._manager.undecodable(error)

    def dropped(self, message: Message) -> None:
        """See `Listener.dropped`."""
        slow = message.slow
        socket = None if slow is None else self._sockets.get(slow.nsp)
        if slow is not None and socket is not None:
            socket.lose_ack(slow.ack)

    def closed(self, reason: str, description: str) -> None:
        """See `Listener.closed`."""
        self._pending = None
        self._reader.destroy()
        self._manager.closed(self, reason, description)
