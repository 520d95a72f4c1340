"""The client's transports: a class for each way to the server, and their names.

A transport class has a `name` and one method, `open`, which brings a `nuncio.engine.transport`
transport that is connected and does not read yet: the session takes it and lets it read. It may be
given in place of its name, `transports=[WebSocket]`, and so may anybody's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Final

from nuncio.client.dial import Dial
from nuncio.client.downstream import ClientDown
from nuncio.client.frames import ClientWebSocket
from nuncio.client.http import take_over
from nuncio.client.polling import ClientPolling
from nuncio.client.readings import ForeverReading, Reading, SSEReading, StreamReading
from nuncio.engine.transport import Transport
from nuncio.errors import OptionError, TransportError
from nuncio.options import did_you_mean
from nuncio.protocol import handshake
from nuncio.protocol.deflate import accept_client, offer_client
from nuncio.protocol.frames import FrameReader

# How long a server may take to answer the close frame.
CLOSE_SECONDS: Final = 10.0


class ClientTransport:
    """One way to reach a server. Derive from it to write your own.

    Attributes:
        name: what the server calls it, in the parameter `transport` and among the upgrades.
        requests: whether it goes on making requests by its `Dial` once it is open.
    """

    name: ClassVar[str] = ""
    requests: ClassVar[bool] = False

    async def open(self, dial: Dial) -> Transport:
        """Connect.

        Args:
            dial: where to, with what. With `dial.sid` the session exists already, and this
                transport is to be probed.

        Returns:
            A transport that is connected and does not read until `resume_reading` is called.

        Raises:
            TransportError: when that is not possible.
        """
        raise NotImplementedError(f"{type(self).__name__} must define open(dial)")


class Polling(ClientTransport):
    """HTTP long-polling."""

    name = "polling"
    requests = True

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`: the first answer is the session's handshake."""
        polling = ClientPolling(dial)
        await polling.first()
        return polling


class WebSocket(ClientTransport):
    """WebSocket (RFC 6455): aiohttp sends the handshake, the frames are Nuncio's own."""

    name = "websocket"

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`."""
        options = dial.options_of(self.name)
        deflate = options.deflate()
        key = handshake.make_key()
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": handshake.VERSION,
            "Sec-WebSocket-Key": key,
        }
        if deflate is not None:
            headers["Sec-WebSocket-Extensions"] = offer_client(deflate)
        if options.protocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(options.protocols)
        url = dial.url("websocket")
        response = await dial.request(
            "GET", url, dial.headers("websocket", headers), None, self.name
        )
        if response.status != 101:
            try:
                raise await dial.refusal(response, self.name)
            finally:
                response.close()
        answer = {name.lower(): value for name, value in response.headers.items()}
        try:
            handshake.check_response(101, answer, key, options.protocols)
            agreed = None
            extensions = answer.get("sec-websocket-extensions", "")
            if deflate is not None:
                agreed = accept_client(extensions, deflate)
            elif extensions:
                raise handshake.HandshakeError(
                    101, "the server chose an extension, none was offered"
                )
            io, tail = take_over(response)
        except handshake.HandshakeError as error:
            raise TransportError(f"websocket: {error}", self.name, 101) from error
        finally:
            # What was taken over is not its own any more.
            response.close()
        limits = options.limits
        io.set_write_buffer_limits(high=limits.high_water_bytes)
        tools = dial.tools
        transport = ClientWebSocket(
            io,
            tools.flusher,
            tools.wheel,
            FrameReader(limits.message_bytes, False, inflater=agreed),
            CLOSE_SECONDS,
            agreed,
            0 if deflate is None else deflate.threshold,
            tools.keys,
        )
        io.set_protocol(transport)
        io.resume_reading()
        if tail:
            transport.data_received(tail)
        return transport


class Down(ClientTransport):
    """A response that stays open, and POSTs. What `Stream`, `SSE` and `Forever` have in common.

    Attributes:
        reading: how the response is read.
    """

    requests = True
    reading: ClassVar[type[Reading]]

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`."""
        down = ClientDown(self.name, dial, self.reading)
        await down.first()
        return down


class Stream(Down):
    """HTTP streaming: packets one after the other in one long response."""

    name = "stream"
    reading = StreamReading


class SSE(Down):
    """Server-sent events: one long response that is an event stream."""

    name = "sse"
    reading = SSEReading


class Forever(Down):
    """The forever frame: one long response that is a document of scripts, meant for browsers."""

    name = "forever"
    reading = ForeverReading


KNOWN: Final[dict[str, type[ClientTransport]]] = {
    kind.name: kind for kind in (Polling, WebSocket, Stream, SSE, Forever)
}

# Those that need an extra or are rarely asked for; what is not asked for is not imported.
_LATER: Final[dict[str, tuple[str, str]]] = {
    "webtransport": ("nuncio.client.webtransport", "WebTransport"),
    "webrtc": ("nuncio.client.webrtc", "WebRTC"),
}


def _named(name: str) -> type[ClientTransport] | None:
    """The class of this name."""
    kind = KNOWN.get(name)
    if kind is None and name in _LATER:
        module, cls = _LATER[name]
        kind = KNOWN[name] = getattr(import_module(module), cls)
    return kind


def chosen(transports: Sequence[Any]) -> list[ClientTransport]:
    """The transports that the option names; of those with the same name, the first.

    Raises:
        OptionError: for what is neither the name of one nor a class, and for one whose extra is
            not installed.
    """
    found: list[ClientTransport] = []
    names: set[str] = set()
    for entry in transports:
        kind: Any = _named(entry) if isinstance(entry, str) else entry
        if isinstance(kind, type) and issubclass(kind, ClientTransport):
            kind = kind()
        if isinstance(kind, ClientTransport):
            if not kind.name:
                raise OptionError(f"transports: {kind!r} has no name")
            if kind.name not in names:
                names.add(kind.name)
                found.append(kind)
        else:
            names_known = list(dict.fromkeys((*KNOWN, *_LATER)))
            hint = did_you_mean(str(entry), names_known) or f"there are {', '.join(names_known)}"
            raise OptionError(f"transports: there is no {entry!r}; {hint}")
    return found
