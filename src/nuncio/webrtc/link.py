"""One WebRTC connection with one data channel, from the first description to the last byte.

The channel is taken as a stream of bytes: messages are pieces of it. A side that does not read
holds the other back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from nuncio.errors import DisconnectReason, PacketError, TransportError
from nuncio.webrtc.library import (
    Gate,
    bound_what_is_kept,
    bound_what_is_under_way,
    choose_addresses,
    description,
    new_connection,
    stay_closed,
)
from nuncio.webrtc.options import IceServer
from nuncio.webrtc.sdp import Offer

logger = logging.getLogger("nuncio.engine")

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

LABEL: Final = "eio4"

# Bytes of one message: as many as any browser takes.
MESSAGE: Final = 65536

# How many bytes of a message are handled before it is looked again whether they are wanted.
PIECE: Final = 16384

Spawn = Callable[[Coroutine[Any, Any, None]], Any]


class Owner:
    """Who has a link."""

    def arrived(self, data: bytes) -> None:
        """Some more of the stream."""
        raise NotImplementedError

    def room(self) -> None:
        """The peer has taken most of what was sent."""
        raise NotImplementedError

    def lost(self, reason: str, words: str) -> None:
        """The link has ended, and not by our own doing."""
        raise NotImplementedError


class Link:
    """A WebRTC connection; it does not read until `resume` is called.

    Args:
        spawn: runs what it does beside, to its end.
        ice_servers: see `WebRTCOptions`.
        addresses: see `WebRTCOptions`.
        loopback: whether the peer may be on this machine.
        low: how little must wait to be sent before `room` is told.
        close_seconds: how long the peer may take to read what was sent before a close.

    Attributes:
        owner: is told what happens.
        opened: settles when the channel is open; with a `TransportError` when it cannot be.
    """

    def __init__(
        self,
        spawn: Spawn,
        ice_servers: Sequence[IceServer],
        addresses: Sequence[str] | None,
        *,
        loopback: bool,
        low: int,
        close_seconds: float,
    ) -> None:
        self.owner: Owner | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spawn = spawn
        self._addresses = addresses
        self._loopback = loopback
        self._low = low
        self._close_seconds = close_seconds
        self._message = MESSAGE
        self._channel: Any = None
        self._closed = asyncio.Event()
        self._gate: Gate | None = None
        self._describing: asyncio.Future[None] | None = None
        self._arrived: deque[bytes] = deque()
        self._reading = False
        self._delivering = False
        self._over = False
        self._connection = new_connection(ice_servers)
        self._connection.on("connectionstatechange", self._look)
        self._connection.on("datachannel", self._take)

    # Beginning.

    async def answer(self, offer: Offer) -> str:
        """Answer an offer; the peer's channel opens some time later.

        Raises:
            PacketError: when it cannot be.
        """
        self._limit_messages(offer)
        connection = self._connection
        try:
            await connection.setRemoteDescription(description("offer", offer.text(complete=False)))
            self._prepare()
            await self._describe(await connection.createAnswer())
        except Exception as error:
            if self._over:
                raise PacketError("it has been given up") from error
            raise PacketError(f"the offer cannot be answered: {error!r}") from error
        return str(connection.localDescription.sdp)

    async def offer(self) -> str:
        """Offer a channel."""
        connection = self._connection
        self._take(connection.createDataChannel(LABEL))
        self._prepare()
        await self._describe(await connection.createOffer())
        return str(connection.localDescription.sdp)

    async def accept(self, answer: Offer) -> None:
        """Take the peer's answer to our offer.

        Raises:
            PacketError: when it is none.
        """
        self._limit_messages(answer)
        try:
            text = answer.text(complete=True)
            await self._connection.setRemoteDescription(description("answer", text))
        except Exception as error:
            raise PacketError(f"the answer is none to the offer: {error!r}") from error

    async def _describe(self, ours: Any) -> None:
        """Take a description of our own, which makes sockets.

        Were that cancelled in the middle, nobody would know those it has made.
        """
        self._describing = asyncio.ensure_future(self._connection.setLocalDescription(ours))
        # Perhaps nobody waits for it any more when it fails.
        self._describing.add_done_callback(_seen)
        await asyncio.shield(self._describing)

    def _limit_messages(self, peer: Offer) -> None:
        self._message = min(peer.message or MESSAGE, MESSAGE)

    def _prepare(self) -> None:
        connection = self._connection
        choose_addresses(connection, self._addresses, loopback=self._loopback)
        bound_what_is_kept(connection)
        bound_what_is_under_way(connection)
        stay_closed(connection)
        self._gate = Gate(connection, self._violated)
        connection.sctp.transport.on("statechange", self._look)

    def _take(self, channel: Any) -> None:
        if self._channel is not None or self._over:
            self._violated("the peer opened a second data channel")
            return
        if (
            not channel.ordered
            or (channel.maxRetransmits, channel.maxPacketLifeTime) != (None,) * 2
        ):
            self._violated("the peer opened a data channel that is not reliable")
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = self._low
        channel.on("message", self._received)
        channel.on("bufferedamountlow", self._room)
        channel.on("close", self._ended)
        if channel.readyState == "open":
            self._open()
        else:
            channel.on("open", self._open)

    def _open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    # Receiving.

    def pause(self) -> None:
        """Hand on nothing until `resume`."""
        self._reading = False

    def resume(self) -> None:
        """Hand on what arrives, and what has."""
        if not self._reading:
            self._reading = True
            if self._arrived:
                asyncio.get_running_loop().call_soon(self._deliver)

    def _received(self, message: bytes | str) -> None:
        if self._over:
            return
        if isinstance(message, str):
            self._violated("the peer sent text, where bytes are expected")
            return
        self._arrived.append(message)
        if self._gate is not None:
            self._gate.hold(len(message))
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        arrived = self._arrived
        try:
            while arrived and self._reading and not self._over and self.owner is not None:
                data = arrived.popleft()
                piece = data[:PIECE]
                if len(data) > PIECE:
                    arrived.appendleft(data[PIECE:])
                if self._gate is not None:
                    self._gate.let_go(len(piece))
                self.owner.arrived(piece)
        except Exception as error:
            logger.exception("a message over WebRTC could not be handled")
            self._fail(TRANSPORT_ERROR, f"it failed: {error!r}")
        finally:
            self._delivering = False

    # Sending.

    @property
    def waiting(self) -> int:
        """How many bytes wait to be sent."""
        return 0 if self._channel is None else int(self._channel.bufferedAmount)

    def send(self, data: bytes) -> None:
        """Send some more of the stream."""
        if self._over or self._channel is None or self._channel.readyState != "open":
            return
        size = self._message
        for at in range(0, len(data), size):
            self._channel.send(data[at : at + size])

    def _room(self) -> None:
        if self.owner is not None and not self._over:
            self.owner.room()

    # Ending.

    def close(self) -> None:
        """End it, once the peer has taken what was sent; the owner is told when that is done."""
        if not self._over:
            self._end()
            self._spawn(self._close(gently=True))

    def abort(self) -> None:
        """End it now, without a word to the owner."""
        self.owner = None
        # Perhaps it is being closed, and waits for the peer.
        self._closed.set()
        if not self._over:
            self._end()
            self._spawn(self._close(gently=False))

    def _end(self) -> None:
        self._over = True
        self._arrived.clear()
        if not self.opened.done():
            self.opened.set_exception(TransportError("webrtc: it was closed", "webrtc"))
        if not self.opened.cancelled():
            # Perhaps nobody waits for it.
            self.opened.exception()

    async def _close(self, *, gently: bool) -> None:
        channel = self._channel
        describing = self._describing
        try:
            if describing is not None:
                await asyncio.wait((describing,))
            if gently and channel is not None and channel.readyState == "open":
                channel.close()
                async with asyncio.timeout(self._close_seconds):
                    await self._closed.wait()
        except TimeoutError:
            logger.debug("a peer does not read what was sent over WebRTC before the end")
        finally:
            await self._connection.close()
            owner, self.owner = self.owner, None
            if owner is not None:
                owner.lost(TRANSPORT_CLOSE, "")

    def _ended(self) -> None:
        self._closed.set()
        self._fail(TRANSPORT_CLOSE, "")

    def _look(self) -> None:
        """Something has changed below."""
        connection = self._connection
        sctp = connection.sctp
        states = (connection.connectionState, "" if sctp is None else sctp.transport.state)
        if "failed" in states or "closed" in states:
            self._closed.set()
            self._fail(TRANSPORT_CLOSE, "the WebRTC connection was lost")

    def _violated(self, words: str) -> None:
        self._fail(TRANSPORT_ERROR, words)

    def _fail(self, reason: str, words: str) -> None:
        if self._over:
            return
        owner = self.owner
        logger.debug("a WebRTC connection ended: %s", words or reason)
        if not self.opened.done():
            self.opened.set_exception(TransportError(f"webrtc: {words or reason}", "webrtc"))
        self.abort()
        if owner is not None:
            owner.lost(reason, words)


def _seen(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
