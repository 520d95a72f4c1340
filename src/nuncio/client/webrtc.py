"""WebRTC data channels from the client's side (experimental; needs the extra `webrtc`)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Final

from nuncio.client.dial import Dial
from nuncio.client.transports import CLOSE_SECONDS, ClientTransport
from nuncio.engine.transport import Transport
from nuncio.errors import PacketError, TransportError
from nuncio.webrtc import library
from nuncio.webrtc.link import Link
from nuncio.webrtc.options import IceServer, check_addresses, check_ice_servers
from nuncio.webrtc.sdp import read_offer
from nuncio.webrtc.transport import WebRTCTransport

# How long it may take from the first request to the open channel.
OPEN_SECONDS: Final = 20.0

# The longest answer that is read, and how many candidates it may have.
MOST_SDP: Final = 65536
MOST_CANDIDATES: Final = 256


class WebRTC(ClientTransport):
    """A data channel to the server.

    Args:
        ice_servers: STUN and TURN servers, as browsers take them: URLs, or mappings with `urls`,
            `username` and `credential`.
        addresses: the addresses of this machine at which the server may reach it; None for those of
            all network interfaces.

    Raises:
        OptionError: when aiortc is not installed, and for values that cannot be.
    """

    name: ClassVar[str] = "webrtc"

    def __init__(
        self, ice_servers: Sequence[IceServer] = (), addresses: Sequence[str] | None = None
    ) -> None:
        check_ice_servers(ice_servers)
        check_addresses(addresses)
        library.load()
        self._ice_servers = ice_servers
        self._addresses = addresses

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`: an offer, its answer, and the channel."""
        options = dial.options_of(self.name)
        limits = options.limits

        def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
            # Who closes the client waits for these.
            task = asyncio.ensure_future(coroutine)
            dial.tools.closing.add(task)
            task.add_done_callback(dial.tools.closing.discard)

        link = Link(
            spawn,
            self._ice_servers,
            self._addresses,
            loopback=_is_near(dial.target.host),
            low=limits.high_water_bytes // 4,
            close_seconds=CLOSE_SECONDS,
        )
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                answer = await self._ask(dial, await link.offer())
                await link.accept(read_offer(answer, MOST_CANDIDATES, loopback=True))
                await link.opened
        except PacketError as error:
            link.abort()
            raise TransportError(
                f"webrtc: the server's answer is wrong: {error}", "webrtc"
            ) from error
        except TimeoutError as error:
            link.abort()
            raise TransportError(
                "webrtc: the server cannot be reached by UDP, or not in time", "webrtc"
            ) from error
        except BaseException:
            link.abort()
            raise
        return WebRTCTransport(
            link, dial.tools.flusher, limits.message_bytes, limits.high_water_bytes
        )

    async def _ask(self, dial: Dial, offer: str) -> bytes:
        """The server's answer to an offer.

        Raises:
            TransportError: when there is none.
        """
        headers = dial.headers(self.name, {"Accept": "*/*", "Content-Type": "application/sdp"})
        url = dial.url(self.name)
        response = await dial.request("POST", url, headers, offer.encode(), self.name)
        try:
            if response.status != 201:
                raise await dial.refusal(response, self.name)
            return await _body(response)
        finally:
            response.release()


async def _body(response: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_any():
            size += len(part)
            if size > MOST_SDP:
                raise PacketError(f"it is longer than {MOST_SDP} bytes")
            parts.append(part)
    except PacketError:
        response.close()
        raise
    except Exception as error:
        response.close()
        raise TransportError(f"webrtc: the answer was cut: {error!r}", "webrtc") from error
    return b"".join(parts)


def _is_near(host: str) -> bool:
    """Whether a server is on this machine, as far as its name tells."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
