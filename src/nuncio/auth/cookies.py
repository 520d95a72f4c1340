"""Cookies of the request that opened a connection, where it is safe to believe them.

A browser sends a site's cookies with every WebSocket handshake to it, whichever page asks
(cross-site WebSocket hijacking, CVE-2019-13611). What keeps other pages out is the check of
`Origin`; a server that admits every origin must not take a cookie for anybody's word.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nuncio.engine.origins import is_own, origin_of, parse_origin

if TYPE_CHECKING:
    from nuncio.engine.request import Request
    from nuncio.server.socket import Socket

logger = logging.getLogger("nuncio.auth")

_told: set[str] = set()


def cookie(socket: Socket[Any, Any], name: str) -> str | None:
    """A cookie of the request that opened the connection.

    Args:
        socket: the client, connected or being let in.
        name: the cookie's name.

    Returns:
        Its value as it was sent, None when there is none. Also None when a page of another site
        opened the connection, and `cors` admits all sites without credentials.
    """
    request = socket.request
    engine = socket.nsp.server.engine
    if engine.cors.cookieless and _is_foreign(request, engine.scripted(request)):
        _tell(name)
        return None
    return find_cookie(request.header(b"cookie") or "", name)


def _is_foreign(request: Request, script: bool) -> bool:
    """Whether a page of another site asked, as far as can be told; a script (JSONP) tells less."""
    origin = request.header(b"origin")
    if origin is None:
        if not script:
            return False
        site = request.header(b"sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = origin_of(request.header(b"referer") or "")
    parsed = parse_origin(origin)
    return parsed is None or not is_own(parsed, request.header(b"host") or "", request.secure)


def find_cookie(header: str, name: str) -> str | None:
    """The value of a cookie in a `Cookie` header; of several, the first (RFC 6265, 5.4)."""
    for part in header.split(";"):
        key, equals, value = part.partition("=")
        if equals and key.strip() == name:
            value = value.strip()
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = value[1:-1]
            return value
    return None


def _tell(name: str) -> None:
    """Say once what is wrong: a client must not be able to fill the log."""
    if name not in _told:
        _told.add(name)
        logger.warning(
            "the cookie %r is not read for pages of other sites, because cors admits every site; "
            'list the origins, cors={"origin": ["https://…"], "credentials": True}',
            name,
        )
