"""Long-polling from the client's side: a GET that waits for packets, POSTs that bring them.

There is one GET under way at any time and at most one POST. What is sent in one turn of the loop,
or while a POST is under way, leaves together, in as many bodies as the server's limit asks for. A
binary attachment is a packet like any other there, and may be in another body than its event.
"""

from __future__ import annotations

import asyncio
import logging
import re
from io import BytesIO
from typing import Any, Final

from nuncio.client.dial import Dial
from nuncio.client.http import OLD_SERVER, OldServer
from nuncio.engine.transport import Transport
from nuncio.errors import DisconnectReason, PacketError, TransportError
from nuncio.protocol.engineio import CLOSE_PACKET, SEPARATOR, Message, split_payload

logger = logging.getLogger("nuncio.client")

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

# Packets in one answer: a server that sends more sends nonsense.
MOST_PACKETS: Final = 1_000_000

# From this size a body is given to aiohttp as a file.
LARGE_BODY: Final = 2**20

# The first answer of revision 3 of Engine.IO: a length, and the handshake.
_OLD: Final = re.compile(rb"[0-9]+:0\{|\x00[\x00-\x09]+\xff0\{")

# How long the goodbye may take.
CLOSE_SECONDS: Final = 10.0

_GOODBYE: Final = Message(CLOSE_PACKET, control=True)


class ClientPolling(Transport):
    """One session over HTTP long-polling.

    Args:
        dial: how the server is reached.
    """

    def __init__(self, dial: Dial) -> None:
        super().__init__("polling")
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        # One packet each, and their bytes together.
        self._out: list[Message] = []
        self._size = 0
        self._arrived: list[bytes] = []
        self._polling: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._held = True
        self._delivering = False
        self._leaving = False
        self._closing = False
        self._closed = False
        self._limit: asyncio.TimerHandle | None = None

    # Receiving.

    async def first(self) -> None:
        """Send the first GET; its answer is kept until `resume_reading`.

        Raises:
            TransportError: when there is no answer, or one that is an error.
        """
        self._arrived = await self._get()

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if self._held:
            self._held = False
            self._loop.call_soon(self._go_on)

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`; packets that have arrived wait, too."""
        self._held = True

    def _go_on(self) -> None:
        """Deliver what has arrived, then wait for more."""
        if self._delivering:
            return
        self._delivering = True
        try:
            self._deliver()
        finally:
            self._delivering = False
        if self._arrived or self._held or self._leaving or self._closing or self._closed:
            return
        if self._polling is None:
            self._polling = self._loop.create_task(self._poll())

    def _deliver(self) -> None:
        arrived = self._arrived
        for index, packet in enumerate(arrived):
            if self._held or self.sink is None:
                self._arrived = arrived[index:] if self.sink is not None else []
                return
            self.sink.text(self, packet)
        self._arrived = []

    async def _poll(self) -> None:
        try:
            self._arrived = await self._get()
        except TransportError as error:
            self._polling = None
            # While it closes, what is still to be posted matters, and nothing that could arrive.
            if not self._closing:
                self._fail(error)
        except Exception as error:
            self._polling = None
            self._fail(_unexpected(error))
        else:
            self._polling = None
            self._go_on()

    async def _get(self) -> list[bytes]:
        dial = self._dial
        url = dial.url("polling")
        headers = dial.headers("polling", {"Accept": "*/*"})
        body = await self._answer("GET", url, headers, None)
        if not self._dial.sid and _OLD.match(body):
            raise OldServer(OLD_SERVER, "polling", 200)
        try:
            body.decode()
            return split_payload(body, MOST_PACKETS)
        except (UnicodeDecodeError, PacketError) as error:
            raise TransportError("polling: the answer is no payload", "polling", 200) from error

    async def _answer(
        self, method: str, url: str, headers: dict[str, str], data: bytes | BytesIO | None
    ) -> bytes:
        """The body of an answer, which is a success and not too long.

        Raises:
            TransportError: for any other.
        """
        seconds = self._dial.options_of("polling").request_timeout
        try:
            async with asyncio.timeout(seconds):
                response = await self._dial.request(method, url, headers, data)
                try:
                    if response.status != 200:
                        raise await self._dial.refusal(response, "polling")
                    return await self._body(response)
                finally:
                    response.release()
        except TimeoutError as error:
            raise TransportError(
                f"polling: no answer within {seconds} seconds", "polling"
            ) from error

    async def _body(self, response: Any) -> bytes:
        most = self._dial.options.limits.message_bytes
        parts: list[bytes] = []
        size = 0
        try:
            async for part in response.content.iter_any():
                size += len(part)
                if size > most:
                    raise TransportError(
                        f"polling: the server sent more than ClientLimits(message_bytes={most})",
                        "polling",
                        response.status,
                    )
                parts.append(part)
        except TransportError:
            response.close()
            raise
        except Exception as error:
            response.close()
            raise TransportError(f"polling: the answer was cut: {error!r}", "polling") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # Sending.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._closing or self._closed:
            return
        self._keep(message)
        if self._posting is None and not self.dirty:
            self._dial.tools.flusher.mark(self)

    def _keep(self, message: Message) -> None:
        attachments = message.attachments
        if attachments is None or (message.text is None and len(attachments) == 1):
            self._out.append(message)
        else:
            if message.text is not None:
                self._out.append(Message(message.text, None, message.compress))
            for attachment in attachments:
                self._out.append(Message(None, [attachment], message.compress))
        self._size += message.size
        if self._size >= self._dial.options.limits.high_water_bytes:
            # What follows waits in the session, whose buffer has a limit.
            self.writable = False

    def flush(self) -> None:
        """See `Transport.flush`."""
        if self._posting is not None or self._leaving or self._closed:
            return
        if not self._out and not self._closing:
            return
        self.writable = False
        self._posting = self._loop.create_task(self._post())

    async def _post(self) -> None:
        try:
            while self._out and not self._closed:
                await self._post_some()
                if self._leaving:
                    break
            if self._closing and not self._closed:
                # Apart, for servers end the session as soon as they see it.
                self._out = [_GOODBYE]
                await self._post_some()
        except TransportError as error:
            self._posting = None
            self._fail(error)
            return
        except Exception as error:
            self._posting = None
            self._fail(_unexpected(error))
            return
        self._posting = None
        if self._closing:
            self._end(TRANSPORT_CLOSE, "")
            return
        self.writable = True
        if self.sink is not None:
            self.sink.drained(self)

    async def _post_some(self) -> None:
        dial = self._dial
        packets = [message.payload() for message in self._out]
        count = fitting(packets, dial.max_payload)
        body = SEPARATOR.join(packets[:count])
        self._size -= sum(message.size for message in self._out[:count])
        del self._out[:count]
        headers = dial.headers(
            "polling", {"Accept": "*/*", "Content-Type": "text/plain;charset=UTF-8"}
        )
        # aiohttp wants to be told that much is not copied at once.
        large = len(body) > LARGE_BODY
        await self._answer("POST", dial.url("polling"), headers, BytesIO(body) if large else body)

    # Leaving it for another transport.

    async def leave(self) -> list[Message]:
        """Wait until nothing is under way, and begin nothing more.

        The server answers a GET that waits when another transport is probed.

        Returns:
            what was taken and not sent.
        """
        self._leaving = True
        for task in (self._polling, self._posting):
            if task is not None:
                await asyncio.wait([task])
        # What follows may not overtake what has arrived. It is handed over even where reading is
        # paused: those who are behind may be waiting for what is sent when the move is done.
        arrived, self._arrived = self._arrived, []
        for packet in arrived:
            if self.sink is not None:
                self.sink.text(self, packet)
        unsent = self._out
        self._out = []
        self._size = 0
        return unsent

    def come_back(self, unsent: list[Message]) -> None:
        """Go on: the other transport failed."""
        self._leaving = False
        self.writable = True
        waiting = [*unsent, *self._out]
        self._out = []
        self._size = 0
        for message in waiting:
            self._keep(message)
        self._go_on()
        self.flush()

    # Ending.

    def close(self) -> None:
        """See `Transport.close`: the goodbye is a POST of its own."""
        if self._closing or self._closed:
            return
        # A GET that waits is left alone: were it cut, the server would end the session at once,
        # with all that is still to be posted. It answers it when it has the goodbye.
        self._closing = True
        self._leaving = False
        # A server that does not answer is not waited for.
        self._limit = self._loop.call_later(CLOSE_SECONDS, self._end, TRANSPORT_CLOSE, "")
        if self._posting is None:
            self.flush()

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.abort()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self._closed = True
        self._out = []
        if self._limit is not None:
            self._limit.cancel()
        for task in (self._polling, self._posting):
            if task is not None:
                task.cancel()

    def _fail(self, error: TransportError) -> None:
        if self._closing:
            # The session is over; whether the server has heard it does not matter.
            self._end(TRANSPORT_CLOSE, "")
        else:
            self._end(TRANSPORT_ERROR, str(error))

    def _end(self, reason: str, description: str) -> None:
        sink = self.sink
        self.abort()
        if sink is not None:
            sink.ended(self, reason, description)


def _unexpected(error: Exception) -> TransportError:
    logger.error("long-polling failed in an unexpected way", exc_info=error)
    return TransportError(f"polling: it failed: {error!r}", "polling")


def fitting(packets: list[bytes], most: int) -> int:
    """How many packets go into one request; at least one, which the server may then refuse.

    Args:
        packets: in order.
        most: bytes that the server takes; 0 when it did not say.
    """
    if most <= 0:
        return len(packets)
    size = -len(SEPARATOR)
    for index, packet in enumerate(packets):
        size += len(SEPARATOR) + len(packet)
        if index and size > most:
            return index
    return len(packets)
