"""What a client sends over transports made of requests: packets in the bodies of POSTs.

There is at most one POST under way. What is sent in one turn of the loop, or while a POST is under
way, leaves together, in as many bodies as the server's limit asks for. A binary attachment is a
packet like any other there, and may be in another body than its event.
"""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from typing import Any, Final

from nuncio.client.dial import Dial
from nuncio.engine.transport import Transport
from nuncio.errors import DisconnectReason, TransportError
from nuncio.protocol.engineio import CLOSE_PACKET, SEPARATOR, Message

logger = logging.getLogger("nuncio.client")

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

# From this size a body is given to aiohttp as a file.
LARGE_BODY: Final = 2**20

# How long the goodbye may take.
CLOSE_SECONDS: Final = 10.0

PAYLOAD_TYPE: Final = "text/plain;charset=UTF-8"

_GOODBYE: Final = Message(CLOSE_PACKET, control=True)


class UploadTransport(Transport):
    """One session over HTTP, as far as what it sends goes.

    Args:
        name: the transport's.
        dial: how the server is reached.
    """

    def __init__(self, name: str, dial: Dial) -> None:
        super().__init__(name)
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        # One packet each, and their bytes together.
        self._out: list[Message] = []
        self._size = 0
        self._receiving: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._leaving = False
        self._closing = False
        self._closed = False
        self._limit: asyncio.TimerHandle | None = None

    # Requests.

    async def _answer(
        self, method: str, url: str, headers: dict[str, str], data: bytes | BytesIO | None
    ) -> bytes:
        """The body of an answer, which is a success and not too long.

        Raises:
            TransportError: for any other.
        """
        seconds = self._dial.options_of(self.name).request_timeout
        try:
            async with asyncio.timeout(seconds):
                response = await self._dial.request(method, url, headers, data, self.name)
                try:
                    if response.status != 200:
                        raise await self._dial.refusal(response, self.name)
                    return await self._body(response)
                finally:
                    response.release()
        except TimeoutError as error:
            raise TransportError(
                f"{self.name}: no answer within {seconds} seconds", self.name
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
                        f"{self.name}: the server sent more than "
                        f"ClientLimits(message_bytes={most})",
                        self.name,
                        response.status,
                    )
                parts.append(part)
        except TransportError:
            response.close()
            raise
        except Exception as error:
            response.close()
            raise TransportError(
                f"{self.name}: the answer was cut: {error!r}", self.name
            ) from error
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
            self._fail(self._unexpected(error))
            return
        self._posting = None
        if self._closing:
            self._end(TRANSPORT_CLOSE, "")
            return
        self.writable = True
        if self.sink is not None:
            self.sink.drained(self)

    async def _post_some(self) -> None:
        packets = [message.payload() for message in self._out]
        count = self._take(packets)
        await self._upload(SEPARATOR.join(packets[:count]), PAYLOAD_TYPE)

    def _take(self, packets: list[bytes]) -> int:
        """Take away what goes into one request, and say how many packets that is.

        Args:
            packets: all that waits, as it would be sent.
        """
        count = fitting(packets, self._dial.max_payload)
        self._size -= sum(message.size for message in self._out[:count])
        del self._out[:count]
        return count

    async def _upload(self, body: bytes, content_type: str) -> None:
        """Send one body, and wait for its answer.

        Raises:
            TransportError: when it was not taken.
        """
        dial = self._dial
        headers = dial.headers(self.name, {"Accept": "*/*", "Content-Type": content_type})
        # aiohttp wants to be told that much is not copied at once.
        data = BytesIO(body) if len(body) > LARGE_BODY else body
        await self._answer("POST", self._upload_url(), headers, data)

    def _upload_url(self) -> str:
        return self._dial.url(self.name)

    def _unsent(self) -> list[Message]:
        unsent = self._out
        self._out = []
        self._size = 0
        return unsent

    def _send_again(self, unsent: list[Message]) -> None:
        """Take what was not sent when the transport was to be left."""
        self._leaving = False
        self.writable = True
        for message in [*unsent, *self._unsent()]:
            self._keep(message)

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
        for task in (self._receiving, self._posting):
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

    def _unexpected(self, error: Exception) -> TransportError:
        logger.error("%s failed in an unexpected way", self.name, exc_info=error)
        return TransportError(f"{self.name}: it failed: {error!r}", self.name)


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
