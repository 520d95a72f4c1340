"""How a server takes WebRTC connections: an offer by POST, its answer, and then a data channel.

The request is that of WHIP (RFC 9725) with the parameters of every transport:
`POST …?EIO=4&transport=webrtc[&sid=…]`, Content-Type application/sdp, a complete offer; 201 and the
answer come back. Once the channel is open it carries packets as every stream does: those of a new
session, or, with a sid, the attempt of a session to move there.

The engine's checks come first, as for every request. What is held before the channel opens is one
`_Attempt` for each offer, bounded in number and time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.rates import address_of
from nuncio.engine.refusal import TOO_MANY_REQUESTS, UNAVAILABLE
from nuncio.engine.request import Exchange, Receiver
from nuncio.engine.session import Session
from nuncio.engine.transport import Transport
from nuncio.engine.ways import Way, revision_of
from nuncio.engine.wheel import Timer
from nuncio.errors import PacketError, TransportError
from nuncio.webrtc import library
from nuncio.webrtc.link import Link
from nuncio.webrtc.offers import Offers
from nuncio.webrtc.options import WebRTCOptions
from nuncio.webrtc.sdp import Offer, read_offer
from nuncio.webrtc.transport import WebRTCTransport

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

logger = logging.getLogger("nuncio.engine")

SDP: Final = "application/sdp"

# When to try again after a refusal for want of room.
RETRY_SECONDS: Final = 5.0

_LOOPBACK: Final = ("127.", "::1", "::ffff:127.")


class WebRTCWay(Way):
    """WebRTC data channels."""

    name = "webrtc"
    method = "POST"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        library.load()
        self.options = WebRTCOptions.of(engine.options.webrtc)
        self.offers = Offers(self.options)
        self._answers: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attempts: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def open(self, exchange: Exchange, id: str) -> Transport | None:
        """See `Way.open`: the session begins later, when the channel opens."""
        self._begin(exchange, id, None)
        return None

    def attempt(self, exchange: Exchange) -> Transport | None:
        """See `Way.attempt`: the probe begins later, when the channel opens."""
        engine = self.engine
        session = engine.sessions[exchange.request.query["sid"]]
        if exchange.request.method != self.method:
            self._refuse(exchange, "BAD_HANDSHAKE_METHOD")
        elif not engine.may_probe(session, self.name):
            self._refuse(exchange, "TRANSPORT_MISMATCH", previous_transport=session.transport.name)
        else:
            self._begin(exchange, session.id, session)
        return None

    async def settle(self, seconds: float) -> None:
        """See `Way.settle`: nothing is to begin any more, and connections are being closed."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        for task in self._attempts:
            task.cancel()
        while (tasks := self._attempts | self._closing) and loop.time() < limit:
            # What ends may have something to close.
            await asyncio.wait(tasks, timeout=limit - loop.time())
        for task in self._closing:
            task.cancel()

    def run(self, attempt: Coroutine[Any, Any, None]) -> None:
        """Run what makes an offer a connection."""
        self._spawn(attempt, self._attempts)

    def finish(self, closing: Coroutine[Any, Any, None]) -> None:
        """Run what closes a connection."""
        self._spawn(closing, self._closing)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell_failure)

    @property
    def answers(self) -> asyncio.Semaphore:
        """Lets so many offers be answered at once; one for each loop."""
        loop = asyncio.get_running_loop()
        if self._answers is None or self._loop is not loop:
            self._answers = asyncio.Semaphore(self.options.answers)
            self._loop = loop
        return self._answers

    # Requests.

    def _begin(self, exchange: Exchange, id: str, session: Session | None) -> None:
        request = exchange.request
        content_type = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        length = request.header(b"content-length") or "0"
        if revision_of(request) != 4:
            # Older revisions know no such transport, whatever the server allows.
            self._refuse(exchange, "PROTOCOL_MISMATCH")
        elif content_type != SDP:
            self._refuse(exchange, "INVALID_CONTENT_TYPE", content_type=content_type)
        elif not length.isascii() or not length.isdigit() or len(length) > 10:
            self._refuse(exchange, "INVALID_CONTENT_LENGTH")
        elif int(length) > self.options.sdp_bytes:
            self.too_large(exchange)
        elif self._has_room(exchange, address := address_of(request.client)):
            exchange.receiver = _Attempt(self, exchange, id, session, address)

    def _has_room(self, exchange: Exchange, address: str) -> bool:
        engine = self.engine
        context: dict[str, object] = {"name": "TOO_MANY_OFFERS"}
        status = 0
        if self.offers.full:
            status = UNAVAILABLE
        elif self.offers.full_for(address):
            status = TOO_MANY_REQUESTS
            context["address"] = address
        if not status:
            return True
        engine.counters.refused_connections += 1
        engine.refusals.too_many(exchange, False, status, RETRY_SECONDS, context)
        return False

    def too_large(self, exchange: Exchange) -> None:
        """Refuse an offer for its size."""
        self.engine.counters.refused_requests += 1
        exchange.respond(413, [("Connection", "close")], b"")

    def _refuse(self, exchange: Exchange, name: str, **details: object) -> None:
        self.engine.refusals.bad_request(exchange, False, name, **details)

    def bad_offer(self, exchange: Exchange, why: PacketError) -> None:
        """Refuse an offer for what it says."""
        logger.debug("an offer of WebRTC was refused: %s", why)
        self._refuse(exchange, "INVALID_OFFER", error=why)

    def new_link(self, exchange: Exchange) -> Link:
        """For an offer that is about to be answered."""
        options = self.options
        limits = self.engine.options.limits
        return Link(
            self.finish,
            options.ice_servers,
            options.addresses,
            loopback=is_near(exchange),
            low=limits.high_water_bytes // 4,
            close_seconds=limits.close_seconds,
        )

    def respond(self, exchange: Exchange, answer: str, id: str, session: Session | None) -> None:
        """Answer an offer."""
        engine = self.engine
        if session is None and engine.cookie is not None:
            exchange.set_header("Set-Cookie", engine.cookie.header(id))
        engine.header_events.emit(exchange, initial=session is None)
        headers = [("Content-Type", SDP), ("Cache-Control", "no-store")]
        exchange.respond(201, headers, answer.encode())

    def connected(self, attempt: _Attempt, link: Link) -> None:
        """The channel is open: a session begins, or tries it."""
        engine = self.engine
        options = engine.options
        transport = WebRTCTransport(
            link,
            engine.config().flusher,
            options.max_http_buffer_size,
            options.limits.high_water_bytes,
        )
        session = attempt.session
        if session is not None:
            engine.probe(session, transport)
        elif not engine.begin_later(attempt.exchange.request, transport, attempt.id):
            transport.discard()
            return
        transport.resume_reading()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("a WebRTC connection failed", exc_info=task.exception())


def is_near(exchange: Exchange) -> bool:
    """Whether who asks may be on this machine."""
    client = exchange.request.client
    return client is None or client[0].startswith(_LOOPBACK)


class _Limit(Timer):
    """Ends an offer that is not complete in time."""

    def __init__(self, attempt: _Attempt) -> None:
        super().__init__()
        self._attempt = attempt

    def expire(self, now: float) -> None:
        self._attempt.expire()


class _Attempt(Receiver):
    """One offer, until its channel is open.

    Args:
        way: which takes it.
        exchange: the request.
        id: the session's, there or to be.
        session: which may move there; None for a new one.
        address: who is counted.
    """

    def __init__(
        self, way: WebRTCWay, exchange: Exchange, id: str, session: Session | None, address: str
    ) -> None:
        self._way = way
        self._address = address
        self._body = bytearray()
        self._gathering = True
        self._gone = False
        self._link: Link | None = None
        self.exchange = exchange
        self.id = id
        self.session = session
        self._limit = _Limit(self)
        way.offers.begin(address)
        way.engine.config().wheel.arm(self._limit, way.engine.options.upgrade_timeout)

    def when_ready(self, callback: Any) -> bool:
        """See `Receiver.when_ready`: there is always room."""
        return True

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """See `Receiver.body_chunk`."""
        if len(self._body) + len(data) > self._way.options.sdp_bytes:
            self._over()
            self._way.too_large(exchange)
        else:
            self._body += data

    def body_end(self, exchange: Exchange) -> None:
        """See `Receiver.body_end`."""
        way = self._way
        self._gathered()
        data = bytes(self._body)
        self._body.clear()
        try:
            offer = read_offer(data, way.options.candidates, loopback=is_near(exchange))
            if not way.offers.is_new(offer.key, way.engine.config().wheel.now()):
                raise PacketError("it was made before")
        except PacketError as error:
            self._over()
            way.bad_offer(exchange, error)
            return
        way.run(self._run(offer))

    def aborted(self, exchange: Exchange) -> None:
        """See `Receiver.aborted`."""
        self._gone = True
        if self._gathering:
            self._over()
        elif self._link is not None:
            self._link.abort()

    def expire(self) -> None:
        """The offer does not come to its end."""
        self._over()
        self.exchange.respond(408, [("Connection", "close")], b"")

    def _gathered(self) -> None:
        self._gathering = False
        self._way.engine.config().wheel.cancel(self._limit)

    def _over(self) -> None:
        if self._gathering:
            self._gathered()
        self._way.offers.end(self._address)

    async def _run(self, offer: Offer) -> None:
        """Answer, wait until the channel is open, and hand it over."""
        try:
            async with asyncio.timeout(self._way.engine.options.upgrade_timeout):
                await self._connect(offer)
        except PacketError as error:
            self._way.bad_offer(self.exchange, error)
        except (TransportError, TimeoutError) as error:
            logger.debug("a WebRTC connection did not open: %s", error)
        finally:
            self._over()
            if self._link is not None:
                self._link.abort()
            self.exchange.respond(503, [("Connection", "close")], b"")

    async def _connect(self, offer: Offer) -> None:
        way = self._way
        async with way.answers:
            if self._gone:
                return
            link = self._link = way.new_link(self.exchange)
            answer = await link.answer(offer)
        way.respond(self.exchange, answer, self.id, self.session)
        await link.opened
        self._link = None
        way.connected(self, link)
