"""The Engine.IO server: which requests are let in, and the sessions they belong to.

A host (see `nuncio.hosts`) hands every request on the engine's path to `handle`. The order of the
checks is the reference's: middlewares, transport, origin, session, method, `allow_request`,
protocol revision, session id.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec

from nuncio.engine.compression import HttpCompression
from nuncio.engine.cookies import CookieOption
from nuncio.engine.cors import CorsPolicy
from nuncio.engine.options import EngineOptions
from nuncio.engine.polling import PollingTransport
from nuncio.engine.request import Exchange, Request
from nuncio.engine.session import Listener, Session, SessionConfig, follow_up
from nuncio.engine.transport import Flusher, Transport
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import DisconnectReason, OptionError
from nuncio.events import Emitter
from nuncio.options import build
from nuncio.protocol.deflate import DeflateConfig
from nuncio.protocol.engineio import Message

logger = logging.getLogger("nuncio.engine")

UNKNOWN_TRANSPORT = 0
UNKNOWN_SID = 1
BAD_HANDSHAKE_METHOD = 2
BAD_REQUEST = 3
FORBIDDEN = 4
UNSUPPORTED_PROTOCOL_VERSION = 5

MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)

_ID = re.compile(r"[!-~]+")

L = TypeVar("L", bound=Callable[..., Any])

Middleware = Callable[[Request, Exchange], Any]


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """What listeners of `connection_error` receive.

    Attributes:
        request: the refused request.
        code: the reference's error code, 0 to 5.
        message: its message.
        context: details, under the reference's keys in snake_case.
    """

    request: Request
    code: int
    message: str
    context: dict[str, object]


class Engine:
    """An Engine.IO server.

    Applications of Socket.IO meet it as `io.engine`; it also stands alone:

        engine = Engine()

        @engine.on("connection")
        def connection(session):
            session.on("message", session.send)

        engine.run(port=3000)

    Args:
        options: see `EngineOptions`.

    Raises:
        OptionError: for a wrong option, with the nearest known name.
    """

    def __init__(self, **options: Any) -> None:
        self.options = build(EngineOptions, options, "Engine")
        self.sessions: dict[str, Session] = {}
        self.cors = CorsPolicy.parse(self.options.cors)
        self.cookie = CookieOption.parse(self.options.cookie)
        self.compression = HttpCompression.parse(self.options.http_compression)
        self.deflate = _deflate_config(self.options.per_message_deflate)
        self.accept: Callable[[Session], Listener] = self._default_accept
        self.may_open: Callable[[], bool] | None = None
        self.on_host_stopping: Callable[[], None] | None = None
        self.settle: Callable[[float], Awaitable[None]] | None = None
        self.stopping = False
        self.hosts: list[Any] = []
        self.events = Emitter(self.spawn)
        self._middlewares: list[Middleware] = []
        self._tasks: set[asyncio.Future[Any]] = set()
        self._config: SessionConfig | None = None
        path = self.options.path.rstrip("/")
        self._prefix = path + "/" if self.options.add_trailing_slash else path
        self._open_tail = self._open_tails()
        self._warned_origin = False

    # What applications use.

    @property
    def clients_count(self) -> int:
        """How many sessions there are."""
        return len(self.sessions)

    @property
    def path(self) -> str:
        """The path without its trailing slash."""
        return self.options.path.rstrip("/")

    def use(self, middleware: Middleware) -> Middleware:
        """Add a middleware: `(request, response)`, called for every request and upgrade.

        It may set headers (`response.set_header`), answer itself (`response.end`), or raise to
        refuse the request; it may be async.
        """
        if not callable(middleware):
            raise TypeError(f"middleware must be callable, not {middleware!r}")
        self._middlewares.append(middleware)
        return middleware

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to `connection`, `connection_error`, `initial_headers` or `headers`."""
        return self.events.on(event, listener)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only."""
        return self.events.once(event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Stop listening."""
        self.events.off(event, listener)

    def close(self) -> None:
        """End every session; what they have buffered is dropped."""
        for session in list(self.sessions.values()):
            session.close(discard=True)

    def asgi(self, other: Any = None) -> Any:
        """An ASGI application: the engine's path, and `other` for everything else."""
        from nuncio.hosts.asgi import ASGIApp

        return ASGIApp(self, other)

    def run(self, host: str = "127.0.0.1", port: int = 3000, **options: Any) -> None:
        """Serve until interrupted; see `nuncio.Server.run`."""
        from nuncio.hosts.serve import run

        run(self, host, port, **options)

    async def listen(self, port: int = 3000, host: str = "127.0.0.1", **options: Any) -> Any:
        """Serve in the running loop; see `nuncio.Server.listen`."""
        from nuncio.hosts.serve import listen

        return await listen(self, host, port, **options)

    # What hosts use.

    def matches(self, path: str) -> bool:
        """Whether a request path is the engine's."""
        return path.startswith(self._prefix)

    @property
    def may_wait(self) -> bool:
        """Whether handling a request may have to wait for the application's code."""
        options = self.options
        return bool(
            self._middlewares
            or options.allow_request is not None
            or options.generate_id is not None
            or self.cors.may_wait
        )

    def config(self) -> SessionConfig:
        """What sessions of the running loop share; a new loop gets new timers."""
        loop = asyncio.get_running_loop()
        config = self._config
        if config is None or config.loop is not loop:
            self._abandon()
            options = self.options
            config = SessionConfig(
                loop,
                TimerWheel(loop),
                Flusher(loop),
                float(options.ping_interval),
                float(options.ping_timeout),
                float(options.upgrade_timeout),
                options.limits.outgoing_bytes,
            )
            self._config = config
        return config

    def _abandon(self) -> None:
        """Forget the sessions of a loop that ended without closing them."""
        self.stopping = False
        for session in list(self.sessions.values()):
            session.abandon()

    def spawn(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """Run an awaitable as a task that is not lost, and whose failure is logged."""
        task = asyncio.ensure_future(awaitable)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a listener of the engine failed", exc_info=task.exception())

    def handle(self, exchange: Exchange, upgrade: bool) -> Coroutine[Any, Any, None] | None:
        """Take a request.

        Args:
            exchange: the request and how to answer it.
            upgrade: whether it is a WebSocket handshake.

        Returns:
            None when it was dealt with at once, else a coroutine that must be awaited.
        """
        if self.may_wait:
            return self._handle(exchange, upgrade)
        request = exchange.request
        admitted = True
        if self.cors.enabled or request.header(b"origin") is not None:
            admitted = bool(self.cors.admits(request))
            if self._cors(exchange, admitted, upgrade):
                return None
        if admitted and not upgrade and follow_up(self.sessions, exchange):
            return None
        if self._verify(exchange, upgrade, admitted):
            self._open(exchange, upgrade, self._new_id())
        return None

    async def _handle(self, exchange: Exchange, upgrade: bool) -> None:
        request = exchange.request
        admitted = await self._admits(request)
        if exchange.done:
            return
        # CORS headers come first, so that every answer carries them.
        if self._cors(exchange, admitted, upgrade):
            return
        if not await self._run_middlewares(exchange, upgrade):
            return
        if not self._verify(exchange, upgrade, admitted):
            return
        message = await self._ask_application(request)
        if message is not None:
            self._refuse(exchange, upgrade, FORBIDDEN, {"message": message}, message)
            return
        if not self._check_protocol(exchange, upgrade):
            return
        try:
            id = await self._application_id(request)
        except Exception as error:
            context = {"name": "ID_GENERATION_ERROR", "error": error}
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return
        if not exchange.done and self._has_room(exchange):
            self._open(exchange, upgrade, id)

    async def _admits(self, request: Request) -> bool:
        try:
            verdict = self.cors.admits(request)
            return verdict if isinstance(verdict, bool) else bool(await verdict)
        except Exception:
            # A gate that fails stays shut.
            logger.exception("the function given as cors failed")
            return False

    async def _run_middlewares(self, exchange: Exchange, upgrade: bool) -> bool:
        for middleware in list(self._middlewares):
            try:
                result = middleware(exchange.request, exchange)
                if hasattr(result, "__await__"):
                    await result
            except Exception as error:
                logger.debug("an HTTP middleware refused a request: %r", error)
                context = {"name": "MIDDLEWARE_FAILURE", "error": error}
                self._refuse(exchange, upgrade, BAD_REQUEST, context)
                return False
            if exchange.done:
                return False
        return True

    async def _ask_application(self, request: Request) -> str | None:
        allow = self.options.allow_request
        if allow is None:
            return None
        try:
            verdict = allow(request)
            if hasattr(verdict, "__await__"):
                verdict = await verdict
        except Exception:
            # A gate that fails stays shut.
            logger.exception("allow_request failed")
            verdict = False
        if verdict is True:
            return None
        return verdict if isinstance(verdict, str) else MESSAGES[FORBIDDEN]

    async def _application_id(self, request: Request) -> str:
        generate = self.options.generate_id
        if generate is None:
            return self._new_id()
        id = generate(request)
        if hasattr(id, "__await__"):
            id = await id
        if not isinstance(id, str) or not _ID.fullmatch(id) or id in self.sessions:
            raise OptionError("generate_id must return a new, non-empty str of printable ASCII")
        return id

    def _cors(self, exchange: Exchange, admitted: bool, upgrade: bool) -> bool:
        """Add the headers; True when the request was a preflight and is answered."""
        exchange.headers.extend(self.cors.headers(exchange.request, admitted))
        if exchange.request.method != "OPTIONS" or upgrade:
            return False
        answer = self.cors.preflight(exchange.request, admitted)
        if answer is None:
            return False
        exchange.headers.clear()
        exchange.respond(answer[0], answer[1], b"")
        return True

    def _verify(self, exchange: Exchange, upgrade: bool, admitted: bool) -> bool:
        """The checks; True when a new session is to be opened."""
        request = exchange.request
        query = request.query
        name = query.get("transport", "")
        if name not in self.options.transports:
            self._refuse(exchange, upgrade, UNKNOWN_TRANSPORT, {"transport": name})
            return False
        if not self._check_origin(exchange, upgrade, admitted):
            return False
        sid = query.get("sid")
        if sid is not None:
            self._existing(exchange, upgrade, sid, name)
            return False
        if request.method != "GET":
            self._refuse(exchange, upgrade, BAD_HANDSHAKE_METHOD, {"method": request.method})
            return False
        if (name == "websocket") != upgrade:
            context: dict[str, object] = {"name": "TRANSPORT_HANDSHAKE_ERROR"}
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return False
        if not self._has_room(exchange):
            return False
        # With an application to ask, the protocol is checked after it was asked.
        return self.options.allow_request is not None or self._check_protocol(exchange, upgrade)

    def _has_room(self, exchange: Exchange) -> bool:
        """Whether a new session may be opened now; otherwise the request is answered."""
        if exchange.alive and not self.stopping and (self.may_open is None or self.may_open()):
            return True
        exchange.respond(503, [("Retry-After", "5"), ("Connection", "close")], b"")
        return False

    def _check_origin(self, exchange: Exchange, upgrade: bool, admitted: bool) -> bool:
        origin = exchange.request.header(b"origin") or ""
        if any(character < " " or character > "~" for character in origin):
            context: dict[str, object] = {"name": "INVALID_ORIGIN", "origin": origin}
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return False
        if admitted:
            return True
        log = logger.debug if self._warned_origin else logger.warning
        self._warned_origin = True
        log("refused a connection: %s", self.cors.explain(origin))
        self._refuse(
            exchange,
            upgrade,
            FORBIDDEN,
            {"name": "ORIGIN_NOT_ALLOWED", "origin": origin},
            "Origin not allowed",
        )
        return False

    def _check_protocol(self, exchange: Exchange, upgrade: bool) -> bool:
        if exchange.request.query.get("EIO") == "4":
            return True
        self._refuse(exchange, upgrade, UNSUPPORTED_PROTOCOL_VERSION, {"protocol": 3})
        return False

    # Requests of sessions there are.

    def _existing(self, exchange: Exchange, upgrade: bool, sid: str, name: str) -> None:
        session = self.sessions.get(sid)
        if session is None:
            self._refuse(exchange, upgrade, UNKNOWN_SID, {"sid": sid})
            return
        context: dict[str, object]
        if not upgrade and session.transport.name != name:
            context = {
                "name": "TRANSPORT_MISMATCH",
                "transport": name,
                "previous_transport": session.transport.name,
            }
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return
        if exchange.request.query.get("EIO") != "4":
            context = {"name": "PROTOCOL_MISMATCH", "protocol": 3, "previous_protocol": 4}
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return
        if upgrade:
            if name == "websocket":
                self._probe(exchange, session)
            else:
                context = {"name": "TRANSPORT_HANDSHAKE_ERROR"}
                self._refuse(exchange, upgrade, BAD_REQUEST, context)
            return
        transport = session.transport
        method = exchange.request.method
        if not isinstance(transport, PollingTransport):
            context = {"name": "TRANSPORT_HANDSHAKE_ERROR"}
            self._refuse(exchange, upgrade, BAD_REQUEST, context)
        elif method == "GET":
            transport.get(exchange)
        elif method == "POST":
            transport.post(exchange)
        else:
            exchange.respond(500, [], b"")

    def _probe(self, exchange: Exchange, session: Session) -> None:
        self._emit_headers(exchange, initial=False)
        refused = session.upgrading or session.upgraded or session.transport.name == "websocket"
        transport: Transport = exchange.accept()
        if refused:
            transport.discard()
        else:
            session.probe(transport)
            transport.flush()

    # New sessions.

    def _open(self, exchange: Exchange, upgrade: bool, id: str) -> None:
        config = self.config()
        request = exchange.request
        if upgrade:
            self._emit_headers(exchange, initial=True)
            transport: Transport = exchange.accept()
        else:
            transport = self._polling(exchange, config, id)
        session = Session(self, config, id, transport, request)
        self.sessions[id] = session
        handshake = b'0{"sid":' + msgspec.json.encode(id) + self._open_tail[upgrade]
        packets = [Message(handshake, control=True)]
        initial = self.options.initial_packet
        if isinstance(initial, str):
            packets.append(Message(b"4" + initial.encode()))
        elif initial is not None:
            packets.append(Message(None, [initial]))
        session.start(packets)
        # The listener must be there before a packet can arrive, and the open packet on its way
        # before the application's first.
        transport.flush()
        listener = self.accept(session)
        if session.ready_state == "closed":
            # The application closed it as soon as it saw it.
            listener.closed(DisconnectReason.FORCED_CLOSE, "")
        else:
            session.listener = listener
        request.forget()

    def _polling(self, exchange: Exchange, config: SessionConfig, id: str) -> PollingTransport:
        limits = self.options.limits
        agent = exchange.request.header(b"user-agent") or ""
        legacy = ";MSIE" in agent or "Trident/" in agent
        watched = bool(self.events.listeners("headers") or self.events.listeners("initial_headers"))
        decorate = self._decorator(legacy) if legacy or watched else None
        transport = PollingTransport(
            config.flusher,
            config.wheel,
            self.options.max_http_buffer_size,
            limits.payload_packets,
            self.compression,
            decorate,
        )
        if self.cookie is not None:
            exchange.set_header("Set-Cookie", self.cookie.header(id))
        transport.open(exchange)
        return transport

    def _decorator(self, legacy: bool) -> Callable[[Exchange], None]:
        def decorate(exchange: Exchange) -> None:
            if legacy:
                exchange.headers.append(("X-XSS-Protection", "0"))
            self._emit_headers(exchange, initial="sid" not in exchange.request.query)

        return decorate

    def _emit_headers(self, exchange: Exchange, *, initial: bool) -> None:
        """Let listeners of `initial_headers` and `headers` change a response's headers."""
        events = self.events
        if not (events.listeners("headers") or events.listeners("initial_headers")):
            return
        before = exchange.headers.copy()
        headers = dict(before)
        if initial:
            events.emit("initial_headers", headers, exchange.request)
        events.emit("headers", headers, exchange.request)
        exchange.headers.clear()
        for name, value in headers.items():
            # One that came several times, such as Set-Cookie, stays so unless it was changed.
            several = [old for known, old in before if known == name]
            try:
                for one in several if several and several[-1] == value else [value]:
                    exchange.set_header(name, one)
            except (TypeError, ValueError):
                logger.exception("a listener of headers set a wrong one, which is left out")

    def _open_tails(self) -> tuple[bytes, bytes]:
        options = self.options
        upgrades = ["websocket"] if "websocket" in options.transports else []

        def tail(names: list[str]) -> bytes:
            handshake = {
                "upgrades": names,
                "pingInterval": round(options.ping_interval * 1000),
                "pingTimeout": round(options.ping_timeout * 1000),
                "maxPayload": options.max_http_buffer_size,
            }
            return b"," + msgspec.json.encode(handshake)[1:]

        return tail(upgrades if options.allow_upgrades else []), tail([])

    @staticmethod
    def _new_id() -> str:
        return base64.urlsafe_b64encode(os.urandom(15)).decode()

    # What sessions use.

    def session_closed(self, session: Session) -> None:
        """Forget a session."""
        self.sessions.pop(session.id, None)

    def host_stopping(self) -> None:
        """The host asks connections to end."""
        self.stopping = True
        if self.on_host_stopping is not None:
            self.on_host_stopping()
        else:
            self.close()

    def _default_accept(self, session: Session) -> Listener:
        listener = _EventListener(session)
        self.events.emit("connection", session)
        return listener

    # Refusals.

    def _refuse(
        self,
        exchange: Exchange,
        upgrade: bool,
        code: int,
        context: dict[str, object],
        message: str | None = None,
    ) -> None:
        text = MESSAGES[code] if message is None else message
        if self.events.listeners("connection_error"):
            failure = ConnectionFailure(exchange.request, code, text, context)
            self.events.emit("connection_error", failure)
        # Where there are no WebSockets, the reference sees an ordinary request.
        if upgrade and "websocket" in self.options.transports:
            headers = [("Connection", "close"), ("Content-type", "text/html")]
            exchange.respond(400, headers, text.encode())
            return
        body = msgspec.json.encode({"code": code, "message": text})
        status = 403 if code == FORBIDDEN else 400
        exchange.respond(status, [("Content-Type", "application/json")], body)


class _EventListener(Listener):
    """The layer above a session of a stand-alone engine: its `message` and `close` events."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def text(self, data: bytes) -> None:
        self._session.events.emit("message", data[1:].decode("utf-8", "replace"))

    def binary(self, data: bytes) -> None:
        self._session.events.emit("message", data)

    def closed(self, reason: str, description: str) -> None:
        pass


def _deflate_config(option: object) -> DeflateConfig | None:
    if option is None or option is False:
        return None
    if option is True:
        return DeflateConfig()
    if isinstance(option, DeflateConfig):
        return option
    if isinstance(option, dict):
        return build(DeflateConfig, option, "per_message_deflate")
    raise OptionError(f"per_message_deflate must be False, True or a mapping, not {option!r}")
