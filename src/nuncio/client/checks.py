"""What options of the client may hold, so that a mistake is told where it was made.

What breaks a request is refused here, once, and not at each attempt to connect.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from nuncio.errors import OptionError
from nuncio.options import unknown_option

# RFC 9110, section 5.6.2: names of headers, cookies and subprotocols.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# What ends a header, or what stands in it.
_BREAKS: Final = re.compile(r"[\r\n\0]")

# Beside these, what separates cookies; browsers send all else.
_BREAKS_COOKIE: Final = re.compile(r"[\r\n\0;]")

# What may be another for a single transport.
OF_TRANSPORTS: Final = (
    "extra_headers",
    "force_base64",
    "per_message_deflate",
    "protocols",
    "proxy",
    "proxy_headers",
    "query",
    "request_timeout",
    "server_certificate_hashes",
    "server_hostname",
    "timestamp_param",
    "timestamp_requests",
)
_TRANSPORTS: Final = ("polling", "websocket", "webtransport")


def checked_headers(headers: Any, argument: str = "extra_headers") -> dict[str, str]:
    """Headers of the application's.

    Raises:
        OptionError: for what is no mapping, and for names and values that would break a request.
    """
    if not isinstance(headers, Mapping):
        raise OptionError(f"{argument} must be a mapping of names to values, not {headers!r}")
    checked: dict[str, str] = {}
    for name, value in headers.items():
        text = str(value)
        if not _is_token(name) or _BREAKS.search(text) or not _can_travel(text):
            raise OptionError(f"{argument}: {name!r} cannot be a header with {value!r}")
        checked[name] = text
    return checked


def checked_cookies(cookies: Any) -> dict[str, str]:
    """Cookies of the application's.

    Raises:
        OptionError: for what is no mapping, and for names and values that would break a request.
    """
    if not isinstance(cookies, Mapping):
        raise OptionError(f"cookies must be a mapping of names to values, not {cookies!r}")
    checked: dict[str, str] = {}
    for name, value in cookies.items():
        text = str(value)
        if not _is_token(name) or _BREAKS_COOKIE.search(text) or not _can_travel(text):
            raise OptionError(f"cookies: {name!r} cannot be a cookie with {value!r}")
        checked[name] = text
    return checked


def _is_token(name: object) -> bool:
    return isinstance(name, str) and _TOKEN.fullmatch(name) is not None


def _can_travel(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_namespace(nsp: object) -> str:
    """The name of a namespace, which begins with a slash.

    Raises:
        OptionError: for what cannot be one.
    """
    if not isinstance(nsp, str):
        raise OptionError(f"nsp must be a str such as '/chat', not {nsp!r}")
    if "," in nsp or not _can_travel(nsp):
        raise OptionError(f"nsp: {nsp!r} cannot be a namespace; a comma would end its name")
    return nsp if nsp.startswith("/") else "/" + nsp


def check_list(values: object, argument: str, example: str) -> None:
    """Refuse what is no list; text is none.

    Raises:
        OptionError: with an example.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise OptionError(f"{argument} must be a list such as [{example!r}], not {values!r}")


def check_protocols(protocols: Any) -> None:
    """Refuse what cannot be WebSocket subprotocols (RFC 6455, section 4.1).

    Raises:
        OptionError: for anything but a list of tokens.
    """
    check_list(protocols, "protocols", "chat")
    for protocol in protocols:
        if not _is_token(protocol):
            raise OptionError(f"protocols: {protocol!r} cannot be a subprotocol")


def check_hashes(hashes: Any) -> None:
    """Refuse what cannot be hashes of certificates.

    Raises:
        OptionError: for anything but a list of them.
    """
    if isinstance(hashes, (str, bytes)) or not isinstance(hashes, Sequence):
        raise OptionError(
            "server_certificate_hashes must be a list of hashes, as `nuncio dev-cert` prints them, "
            f"not {hashes!r}"
        )
    if hashes:
        from nuncio.webtransport.certificates import parse_hash

        for one in hashes:
            parse_hash(one)


def check_transport_options(options: Any) -> None:
    """Refuse what no transport would look at.

    Raises:
        OptionError: for what is no mapping of names to mappings, and for unknown options of the
            client's own transports.
    """
    if not isinstance(options, Mapping):
        raise OptionError(f"transport_options must be a mapping, not {options!r}")
    for transport, own in options.items():
        argument = f"transport_options[{transport!r}]"
        if not isinstance(own, Mapping):
            raise OptionError(f"{argument} must be a mapping, not {own!r}")
        for name in own:
            if transport in _TRANSPORTS and name not in OF_TRANSPORTS:
                raise unknown_option(name, OF_TRANSPORTS, argument)
        checked_headers(own.get("extra_headers", {}), f"{argument}['extra_headers']")


def check_proxy(proxy: object) -> None:
    """Refuse what is no proxy's URL.

    Raises:
        OptionError: with an example.
    """
    if isinstance(proxy, str):
        try:
            parts = urlsplit(proxy)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return
        except ValueError:
            pass
    # It may have a password in it, which belongs into no log.
    raise OptionError("proxy must be a URL such as 'http://localhost:3128', and this is none")


def check_auth(auth: object) -> None:
    """Refuse what cannot be credentials.

    Raises:
        OptionError: for anything but a mapping, a function without arguments, or None.
    """
    if auth is None or isinstance(auth, Mapping):
        return
    if not callable(auth):
        raise OptionError(f"auth must be a mapping or a function that gives one, not {auth!r}")
    check_giver(auth, "auth")


def check_giver(function: Callable[..., Any], argument: str) -> None:
    """Refuse a function that wants arguments, for it gets none.

    Raises:
        OptionError: with what to do instead.
    """
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise OptionError(
            f"{argument} is called without arguments, which {function!r} does not fit ({error}); "
            "there is no callback: return the mapping"
        ) from error
    except ValueError:
        # Built-in functions may hide their signature.
        pass
