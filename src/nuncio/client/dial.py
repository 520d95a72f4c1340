"""One attempt to connect: where to, with which headers, and through what.

What may change between attempts, as headers that a function gives, is asked once for each and then
the same for all its requests.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies, proxy_bypass

from nuncio.client.checks import checked_cookies, checked_headers
from nuncio.client.http import MOST_REDIRECTS, Pool, acquire, close, explain, new_session, release
from nuncio.client.options import ManagerOptions
from nuncio.client.tools import Tools
from nuncio.client.tunnel import connector, open_tunnel
from nuncio.client.url import Target, encode_query, query_pairs
from nuncio.errors import TransportError

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

logger = logging.getLogger("nuncio.client")

_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

# So much of an answer that is an error may be shown.
SHOWN_BODY: Final = 500


class Dial:
    """What transports need to reach the server.

    Attributes:
        target: the server.
        options: the Manager's.
        tools: the loop's.
        sid: the session's secret id once there is one.
        max_payload: bytes that the server takes in one request; 0 when it did not say.
    """

    def __init__(self, target: Target, options: ManagerOptions, tools: Tools, jar: Any) -> None:
        self.target = target
        self.options = options
        self.tools = tools
        self.sid = ""
        self.max_payload = 0
        self.jar = jar
        self._headers: dict[str, str] = {}
        self._ssl: Any = None
        self._pool: Pool | None = None
        self._tunnels: list[Any] = []
        self._ready = False
        path = options.path.rstrip("/")
        self._path = path + "/" if options.add_trailing_slash else path

    async def prepare(self) -> None:
        """Ask for the headers, and get ready to send requests.

        Raises:
            TransportError: when the function that gives the headers fails.
            OptionError: for headers that cannot be, and files of TLS that cannot be read.
        """
        given: Any = self.options.extra_headers
        if callable(given):
            try:
                given = given()
                if hasattr(given, "__await__"):
                    given = await given
            except Exception as error:
                raise TransportError(f"extra_headers failed: {error!r}") from error
        self._headers = checked_headers(given or {})
        self._ssl = self.options.ssl_context() if self.target.secure else True
        self._ready = True

    def done(self) -> None:
        """No request will follow."""
        self._ready = False
        pool = self._pool
        self._pool = None
        if pool is not None:
            release(self.tools, pool)
        tunnels, self._tunnels = self._tunnels, []
        for session in tunnels:
            close(self.tools, session)

    def options_of(self, transport: str) -> ManagerOptions:
        """The options for one transport, by its name: `transport_options` may say otherwise."""
        return self.options.of_transport(transport)

    def url(self, transport: str, scheme: str = "http") -> str:
        """The URL of one request.

        Args:
            transport: its name.
            scheme: `http` or `ws`; an `s` is added where the server is reached by TLS.
        """
        options = self.options_of(transport)
        # As in the reference, the URL's own query wins as a whole.
        query = self.target.query or query_pairs(options.query)
        ours = [("EIO", "4"), ("transport", transport)]
        stamped = options.timestamp_requests
        if stamped or (stamped is None and transport == "polling"):
            ours.append((options.timestamp_param, _stamp()))
        if options.force_base64:
            ours.append(("b64", "1"))
        if self.sid:
            ours.append(("sid", self.sid))
        names = {name for name, _ in ours}
        pairs = [pair for pair in query if pair[0] not in names] + ours
        target = self.target
        origin = target.origin if scheme == "http" else "ws" + target.origin[4:]
        return f"{origin}{self._path}?{encode_query(pairs)}"

    def headers(self, transport: str, more: dict[str, str] | None = None) -> dict[str, str]:
        """The headers of one request.

        Args:
            transport: its name; `transport_options` may have headers for it alone.
            more: further ones.
        """
        own = self.options.transport_options.get(transport, {}).get("extra_headers", {})
        # By names in small letters, for in HTTP they are the same.
        headers: dict[str, tuple[str, str]] = {}
        for source in (more or {}, self._headers, checked_headers(own)):
            for name, value in source.items():
                headers[name.lower()] = (name, value)
        cookies = "" if "cookie" in headers else self._cookies()
        if cookies:
            headers["cookie"] = ("Cookie", cookies)
        return dict(headers.values())

    def _cookies(self) -> str:
        from yarl import URL

        found = checked_cookies(self.options.cookies or {})
        if self.jar is not None:
            kept: SimpleCookie = self.jar.filter_cookies(URL(self.target.origin + self._path))
            found.update({name: morsel.value for name, morsel in kept.items()})
        return "; ".join(f"{name}={value}" for name, value in found.items())

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | BytesIO | None = None,
        transport: str = "polling",
    ) -> Any:
        """Send a request; returns aiohttp's response, of which the head has arrived.

        Raises:
            TransportError: when there is no answer.
        """
        from yarl import URL

        if not self._ready:
            raise TransportError("the connection was closed", transport)
        pool = self._pool
        if pool is None:
            # Here, for there are transports that send no request.
            pool = self._pool = acquire(self.tools)
        options = self.options_of(transport)
        aiohttp = pool.aiohttp
        session, proxy = pool.session, self._proxy(options)
        for_proxy: dict[str, str] = {}
        if proxy is not None and not self.target.secure:
            if transport == "websocket" and proxy.startswith("http:"):
                session, proxy = await self._tunnel(proxy, options.proxy_headers), None
            else:
                session = pool.fresh
                for_proxy = _to_proxy(options.proxy_headers)
        try:
            response = await session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers={**headers, **for_proxy} if for_proxy else headers,
                # What is for the proxy must not travel on to where a redirect leads.
                allow_redirects=method == "GET" and not for_proxy,
                max_redirects=MOST_REDIRECTS,
                ssl=self._ssl,
                server_hostname=options.server_hostname,
                proxy=proxy,
                proxy_headers=options.proxy_headers,
                read_until_eof=transport != "websocket",
            )
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            why = explain(error, self.target.assumed, self.target.origin)
            raise TransportError(f"{transport}: {why}", transport) from error
        if self.jar is not None and response.cookies:
            self.jar.update_cookies(_with_deleted(response.cookies), response.url)
        return response

    async def _tunnel(self, proxy: str, headers: Mapping[str, str] | None) -> Any:
        """A session for one request, which goes through a tunnel.

        Raises:
            TransportError: when the proxy does not make one.
        """
        sock = await open_tunnel(proxy, self.target.host, self.target.port, headers)
        session = new_session(connector(sock))
        self._tunnels.append(session)
        return session

    def _proxy(self, options: ManagerOptions) -> str | None:
        if options.proxy is not None or not options.trust_env:
            return options.proxy
        if proxy_bypass(self.target.host.strip("[]")):
            return None
        return getproxies().get("https" if self.target.secure else "http")

    async def refusal(self, response: Any, transport: str) -> TransportError:
        """The error for an answer with a status that is no success.

        Of the answer's body only the beginning is read, whatever goes wrong meanwhile.
        """
        body = b""
        try:
            while len(body) < SHOWN_BODY:
                part = await response.content.read(SHOWN_BODY - len(body))
                if not part:
                    break
                body += part
        except Exception as error:
            logger.debug("%s: an answer with an error was cut: %r", transport, error)
        return self.refused(response, body, transport)

    def refused(self, response: Any, body: bytes, transport: str) -> TransportError:
        """The same, where the beginning of the body is known."""
        text = body[:SHOWN_BODY].decode("utf-8", "replace")
        status: int = response.status
        return TransportError(
            f"{transport}: {self.target.origin}{self._path} answered with status {status}"
            f"{_hint(status, text)}",
            transport,
            status,
            text,
        )


def _with_deleted(cookies: SimpleCookie) -> SimpleCookie:
    """The cookies of a response; aiohttp's jar takes 1970, which deletes a cookie, for no date."""
    for cookie in cookies.values():
        if "1970" in cookie["expires"] and not cookie["max-age"]:
            cookie["max-age"] = "0"
    return cookies


def _to_proxy(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Those of a proxy's headers that are not for the server, though its request carries them."""
    given = headers or {}
    return {name: value for name, value in given.items() if name.lower().startswith("proxy-")}


def new_jar() -> Any:
    """Keeps cookies that a server sets."""
    import aiohttp

    # Servers that are addressed by number set cookies, too.
    return aiohttp.CookieJar(unsafe=True)


def _hint(status: int, text: str) -> str:
    words = " ".join(text.split())
    said = f": {words}" if words and not words.startswith("<") else ""
    if status == 404:
        return f"{said}; is Socket.IO served there? Its path is the option path='/socket.io'"
    return said


def _stamp() -> str:
    number = int(time.time() * 1000) % 36**8
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits + "".join(random.choices(_BASE36, k=3))
