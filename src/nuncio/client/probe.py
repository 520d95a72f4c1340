"""The move to a better transport (Engine.IO protocol v4, "Upgrade"), from the client's side.

The other transport is opened beside the one in use and asked `2probe`. Once it has answered
`3probe` nothing leaves over the old one any more: what is under way there is waited for, then `5`
goes over the new one, and everything else behind it. Nothing is lost, repeated or overtaken.

Long-polling comes to rest by itself, since it is made of requests. A WebSocket is left with a last
packet of each side, a noop: the server sends it when it is asked `2probe`, and nothing behind it;
ours is the answer to that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from nuncio.client.dial import Dial
from nuncio.client.frames import ClientWebSocket
from nuncio.engine.transport import PacketSink, Transport
from nuncio.errors import TransportError
from nuncio.protocol.engineio import NOOP_PACKET, PROBE_PING, PROBE_PONG, Message

# Something on the way holds back what is sent where no answer comes; servers give up after ten.
ANSWER_SECONDS = 8.0

if TYPE_CHECKING:
    from nuncio.client.session import ClientSession
    from nuncio.client.transports import ClientTransport


class Teller(Protocol):
    """Who wants to know how far a move has come."""

    def upgrading(self, transport: Transport) -> None:
        """The other transport works; the one in use is about to be left."""

    def upgraded_to(self, transport: Transport) -> None:
        """It has been left, and nothing was sent over the other yet."""


class Probe(PacketSink):
    """Waits for the one answer."""

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[None] = loop.create_future()
        self.failed: asyncio.Future[None] = loop.create_future()

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        if data == PROBE_PONG:
            # Nothing else may come before the move; what does is for the session.
            transport.pause_reading()
            if not self.answer.done():
                self.answer.set_result(None)
        else:
            self._fail("probe error: a wrong answer")

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        self._fail("probe error: a wrong answer")

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`."""
        self._fail(f"probe error: {description or reason}")

    def _fail(self, why: str) -> None:
        if not self.failed.done():
            self.failed.set_result(None)
        if not self.answer.done():
            self.answer.set_exception(TransportError(why))
            # It may fail after it was answered, when nobody awaits it any longer.
            self.answer.exception()


def may_be_left(transport: Any) -> bool:
    """Whether a session can move away from a transport."""
    return hasattr(transport, "leave") or isinstance(transport, ClientWebSocket)


async def probe(session: ClientSession, way: ClientTransport, dial: Dial, teller: Teller) -> None:
    """Try another transport for a session, and move to it.

    Args:
        session: the session.
        way: the other transport.
        dial: how the server is reached.
        teller: told of the two steps.

    Raises:
        TransportError: when it does not work; the session stays where it was.
    """
    transport = await way.open(dial)
    try:
        await _move(session, transport, teller)
    except BaseException:
        if session.transport is not transport:
            transport.sink = None
            transport.abort()
        raise


async def _move(session: ClientSession, transport: Transport, teller: Teller) -> None:
    sink = Probe()
    transport.sink = sink
    old: Any = session.transport
    # Before anything is asked, for it may come before the answer.
    mark = session.expect_mark() if isinstance(old, ClientWebSocket) else None
    transport.resume_reading()
    transport.send(Message(PROBE_PING, control=True))
    transport.flush()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await sink.answer
    except TimeoutError as error:
        raise TransportError("probe error: no answer in time", transport.name) from error
    if old is None or session.ready_state == "closed":
        raise TransportError("probe error: socket closed")
    # Before it is told: whoever closes the session now closes it behind the move.
    session.hold_back()
    teller.upgrading(transport)
    try:
        unsent: list[Message] = await (old.leave() if mark is None else _mark(mark, sink))
    except Exception:
        session.stay()
        raise
    if session.ready_state == "closed":
        raise TransportError("probe error: socket closed")
    if transport.sink is not sink or sink.failed.done():
        if mark is None:
            old.come_back(unsent)
        session.stay()
        raise TransportError("probe error: it was closed before the move", transport.name)
    if mark is not None:
        old.send(Message(NOOP_PACKET, control=True))
    session.move_to(transport, unsent)
    if mark is None:
        old.abort()
    else:
        # What was sent must still leave.
        old.discard()
    # Before anything that may end the session.
    teller.upgraded_to(transport)
    session.go_on()


async def _mark(mark: asyncio.Future[None], sink: Probe) -> list[Message]:
    """Wait for the server's last packet, or for the end of the attempt."""
    await asyncio.wait((mark, sink.failed), return_when=asyncio.FIRST_COMPLETED)
    return []
