"""The client's transport that reaches a server of the same process, without any network.

Above it everything is the real thing: the engine gets a request with headers, query and address, as
a host would make it of a WebSocket's handshake, and all its gates are asked.
"""

from __future__ import annotations

import asyncio
import itertools
from contextvars import copy_context
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nuncio.client.dial import Dial
from nuncio.client.transports import CLOSE_SECONDS, ClientTransport
from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.errors import TransportError
from nuncio.protocol.dialects import Dialect
from nuncio.testing.here import here
from nuncio.testing.network import Network
from nuncio.testing.wire import CLIENT, SERVER, End, Link

# As operating systems give them to clients; each attempt has another.
_FIRST_PORT: Final = 49152
_PORTS: Final = 16384

_numbers = itertools.count()


class Memory(ClientTransport):
    """A way to a server in memory; to both sides it is a WebSocket.

        manager = nuncio.Manager("http://localhost", transports=[nuncio.testing.Memory(engine)])

    Args:
        engine: the server's, as `io.engine`.
        network: what it runs through; None for one of its own.
        address: where the client comes from.

    Attributes:
        network: see above.
    """

    name = "websocket"

    def __init__(
        self, engine: Engine, network: Network | None = None, address: str = "127.0.0.1"
    ) -> None:
        self._engine = engine
        self._address = address
        self.network = Network() if network is None else network

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`."""
        at = here()
        if await at.serve(self._engine, again=False) and at.stage is not None:
            at.stage.serves(self._engine)
        at.networks.add(self.network)
        link = Link(
            self.network,
            asyncio.get_running_loop(),
            copy_context(),
            # What is set in a client's task does not travel.
            at.engines[self._engine].copy(),
        )
        self.network.add(link)
        try:
            return await self._knock(dial, link)
        except BaseException:
            link.cut()
            raise

    async def _knock(self, dial: Dial, link: Link) -> Transport:
        if not await self.network.pass_through(link, SERVER):
            raise self._unreached(dial, link)
        exchange = _Handshake(self._request(dial), self._engine, link)
        if self._engine.matches(exchange.request.path):
            self._ask(exchange, link)
        else:
            exchange.respond(404, [], b"Not Found")
        if not await link.unless_cut(exchange.answered):
            raise self._unreached(dial, link)
        if not await self.network.pass_through(link, CLIENT):
            raise self._unreached(dial, link)
        _keep_cookies(dial, exchange)
        if exchange.status != 101:
            raise dial.refused(exchange, exchange.body, self.name)
        limits = dial.options.limits
        return End(
            link.up,
            link.down,
            dial.tools.wheel,
            limits.high_water_bytes,
            limits.message_bytes,
            CLOSE_SECONDS,
            # Nobody is there yet to take it.
            reading=False,
        )

    def _ask(self, exchange: _Handshake, link: Link) -> None:
        context = link.up.context
        waiting = context.run(self._engine.handle, exchange, True)
        if waiting is not None:
            context.run(self._engine.spawn, waiting).add_done_callback(exchange.settled)

    def _unreached(self, dial: Dial, link: Link) -> TransportError:
        why = "the connection was cut" if link.is_cut else "connection refused"
        origin = dial.target.origin
        return TransportError(f"{self.name}: nobody can be reached at {origin}: {why}", self.name)

    def _request(self, dial: Dial) -> Request:
        url = urlsplit(dial.url(self.name))
        headers = {
            "Host": urlsplit(dial.target.origin).netloc,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
        }
        port = _FIRST_PORT + next(_numbers) % _PORTS
        return Request(
            "GET",
            unquote(url.path),
            url.query,
            [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in dial.headers(self.name, headers).items()
            ],
            (self._address, port),
            dial.target.secure,
        )


class _Handshake(Exchange):
    """A WebSocket's handshake in memory.

    Attributes:
        status: 101 when it was accepted.
        body: what the refusal says.
        answered: done when the engine has decided.
    """

    def __init__(self, request: Request, engine: Engine, link: Link) -> None:
        super().__init__(request)
        self._engine = engine
        self._link = link
        self.status = 0
        self.sent: list[tuple[str, str]] = []
        self.body = b""
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        """See `Exchange.alive`."""
        return not self._link.is_cut

    def accept(self, dialect: Dialect | None = None) -> Transport:
        """See `Exchange.accept`."""
        self.done = True
        self._answer(101, self.headers, b"")
        engine, link = self._engine, self._link
        limits = engine.options.limits
        return End(
            link.down,
            link.up,
            engine.config().wheel,
            limits.high_water_bytes,
            engine.options.max_http_buffer_size,
            limits.close_seconds,
            reading=True,
        )

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        self._answer(status, headers, body)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.sent, self.body = status, list(headers), body
        if not self.answered.done():
            self.answered.set_result(None)

    def settled(self, _: Any) -> None:
        """The engine's task has ended; hosts answer for one that failed."""
        if not self.done:
            self.respond(500, [], b"Internal Server Error")


def _keep_cookies(dial: Dial, exchange: _Handshake) -> None:
    """Do what an HTTP client does with the cookies of a response."""
    jar = dial.jar
    if jar is None:
        return
    from yarl import URL

    for name, value in exchange.sent:
        if name.lower() == "set-cookie":
            cookie: SimpleCookie = SimpleCookie()
            try:
                cookie.load(value)
            except CookieError:
                continue
            jar.update_cookies(cookie, URL(dial.target.origin + exchange.request.path))
