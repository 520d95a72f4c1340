"""Responses that stay open, from the client's side: `stream`, `sse` and `forever`.

One GET is open at any time, whose body brings packets. When it ends the next one says which packets
have come, and the server goes on behind them, so a response that was cut loses nothing. POSTs bear
numbers, by which the server knows one that comes twice, and are repeated until they are answered.
How long that may go on is the session's business: it ends when the server has been silent for too
long.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any, Final

from nuncio.client.dial import Dial
from nuncio.client.readings import Reading
from nuncio.client.upload import PAYLOAD_TYPE, UploadTransport, logger
from nuncio.errors import PacketError, TransportError
from nuncio.protocol.bytestream import Packet, message_stream
from nuncio.protocol.engineio import SEPARATOR, Message

FRAMES_TYPE: Final = "application/octet-stream"

# Between attempts after a failure: the first, doubled each time, and the longest.
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0

# Servers write something every 15 seconds, if only to show that they are there.
SILENCE_SECONDS: Final = 40.0

# How long a server may take to end its response once the other transport works.
LEAVE_SECONDS: Final = 10.0

# Between requests of which the last has brought nothing.
PAUSE_SECONDS: Final = 0.02


class Refused(TransportError):
    """What makes no sense to be tried again."""


class ClientDown(UploadTransport):
    """One session over responses that stay open.

    Args:
        name: `stream`, `sse` or `forever`.
        dial: how the server is reached.
        reading: how responses are read.
    """

    def __init__(self, name: str, dial: Dial, reading: type[Reading]) -> None:
        super().__init__(name, dial)
        self._reading = reading
        self._response: Any = None
        self._count = 0
        self._seq = 0
        self._delay = 0.0
        self._arrived: deque[Packet] = deque()
        self._held = True
        self._delivering = False
        self._freed = asyncio.Event()

    # Receiving.

    async def first(self) -> None:
        """Send the first GET; what it brings is read once `resume_reading` is called.

        Raises:
            TransportError: when there is no answer, or one that is an error.
        """
        self._response = await self._get()

    async def _get(self) -> Any:
        """A response that has begun.

        Raises:
            TransportError: when there is none.
        """
        dial = self._dial
        reading = self._reading
        url = dial.url(self.name) + reading.parameters
        if dial.sid:
            url += f"&ack={self._count}"
        # What is compressed on the way is also held back there.
        headers = dial.headers(self.name, {"Accept": reading.media, "Accept-Encoding": "identity"})
        seconds = dial.options_of(self.name).request_timeout
        try:
            async with asyncio.timeout(seconds):
                response = await dial.request("GET", url, headers, None, self.name)
                if response.status == 200:
                    return self._checked(response)
                try:
                    raise _judged(await dial.refusal(response, self.name))
                finally:
                    response.close()
        except TimeoutError as error:
            raise TransportError(
                f"{self.name}: no answer within {seconds} seconds", self.name
            ) from error

    def _checked(self, response: Any) -> Any:
        media = response.content_type
        if media != self._reading.media:
            response.close()
            raise Refused(
                f"{self.name}: the answer is {media}, not {self._reading.media}", self.name, 200
            )
        return response

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if self._held:
            self._held = False
            self._loop.call_soon(self._go_on)

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`; packets that have arrived wait, too."""
        self._held = True

    def _go_on(self) -> None:
        self._deliver()
        if not self._held:
            self._freed.set()
        ended = self._held or self._leaving or self._closing or self._closed
        if self._receiving is None and not ended:
            self._receiving = self._loop.create_task(self._receive())

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._arrived and self.sink is not None:
                # Those who are behind may be waiting for what is sent when the move is done.
                if self._held and not self._leaving:
                    return
                packet = self._arrived.popleft()
                if packet.binary:
                    self.sink.binary(self, packet.data)
                else:
                    self.sink.text(self, packet.data)
        finally:
            self._delivering = False

    async def _receive(self) -> None:
        try:
            while not self._closing and not self._closed:
                whole = await self._receive_one()
                if whole and self._leaving:
                    break
                await asyncio.sleep(self._delay)
        except TransportError as error:
            self._receiving = None
            # While it closes, what is still to be posted matters, and nothing that could arrive.
            if not self._closing:
                self._fail(error)
        except Exception as error:
            self._receiving = None
            self._fail(self._unexpected(error))
        else:
            self._receiving = None

    async def _receive_one(self) -> bool:
        """Read one response to its end.

        Returns:
            Whether it was complete; otherwise something may be missing, or there was none.

        Raises:
            Refused: when there is no point in trying again.
        """
        response, self._response = self._response, None
        before = self._count
        whole = False
        try:
            if response is None:
                response = await self._get()
            reading = self._reading(before, self._dial.options.limits.message_bytes)
            await self._read(response, reading)
            whole = reading.ended
        except PacketError as error:
            raise Refused(f"{self.name}: {error}", self.name, 200) from error
        except Refused:
            raise
        except TransportError as error:
            # Without a session there is nothing to come back to.
            if not self._dial.sid or self._closing or self._closed:
                raise
            logger.debug("%s: the next response is asked for: %s", self.name, error)
        if not self._dial.sid:
            raise Refused(f"{self.name}: the answer ended before the handshake", self.name, 200)
        if self._count > before:
            self._delay = 0.0 if whole else FIRST_DELAY
        elif whole:
            self._delay = PAUSE_SECONDS
        else:
            self._delay = _longer(self._delay)
        return whole

    async def _read(self, response: Any, reading: Reading) -> None:
        loop = self._loop
        try:
            async with asyncio.timeout(SILENCE_SECONDS) as limit:
                async for data in response.content.iter_any():
                    self._arrived += reading.feed(data)
                    self._count = reading.count
                    self._deliver()
                    if reading.ended or self._closed:
                        break
                    if self._held and not self._leaving:
                        limit.reschedule(None)
                        await self._wait_until_freed()
                    limit.reschedule(loop.time() + SILENCE_SECONDS)
        except PacketError:
            raise
        except Exception as error:
            # Cut, or silent; aiohttp and systems have many words for that.
            response.close()
            raise TransportError(
                f"{self.name}: the answer was cut: {error!r}", self.name
            ) from error
        finally:
            # The connection serves again only where the body has ended.
            response.release()

    async def _wait_until_freed(self) -> None:
        while self._held and not self._leaving and not self._closed:
            self._freed.clear()
            await self._freed.wait()

    # Sending.

    async def _post_some(self) -> None:
        plain = all(_is_plain(message) for message in self._out)
        if plain:
            packets = [message.payload() for message in self._out]
        else:
            packets = [message_stream(message) for message in self._out]
        count = self._take(packets)
        self._seq += 1
        body = SEPARATOR.join(packets[:count]) if plain else b"".join(packets[:count])
        await self._upload(body, PAYLOAD_TYPE if plain else FRAMES_TYPE)

    async def _upload(self, body: bytes, content_type: str) -> None:
        """See `UploadTransport._upload`: it is repeated until there is an answer."""
        delay = 0.0
        while True:
            try:
                await super()._upload(body, content_type)
                return
            except TransportError as error:
                judged = _judged(error)
                if isinstance(judged, Refused):
                    raise judged from error
                if self._closed:
                    raise
                logger.debug("%s: a request is repeated: %s", self.name, error)
            delay = _longer(delay)
            await asyncio.sleep(delay)

    def _upload_url(self) -> str:
        return f"{self._dial.url(self.name)}&ack={self._count}&seq={self._seq}"

    # Leaving it for another transport.

    async def leave(self) -> list[Message]:
        """Come to rest: the server ends its response, and everything has arrived.

        Returns:
            What was not sent.

        Raises:
            TransportError: when the server does not; it goes on then.
        """
        self._leaving = True
        self._freed.set()
        self._deliver()
        tasks = [task for task in (self._receiving, self._posting) if task is not None]
        if tasks:
            _, busy = await asyncio.wait(tasks, timeout=LEAVE_SECONDS)
            if busy:
                self.come_back([])
                raise TransportError(
                    f"{self.name}: the server did not end its answer for the move", self.name
                )
        self._deliver()
        return self._unsent()

    def come_back(self, unsent: list[Message]) -> None:
        """Go on: the other transport failed."""
        self._send_again(unsent)
        self._go_on()
        self.flush()

    # Ending.

    def abort(self) -> None:
        """See `Transport.abort`."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
        super().abort()


def _is_plain(message: Message) -> bool:
    """Whether a payload of text carries it as it is."""
    return message.attachments is None and SEPARATOR not in (message.text or b"")


def _judged(error: TransportError) -> TransportError:
    """The same error, as one of those after which nothing is tried again, if it is one."""
    if 400 <= error.status < 500:
        return Refused(str(error), error.transport, error.status, error.body)
    return error


def _longer(delay: float) -> float:
    """The next delay, a little by chance, so that not all clients come back at once."""
    return min(max(FIRST_DELAY, delay * 2), LONGEST_DELAY) * random.uniform(0.75, 1.0)
