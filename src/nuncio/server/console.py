"""The console: a page for trying the server by hand, under the path of the server.

It is off unless the option `console` says who may use it (see `console_access`). Then everything
below `/socket.io/console/` is answered here: the files of `nuncio/console/` and the browser's
client under fixed names, `config.json` with what the page must know of the server, and signing in
and out. No request reaches the file system with a name of its own.

The page uses the server as every client does. It has no rights there that others do not have, and
the middlewares of the application see what it connects.
"""

from __future__ import annotations

import html
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from nuncio._build import __version__
from nuncio.engine.origins import is_own, parse_origin
from nuncio.engine.request import Exchange, Receiver, Request
from nuncio.protocol.msgpack import MsgPackParser
from nuncio.protocol.parser import JSONParser
from nuncio.server.client_files import BUNDLED
from nuncio.server.console_access import Access, Console
from nuncio.server.static_file import StaticFile

if TYPE_CHECKING:
    from nuncio.server.server import Server

logger = logging.getLogger("nuncio")

FILES: Final = Path(__file__).resolve().parent.parent / "console"
FOLDER: Final = "/console"

# The browser's client, by the name that the page asks for.
CLIENTS: Final = {
    "client.js": "socket.io.all.esm.min.js",
    "client-msgpack.js": "socket.io.msgpack.min.js",
}

_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# What the page for signing in needs.
PUBLIC: Final = frozenset({"icon.svg", "login.css", "login.js"})

FORM_BYTES: Final = 4096
FORM_SECONDS: Final = 10.0
MOST_NAMESPACES: Final = 200
MOST_EVENTS: Final = 500

# Those that the page knows.
_PARSERS: Final[dict[type, str]] = {JSONParser: "json", MsgPackParser: "msgpack"}

_NO_STORE: Final = "no-store"
_CHECK: Final = "private, no-cache"

_Headers = list[tuple[str, str]]


class ConsoleSite:
    """Answers requests below the console's path.

    Args:
        server: which the page tries.
        settings: who may use it.
    """

    def __init__(self, server: Server[Any, Any], settings: Console) -> None:
        self._server = server
        self._access = Access(settings)
        self._files = {
            path.name: StaticFile(path, _KINDS[path.suffix])
            for path in sorted(FILES.iterdir())
            if path.suffix in _KINDS and path.name != "login.html"
        }
        for name, bundle in CLIENTS.items():
            self._files[name] = StaticFile(BUNDLED / bundle, _KINDS[".js"])
        self._headers = _security_headers("forever" in server.engine.options.transports)

    @property
    def names(self) -> list[str]:
        """The files that are served."""
        return list(self._files)

    def serve(self, exchange: Exchange, path: str) -> bool:
        """Answer a request that is for the console.

        Args:
            exchange: the request.
            path: of the server, without its trailing slash.

        Returns:
            False when it is for something else.
        """
        name = below(exchange.request.path, path)
        if name is None:
            return False
        # What CORS would allow to other sites holds for the server, not for this page.
        exchange.headers.clear()
        try:
            self._answer(exchange, name)
        except OSError as error:
            logger.error("console: a file cannot be read: %s", error)
            self._say(exchange, 500, "A file of the console is missing: install Nuncio again.")
        return True

    def _answer(self, exchange: Exchange, name: str) -> None:
        request = exchange.request
        if name in ("/login", "/logout") and request.method == "POST":
            self._post(exchange, name)
        elif request.method not in ("GET", "HEAD"):
            allowed = "GET, HEAD, POST" if name in ("/login", "/logout") else "GET, HEAD"
            self._say(exchange, 405, "Method not allowed", [("Allow", allowed)])
        elif not self._access.asks and not self._access.lets_in(request):
            self._say(exchange, 403, _NOT_LOCAL)
        elif name == "":
            self._redirect(exchange, "console/", 308)
        elif name[1:] in PUBLIC:
            self._file(exchange, name[1:])
        elif name == "/login" and self._access.asks:
            self._login_page(exchange, 200)
        elif self._access.lets_in(request):
            self._page(exchange, name[1:])
        elif name != "/":
            # Of what is there only those learn who are signed in.
            self._say(exchange, 403, "Sign in first.")
        elif request.header(b"sec-fetch-site") in ("cross-site", "same-site"):
            # A link on another site led here, and with such a step no strict cookie comes along.
            # With the page's own next step it does.
            self._respond(exchange, 200, "text/html; charset=utf-8", _ONCE_MORE)
        else:
            self._redirect(exchange, "login", 303)

    def _page(self, exchange: Exchange, name: str) -> None:
        if _foreign(exchange.request):
            self._say(exchange, 403, "This is for the console's own page.")
        elif name == "config.json":
            body = msgspec.json.encode(self._config())
            self._respond(exchange, 200, "application/json", body)
        elif name in ("", *self._files):
            self._file(exchange, name or "index.html")
        else:
            self._say(exchange, 404, "Not found")

    def _config(self) -> dict[str, Any]:
        """What the page must know of the server."""
        server = self._server
        options = server.engine.options
        namespaces = [nsp for nsp in server.all_namespaces() if nsp not in server.parents]
        names = [nsp.name for nsp in namespaces]
        return {
            "version": __version__,
            "path": server.engine.path or "/",
            "addTrailingSlash": options.add_trailing_slash,
            "transports": list(options.transports),
            "allowUpgrades": options.allow_upgrades,
            "maxPayload": options.max_http_buffer_size,
            "pingInterval": round(options.ping_interval * 1000),
            "parser": _PARSERS.get(type(server.parser), ""),
            "namespaces": sorted({"/", *names})[:MOST_NAMESPACES],
            # What has handlers, and how they call the arguments.
            "events": {
                nsp.name: {
                    event: handlers[0].names
                    for event, handlers in list(nsp.handlers.items())[:MOST_EVENTS]
                    if handlers
                }
                for nsp in namespaces[:MOST_NAMESPACES]
            },
            "signedIn": self._access.asks,
        }

    def _file(self, exchange: Exchange, name: str) -> None:
        file = self._files[name]
        file.load()
        file.answer(exchange, _CHECK, self._headers)

    # Signing in and out.

    def _post(self, exchange: Exchange, name: str) -> None:
        request = exchange.request
        if not self._access.asks:
            self._say(exchange, 404, "Not found")
        elif _foreign(request):
            self._say(exchange, 403, _REWRITTEN)
        elif name == "/logout":
            # Its form is empty, but it is read, so that the connection can go on.
            self._take(exchange, lambda form: self._sign_out(exchange))
        else:
            self._take(exchange, lambda form: self._sign_in(exchange, form))

    def _take(self, exchange: Exchange, taker: Callable[[dict[str, str]], None]) -> None:
        form = _Form(taker, lambda status, text: self._say(exchange, status, text, _CLOSE))
        loop = self._server.engine.config().loop
        form.timer = loop.call_later(FORM_SECONDS, form.late, exchange)
        exchange.receiver = form

    def _sign_in(self, exchange: Exchange, form: dict[str, str]) -> None:
        request = exchange.request
        wheel = self._server.engine.config().wheel
        wait = self._access.wait(request, wheel)
        if wait > 0:
            self._server.counters.refused_sign_ins += 1
            again = [("Retry-After", str(math.ceil(wait)))]
            text = f"Too many attempts from your address. Try again in {math.ceil(wait)} seconds."
            self._login_page(exchange, 429, text, again)
            return
        user, secret = form.get("user", ""), form.get("secret", "")
        cookie = self._access.tries(request, wheel, user, secret)
        if cookie is None:
            self._server.counters.refused_sign_ins += 1
            logger.info("console: wrong credentials from %s", request.client)
            what = "name or password" if self._access.asks_user else "token"
            self._login_page(exchange, 403, f"Wrong {what}.", user=user)
            return
        self._redirect(exchange, "./", 303, [("Set-Cookie", cookie + _secure(request))])

    def _sign_out(self, exchange: Exchange) -> None:
        cookie = self._access.forget() + _secure(exchange.request)
        self._redirect(exchange, "login", 303, [("Set-Cookie", cookie)])

    def _login_page(
        self,
        exchange: Exchange,
        status: int,
        message: str = "",
        more: _Headers | None = None,
        user: str = "",
    ) -> None:
        page = (FILES / "login.html").read_text(encoding="utf-8")
        hidden = "" if self._access.asks_user else "hidden disabled"
        secret = "Password" if self._access.asks_user else "Token"
        # Everything that is filled in is text or a value in quotes.
        for mark, text in (
            ("{user_hidden}", hidden),
            ("{secret}", secret),
            ("{message}", html.escape(message)),
            ("{user}", html.escape(user[:100])),
        ):
            page = page.replace(mark, text)
        self._respond(exchange, status, "text/html; charset=utf-8", page, more)

    # Answers.

    def _say(
        self, exchange: Exchange, status: int, text: str, more: _Headers | None = None
    ) -> None:
        self._respond(exchange, status, "text/plain; charset=utf-8", text + "\n", more)

    def _redirect(
        self, exchange: Exchange, where: str, status: int, more: _Headers | None = None
    ) -> None:
        # Relative, so that it holds behind whatever prefix.
        headers = [("Location", where), *(more or [])]
        self._respond(exchange, status, "text/plain; charset=utf-8", "", headers)

    def _respond(
        self,
        exchange: Exchange,
        status: int,
        kind: str,
        body: str | bytes,
        more: _Headers | None = None,
    ) -> None:
        data = body.encode("utf-8", "replace") if isinstance(body, str) else body
        kept = [("Content-Type", kind), ("Cache-Control", _NO_STORE), *self._headers]
        exchange.respond(status, kept + (more or []), data)


class _Form(Receiver):
    """Takes the body of a form, which is small and comes soon."""

    def __init__(
        self, taker: Callable[[dict[str, str]], None], refuse: Callable[[int, str], None]
    ) -> None:
        self._taker = taker
        self._refuse = refuse
        self._body = b""
        self.timer: Any = None

    def when_ready(self, callback: Any) -> bool:
        """See `Receiver.when_ready`."""
        return True

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """See `Receiver.body_chunk`."""
        if len(self._body) + len(data) > FORM_BYTES:
            self.timer.cancel()
            self._refuse(413, "This form is too large.")
        else:
            self._body += data

    def body_end(self, exchange: Exchange) -> None:
        """See `Receiver.body_end`."""
        self.timer.cancel()
        try:
            fields = parse_qs(self._body.decode("ascii"), keep_blank_values=True, max_num_fields=8)
        except ValueError:
            self._refuse(400, "This is no form.")
            return
        self._taker({name: values[-1] for name, values in fields.items()})

    def aborted(self, exchange: Exchange) -> None:
        """See `Receiver.aborted`."""
        self.timer.cancel()

    def late(self, exchange: Exchange) -> None:
        """Its time is over."""
        if not exchange.done:
            self._refuse(408, "This took too long.")


def below(path: str, base: str) -> str | None:
    """What stands behind the console's folder in a request's path; None when it is not there.

    Args:
        path: of the request.
        base: of the server, without its trailing slash.

    Returns:
        Empty for the folder without its slash, else what begins with the slash.
    """
    folder = base + FOLDER
    # The application may be mounted below another path.
    at = 0 if path.startswith(base + "/") else path.find(folder)
    if at < 0 or not path.startswith(folder, at):
        return None
    rest = path[at + len(folder) :]
    return rest if rest[:1] in ("", "/") else None


def answer_off(exchange: Exchange, path: str) -> bool:
    """Tell a person who looks for a console that is off that there is none.

    Args:
        exchange: the request.
        path: of the server, without its trailing slash.

    Returns:
        False when it is not for the console, or by a client of Socket.IO, whose engine answers.
    """
    request = exchange.request
    if request.method not in ("GET", "HEAD") or below(request.path, path) is None:
        return False
    if "transport" in request.query:
        return False
    exchange.end(404, b"Not Found\n")
    return True


def _foreign(request: Request) -> bool:
    """Whether another site's page asks, as far as browsers tell."""
    site = request.header(b"sec-fetch-site")
    if site is not None:
        # A link that was followed is a person's own step; what they may see is decided elsewhere.
        navigated = request.header(b"sec-fetch-mode") == "navigate" and request.method != "POST"
        return site not in ("same-origin", "none") and not navigated
    origin = request.header(b"origin")
    if origin is None:
        return False
    parsed = parse_origin(origin)
    return parsed is None or not is_own(parsed, request.header(b"host") or "", request.secure)


def _secure(request: Request) -> str:
    """Whether the cookie is for TLS alone; a proxy may have taken that off, the page knows."""
    over_tls = request.secure or (request.header(b"origin") or "").startswith("https://")
    return "; Secure" if over_tls else ""


def _security_headers(frames: bool) -> tuple[tuple[str, str], ...]:
    """Headers of every answer.

    Args:
        frames: whether a transport works by frames of the server's own.
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self'; {frames * '''frame-src 'self'; '''}"
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return (
        ("Content-Security-Policy", policy),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        # Not none at all: then forms would not tell their origin.
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("X-Robots-Tag", "noindex"),
    )


_CLOSE: Final[_Headers] = [("Connection", "close")]

_ONCE_MORE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    "<title>Console</title>"
)

_NOT_LOCAL: Final = (
    "This console is for browsers on the same machine: console has auth=False. Open it at "
    "http://localhost, not through a proxy, or give it a user with a password, or a token."
)

_REWRITTEN: Final = (
    "This form was sent by a page of another site. If it was not, a proxy has changed the Host "
    "header: let it pass that on as it came."
)
