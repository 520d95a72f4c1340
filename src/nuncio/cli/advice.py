"""What went wrong when a server was not reached or refused, and what to do about it.

The client tells how it failed; here that becomes words for somebody who sits before a terminal and
has options at hand.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from nuncio.cli import text
from nuncio.cli.settings import Settings
from nuncio.errors import ConnectError, ConnectTimeout, TransportError

_GATEWAY: Final = (502, 503, 504)
_PATH_OR_NAMESPACE: Final = "--path says where it is; the path of the URL is the namespace."


@dataclass(frozen=True)
class Advice:
    """What to tell.

    Attributes:
        message: what happened, in one line.
        hints: what to do, in lines.
    """

    message: str
    hints: tuple[str, ...] = ()


# What a request met that reached another process than the one with its session.
_STRAYED: Final = (
    "A request reached a process that does not know this session. If there are several:",
    "do they meet (nuncio serve --workers, --meet), at the same place, with the same secret?",
    "Otherwise the server was started anew meanwhile.",
)


def advise(
    error: ConnectError,
    settings: Settings,
    namespace: str,
    *,
    opened: bool = False,
    stays: bool = False,
) -> Advice:
    """Explain a failure.

    Args:
        error: how it failed.
        settings: what was tried.
        namespace: where.
        opened: whether there was a connection, and it ended before the namespace was joined.
        stays: whether the tool goes on, with what else is connected.
    """
    if isinstance(error, ConnectTimeout):
        return Advice(
            f"no answer from {settings.url} within {text.seconds(error.seconds)}",
            ("Is it this port? A firewall may swallow what is sent. --timeout gives more time.",),
        )
    if not isinstance(error, TransportError):
        return _refused(error, settings, namespace, stays)
    if error.status:
        return _status(error, settings)
    if "Session ID unknown" in error.message:
        return Advice(error.message, _STRAYED)
    if opened:
        other = "json" if settings.parser == "msgpack" else "msgpack"
        return Advice(error.message, (f"Has the server another parser? Try --parser {other}",))
    for cause in _causes(error):
        found = _cause(cause, settings)
        if found is not None:
            return found
    return Advice(error.message, tuple(_perhaps_tls(settings)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, and the system's errors that these carry."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        carried = getattr(seen, "os_error", None)
        if isinstance(carried, BaseException):
            yield carried
        seen = seen.__cause__ or seen.__context__


def _cause(cause: BaseException, settings: Settings) -> Advice | None:
    """What a cause explains, if it does."""
    # Imported by the client when it connects.
    from aiohttp import ClientProxyConnectionError

    parts = urlsplit(settings.url)
    if isinstance(cause, ClientProxyConnectionError):
        # Without the password that may be in its URL.
        proxy = urlsplit(settings.manager.get("proxy") or "")
        return Advice(
            f"the proxy is not reached: {proxy.hostname}, port {proxy.port}",
            ("Is it running, and is this its port?",),
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Advice(
            f"the certificate of {parts.netloc} is not trusted: {cause.verify_message}",
            ("--ca FILE trusts its authority; --insecure takes any certificate.",),
        )
    if isinstance(cause, ssl.SSLError):
        return Advice(
            f"there is no TLS at {parts.netloc}, so https:// does not work",
            (f"Try http://{parts.netloc}",),
        )
    if isinstance(cause, socket.gaierror):
        return Advice(f"there is no host {parts.hostname}, or the name server is not reached")
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Advice(
            f"nothing listens at {parts.hostname}, port {port}",
            ("Is the server running, and is this its port? --keep-trying waits for it.",),
        )
    return None


def _perhaps_tls(settings: Settings) -> Iterator[str]:
    if settings.url.startswith("http:"):
        yield f"If this port speaks TLS: https://{settings.url.removeprefix('http://')}"


def _status(error: TransportError, settings: Settings) -> Advice:
    """What an HTTP status that is no success means."""
    words = " ".join(error.body.split())
    said = f": {words[:200]}" if words and not words.startswith("<") else ""
    return Advice(
        f"the server answered with HTTP status {error.status}{said}",
        tuple(_hints(error, settings)),
    )


def _hints(error: TransportError, settings: Settings) -> Iterator[str]:
    status, path = error.status, settings.manager.get("path", "/socket.io")
    if status == 404:
        yield f"There is a web server, but no Socket.IO under {path}."
        yield _PATH_OR_NAMESPACE
    elif status == 400:
        yield from _bad_request(error.body, settings)
    elif status in (401, 403):
        yield "It wants to know who you are, or where you come from:"
        yield "--header 'Authorization: Bearer …', --cookie name=value, --header 'Origin: https://…'"
    elif status == 407:
        yield "The proxy wants to know who you are: --proxy http://user:password@host:port"
    elif status == 429:
        yield "It takes no more connections from here for now. Wait, and try again."
    elif status in _GATEWAY:
        yield "A proxy answered, and does not reach the server behind it. Is that one running?"
    elif status < 400:
        yield f"So answers no Socket.IO server under {path}."
        yield _PATH_OR_NAMESPACE


def _bad_request(body: str, settings: Settings) -> Iterator[str]:
    if "protocol version" in body:
        yield "The server speaks another version of the protocol, perhaps that of Socket.IO 2."
    elif "Transport unknown" in body:
        yield "The server does not offer this transport. Try --transport websocket, or polling."
    else:
        yield from _perhaps_tls(settings)


def _refused(error: ConnectError, settings: Settings, namespace: str, stays: bool) -> Advice:
    """The server is there, and said no."""
    message = error.message or "the server gave no reason"
    if message == "Invalid namespace":
        return Advice(
            message,
            (
                f"The server has no namespace {namespace}, which is the path of the URL.",
                "If that is where Socket.IO is on the server, write it as --path.",
            ),
        )
    if stays:
        return Advice(message, ("auth token=… gives other credentials, and connect tries again.",))
    if settings.auth is None:
        return Advice(message, ("If it wants credentials: --auth token=…, or --auth '{…}'",))
    return Advice(message)
