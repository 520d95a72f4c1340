"""A Socket.IO client without a network: engine, sessions and server are real, bytes do not travel.

What a test does with it happens at once, so most tests of the server need not wait for anything.
"""

from __future__ import annotations

import json
from typing import Any

from nuncio import Exchange, Request, Server, Socket
from nuncio.engine.transport import Transport
from nuncio.errors import DisconnectReason
from nuncio.protocol.dialects import Dialect
from nuncio.protocol.engineio import Message


class Wire(Transport):
    """The transport: keeps what the server sends.

    Attributes:
        messages: Engine.IO messages, their type digit taken off; binary ones as bytes.
        compressed: for each sent message whether it may be compressed.
        reading: whether the server reads from it.
        ended: how the server ended it: `closed`, `discarded`, `aborted`, or not at all.
    """

    def __init__(self) -> None:
        super().__init__("websocket")
        self.messages: list[str | bytes] = []
        self.compressed: list[bool] = []
        self.reading = True
        self.ended = ""

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if message.text is not None and message.text[:1] != b"4":
            return
        self.compressed.append(message.compress)
        if message.text is not None:
            self.messages.append(message.text[1:].decode())
        self.messages.extend(message.attachments or ())

    def flush(self) -> None:
        """See `Transport.flush`: nothing is kept back."""

    def close(self) -> None:
        """See `Transport.close`."""
        self._end("closed")

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self._end("discarded")

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self._end("aborted")

    def _end(self, how: str) -> None:
        self.writable = False
        self.ended = self.ended or how

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`."""
        self.reading = False

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        self.reading = True


class _Handshake(Exchange):
    """A WebSocket handshake that succeeds in memory."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.wire: Wire | None = None
        self.status = 101

    def accept(self, dialect: Dialect | None = None) -> Transport:
        """See `Exchange.accept`."""
        self.done = True
        self.wire = Wire()
        return self.wire

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        self.status = status


class Refused(Exception):
    """The engine did not take the connection; the argument is the status."""


class Client:
    """One connection to a server, over a transport like a WebSocket.

    Args:
        io: the server; its loop must be running.
        query: more query parameters, `&` first.
        headers: request headers, names in lower case.
        client: the address the request came from.
        secure: whether it came over TLS.

    Raises:
        Refused: when the engine refuses it.
    """

    def __init__(
        self,
        io: Server,
        *,
        query: str = "",
        headers: list[tuple[bytes, bytes]] | None = None,
        client: tuple[str, int] | None = ("192.0.2.1", 50000),
        secure: bool = False,
    ) -> None:
        target = "EIO=4&transport=websocket" + query
        request = Request("GET", "/socket.io/", target, headers or [], client, secure)
        handshake = _Handshake(request)
        waiting = io.engine.handle(handshake, True)
        assert waiting is None, "this client cannot wait for allow_request and the like"
        self._begin(io, handshake)

    @classmethod
    async def arrive(cls, io: Server, nsp: str = "/") -> Client:
        """As `join`, at a server that may take a moment, as workers do."""
        client = cls.__new__(cls)
        handshake = _Handshake(
            Request("GET", "/socket.io/", "EIO=4&transport=websocket", [], None, False)
        )
        waiting = io.engine.handle(handshake, True)
        if waiting is not None:
            await waiting
        client._begin(io, handshake)
        client.connect(nsp)
        return client

    def _begin(self, io: Server, handshake: _Handshake) -> None:
        if handshake.wire is None:
            raise Refused(handshake.status)
        self.io = io
        self.wire = handshake.wire
        # It may be over already.
        self.session_id = next(reversed(io.engine.sessions), "")
        self.sid = ""

    @classmethod
    def join(cls, io: Server, nsp: str = "/", auth: Any = None) -> Client:
        """Connect, and join a namespace that admits at once."""
        client = cls(io)
        client.connect(nsp, auth)
        return client

    def connect(self, nsp: str = "/", auth: Any = None) -> Socket:
        """Join a namespace that admits at once; returns the server's socket.

        The answer is taken out of what was received; anything else stays.
        """
        prefix = "" if nsp == "/" else nsp + ","
        before = len(self.wire.messages)
        self.send("0" + prefix + ("" if auth is None else json.dumps(auth)))
        head = "0" + prefix + '{"sid":"'
        for index in range(before, len(self.wire.messages)):
            message = self.wire.messages[index]
            if isinstance(message, str) and message.startswith(head):
                del self.wire.messages[index]
                self.sid = json.loads(message[1 + len(prefix) :])["sid"]
                return self.io.of(nsp).sockets[self.sid]
        raise AssertionError(f"not admitted: {self.wire.messages[before:]}")

    @property
    def socket(self) -> Socket:
        """The server's socket in the default namespace."""
        return self.io.sockets.sockets[self.sid]

    # What the client sends.

    def send(self, *packets: str | bytes) -> None:
        """Send Socket.IO packets, or attachments, as if they came in one read."""
        for packet in packets:
            sink = self.wire.sink
            if sink is None:
                return
            if isinstance(packet, str):
                sink.text(self.wire, b"4" + packet.encode())
            else:
                sink.binary(self.wire, packet)

    def emit(self, event: Any, *args: Any, id: int | None = None, nsp: str = "") -> None:
        """Send an event; `nsp` as it stands in the packet, with its comma."""
        number = "" if id is None else str(id)
        self.send(f"2{nsp}{number}{json.dumps([event, *args])}")

    def lose(self, reason: str = DisconnectReason.TRANSPORT_CLOSE) -> None:
        """The connection is gone."""
        sink = self.wire.sink
        self.wire.writable = False
        if sink is not None:
            self.wire.sink = None
            sink.ended(self.wire, str(reason), "")

    def stall(self) -> None:
        """Stop reading: the server's side is behind."""
        self.wire.writable = False

    def drain(self) -> None:
        """Read again."""
        self.wire.writable = True
        assert self.wire.sink is not None
        self.wire.sink.drained(self.wire)

    # What the client receives.

    @property
    def received(self) -> list[str | bytes]:
        """Socket.IO packets and attachments so far."""
        return self.wire.messages

    def take(self) -> list[str | bytes]:
        """What was received since the last time."""
        taken = list(self.wire.messages)
        self.wire.messages.clear()
        return taken

    def answers(self, id: int, nsp: str = "") -> list[Any] | None:
        """The values of the acknowledgement with this id, None when there is none."""
        head = f"3{nsp}{id}["
        found = [one for one in self.received if isinstance(one, str) and one.startswith(head)]
        assert len(found) < 2, f"answered more than once: {found}"
        return json.loads(found[0][len(head) - 1 :]) if found else None
