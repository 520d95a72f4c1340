"""Long-polling from the client's side: a GET that waits for packets, POSTs that bring them.

There is one GET under way at any time. What is sent is in `nuncio.client.upload`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from nuncio.client.dial import Dial
from nuncio.client.http import OLD_SERVER, OldServer
from nuncio.client.upload import UploadTransport
from nuncio.errors import PacketError, TransportError
from nuncio.protocol.engineio import Message, split_payload

# Packets in one answer: a server that sends more sends nonsense.
MOST_PACKETS: Final = 1_000_000

# The first answer of revision 3 of Engine.IO: a length, and the handshake.
_OLD: Final = re.compile(rb"[0-9]+:0\{|\x00[\x00-\x09]+\xff0\{")


class ClientPolling(UploadTransport):
    """One session over HTTP long-polling.

    Args:
        dial: how the server is reached.
    """

    def __init__(self, dial: Dial) -> None:
        super().__init__("polling", dial)
        self._arrived: list[bytes] = []
        self._held = True
        self._delivering = False

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
        if self._receiving is None:
            self._receiving = self._loop.create_task(self._poll())

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
            self._receiving = None
            # While it closes, what is still to be posted matters, and nothing that could arrive.
            if not self._closing:
                self._fail(error)
        except Exception as error:
            self._receiving = None
            self._fail(self._unexpected(error))
        else:
            self._receiving = None
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

    # Leaving it for another transport.

    async def leave(self) -> list[Message]:
        """Wait until nothing is under way, and begin nothing more.

        The server answers a GET that waits when another transport is probed.

        Returns:
            what was taken and not sent.
        """
        self._leaving = True
        for task in (self._receiving, self._posting):
            if task is not None:
                await asyncio.wait([task])
        # What follows may not overtake what has arrived. It is handed over even where reading is
        # paused: those who are behind may be waiting for what is sent when the move is done.
        arrived, self._arrived = self._arrived, []
        for packet in arrived:
            if self.sink is not None:
                self.sink.text(self, packet)
        return self._unsent()

    def come_back(self, unsent: list[Message]) -> None:
        """Go on: the other transport failed."""
        self._send_again(unsent)
        self._go_on()
        self.flush()
