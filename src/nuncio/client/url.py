"""What a client connects to, as the official client reads URLs.

The path is the namespace; where Socket.IO is served is the option `path`. Of the query, a URL's own
wins over the option `query` as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from nuncio.errors import OptionError

_SCHEMES: Final = {"http": False, "ws": False, "https": True, "wss": True}
_MOST: Final = 8000

# What JavaScript's encodeURIComponent leaves as it is.
_SAFE: Final = "!~*'()-_."


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and a namespace on it.

    Attributes:
        secure: whether by TLS.
        host: name or address; IPv6 addresses in brackets.
        port: always a number.
        nsp: the namespace, `/` unless the URL has a path.
        query: the URL's own query, decoded.
        assumed: whether the URL had no scheme.
    """

    secure: bool
    host: str
    port: int
    nsp: str
    query: list[tuple[str, str]]
    assumed: bool = False

    @property
    def origin(self) -> str:
        """`https://example.com`, with the port where it is not the usual one."""
        usual = 443 if self.secure else 80
        port = "" if self.port == usual else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{self.host}{port}"


def parse(url: object) -> Target:
    """Read a URL.

    Raises:
        OptionError: for what is none, with what to write.
    """
    if not isinstance(url, str):
        raise OptionError(f"url must be a str such as 'http://localhost:3000', not {url!r}")
    if len(url) > _MOST:
        raise OptionError(f"url: URI too long, {len(url)} characters; at most {_MOST}")
    assumed = "://" not in url.partition("?")[0]
    full = "https://" + url.removeprefix("//") if assumed else url
    try:
        # Half of a surrogate pair cannot travel.
        full.encode()
        parts = urlsplit(full)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except ValueError as error:
        raise OptionError(f"url: {url!r} cannot be read: {error}") from error
    if parts.scheme not in _SCHEMES:
        raise OptionError(
            f"url: {url!r} has the scheme {parts.scheme!r}; write http, https, ws or wss"
        )
    if not host or any(character.isspace() for character in host):
        raise OptionError(f"url: {url!r} has no host; write for example 'http://localhost:3000'")
    secure = _SCHEMES[parts.scheme]
    return Target(
        secure,
        f"[{host}]" if ":" in host else host,
        port or (443 if secure else 80),
        parts.path if parts.path not in ("", "/") else "/",
        _decode_query(parts.query),
        assumed,
    )


def _ascii(host: str) -> str:
    """A host's name as it travels."""
    return host if host.isascii() else host.encode("idna").decode()


def query_pairs(query: Any) -> list[tuple[str, str]]:
    """The option `query` as pairs.

    Raises:
        OptionError: for what is neither a mapping nor text.
    """
    if query is None:
        return []
    if isinstance(query, str):
        return [(_text(name), _text(value)) for name, value in _decode_query(query.lstrip("?"))]
    if isinstance(query, Mapping):
        return [(_text(name), _text(value)) for name, value in query.items()]
    raise OptionError(f"query must be a mapping or a str, not {query!r}")


def _decode_query(query: str) -> list[tuple[str, str]]:
    """As JavaScript's decodeURIComponent reads it: a plus is a plus."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _text(value: object) -> str:
    """As JavaScript writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"query: {text!r} cannot be sent: {error}") from error
    return text


def encode_query(pairs: list[tuple[str, str]]) -> str:
    """A query string, as JavaScript's encodeURIComponent writes it."""
    return "&".join(
        f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in pairs
    )
