"""What an origin is: reading one, comparing two, and telling the server's own.

An origin is `scheme://host[:port]` (RFC 6454, section 7; WHATWG HTML, "Origins"). Scheme and host
do not depend on case, and a scheme's default port may be left out. Comparison is by these three
parts and never by the beginning or the end of a text, which is how look-alikes get in.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

from nuncio.errors import OptionError

# Longer than any browser sends; it also bounds what patterns of the application have to look at.
MAX_LENGTH: Final = 512

# The opaque origin of sandboxed frames, `data:` pages and some redirects: many pages share it.
NULL: Final = "null"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_AUTHORITY: Final = r"([a-z0-9._~-]*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://" + _AUTHORITY, re.ASCII | re.IGNORECASE)
_BEFORE_PATH: Final = re.compile(r"[^/?#]*(?://[^/?#]*)?")
# An empty port is the default one (RFC 3986, section 3.2.3).
_HOST: Final = re.compile(_AUTHORITY + ":?", re.ASCII | re.IGNORECASE)


class Origin(NamedTuple):
    """An origin by its parts, lower case; a default port is written out.

    Attributes:
        scheme: such as `https`, or `capacitor` for an app's web view.
        host: name or address; an IPv6 one in brackets. Empty for `file://` alone.
        port: None where the scheme has no default and none is given.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        """As browsers write it: without the default port."""
        text = f"{self.scheme}://{self.host}"
        if self.port is None or self.port == _DEFAULT_PORTS.get(self.scheme):
            return text
        return f"{text}:{self.port}"

    def spellings(self) -> list[str]:
        """The texts that mean this origin: one, or two when its port may be left out."""
        short = str(self)
        full = f"{self.scheme}://{self.host}:{self.port}"
        return [short] if self.port is None or short == full else [short, full]


def parse_origin(text: str) -> Origin | None:
    """Read an origin; None when it is not one, and for `null`."""
    match = _ORIGIN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        return None
    scheme = match[1].lower()
    host = _canonical_host(match[2])
    port = _port(match[3], scheme)
    if host is None or port == -1:
        return None
    if not host and (match[3] or scheme in _DEFAULT_PORTS):
        return None
    return Origin(scheme, host, port)


def origin_of(url: str) -> str:
    """The part of a page's address in which its origin stands, if it has one."""
    match = _BEFORE_PATH.match(url)
    return "" if match is None else match[0]


def is_own(origin: Origin, host: str, secure: bool) -> bool:
    """Whether a page of this origin comes from the very server that it asks.

    Args:
        origin: of the page.
        host: the request's `Host` header.
        secure: whether the request came over TLS; an `http` page is then another origin.
    """
    if origin.scheme not in ("http", "https") or (secure and origin.scheme == "http"):
        return False
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    port = _port(match[2], origin.scheme)
    return _canonical_host(match[1]) == origin.host and port == origin.port


def checked_origin(argument: str, text: object) -> Origin:
    """Read an origin that the programmer gave.

    Raises:
        OptionError: when it is not `scheme://host[:port]`; the text says what to write.
    """
    if not isinstance(text, str):
        raise OptionError(f"{argument}: an origin is a string or a pattern, not {text!r}")
    origin = parse_origin(text)
    if origin is None:
        raise OptionError(f"{argument}: {text!r} is not an origin; {_fix(text)}")
    return origin


def _canonical_host(host: str) -> str | None:
    if not host.startswith("["):
        return host.lower()
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except AddressValueError:
        return None


def _port(digits: str | None, scheme: str) -> int | None:
    """The port's number, the default one, None where there is neither, -1 where it cannot be."""
    if not digits:
        return _DEFAULT_PORTS.get(scheme)
    port = int(digits)
    return port if 0 < port < 65536 else -1


def _fix(text: str) -> str:
    form = "write scheme://host[:port]"
    if text == "*":
        return 'any origin is cors="*", without a list'
    if "://" not in text:
        scheme = "http" if text.startswith(("localhost", "127.")) else "https"
        guess = parse_origin(f"{scheme}://{text.rstrip('/')}")
        return f"write {str(guess)!r}" if guess is not None else form
    if "*" in text:
        pattern = re.escape(text).replace(r"\*", "[^.]+").replace('"', "")
        return f'for many hosts give a pattern: re.compile(r"{pattern}")'
    scheme, _, rest = text.partition("://")
    without_path = parse_origin(f"{scheme}://{re.split(r'[/?#]', rest)[0]}")
    if without_path is not None and text.endswith("/"):
        return f"it must not end with a slash, write {str(without_path)!r}"
    if without_path is not None:
        return f"it has no path, write {str(without_path)!r}"
    if not text.isascii():
        return f"write the host as browsers send it{_idna(text)}"
    return form


def _idna(text: str) -> str:
    scheme, _, rest = text.partition("://")
    try:
        return f": {scheme}://{re.split(r'[/?#]', rest)[0].encode('idna').decode()}"
    except UnicodeError:
        return ", in ASCII (xn--…)"
