"""The Engine.IO server: requests and the sessions they belong to.

A host (see `nuncio.hosts`) hands every request on the engine's path to `handle`. The order of the
checks is the reference's: middlewares, transport, origin, session, method, `allow_request`,
protocol revision, session id.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from nuncio.engine.admission import Admission
from nuncio.engine.arrivals import Arrivals
from nuncio.engine.compression import HttpCompression, message_compression
from nuncio.engine.cookies import CookieOption
from nuncio.engine.cors import CorsPolicy
from nuncio.engine.counters import Counters
from nuncio.engine.door import Door
from nuncio.engine.drain import drain
from nuncio.engine.event_names import ENGINE_EVENTS, SESSION_EVENTS
from nuncio.engine.follow import follow_up
from nuncio.engine.gates import Gates, Middleware
from nuncio.engine.headers import HeaderEvents
from nuncio.engine.listener import Listener
from nuncio.engine.metered import MeteredSession, MeteredSession3, Traffic
from nuncio.engine.options import EngineOptions
from nuncio.engine.refusal import (
    BAD_HANDSHAKE_METHOD,
    FORBIDDEN,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    Refusals,
)
from nuncio.engine.request import Exchange, Request
from nuncio.engine.session import Session
from nuncio.engine.session3 import Session3
from nuncio.engine.settings import SessionConfig
from nuncio.engine.standalone import EventListener
from nuncio.engine.transport import Flusher, Transport
from nuncio.engine.ways import Way, revision_of, ways_of
from nuncio.engine.wheel import TimerWheel
from nuncio.engine.winddown import WindDown
from nuncio.errors import DisconnectReason, OptionError
from nuncio.events import Emitter
from nuncio.ids import new_id
from nuncio.options import build, in_snake_case
from nuncio.protocol.engineio import Message

if TYPE_CHECKING:
    from nuncio.workers.group import Worker

logger = logging.getLogger("nuncio.engine")

L = TypeVar("L", bound=Callable[..., Any])

# What only the constructor takes. These two are also attributes, of what was made of them.
_OPTIONS = {field.name for field in dataclasses.fields(EngineOptions)} - {"cors", "cookie"}


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

    Attributes:
        options: what it was given, and the defaults.
        sessions: those that are open, by their secret ids.
        counters: what was refused, dropped or cut off; see `nuncio.Counters`.
    """

    def __init__(self, **options: Any) -> None:
        self.options = build(EngineOptions, options, "Engine")
        self.sessions: dict[str, Session] = {}
        self.cors = CorsPolicy.parse(self.options.cors)
        self.cookie = CookieOption.parse(self.options.cookie)
        self.compression = HttpCompression.parse(self.options.http_compression)
        self.deflate = message_compression(self.options.per_message_deflate)
        self.accept: Callable[[Session], Listener] = self._default_accept
        self.may_open: Callable[[], bool] | None = None
        self.serve_file: Callable[[Exchange], bool] | None = None
        self.on_host_starting: Callable[[], Awaitable[None]] | None = None
        self.on_host_stopping: Callable[[], None] | None = None
        self.settle: Callable[[float], Awaitable[None]] | None = None
        self.new_id: Callable[[], str] = new_id
        self.worker: Worker | None = None
        self.stopping = False
        self.traffic: Traffic | None = None
        self._kinds: tuple[type[Session], type[Session]] = (Session, Session3)
        self.counters = Counters()
        self.hosts: list[Any] = []
        self._wind_down = WindDown(self.sessions)
        self.events = Emitter(self.spawn, ENGINE_EVENTS)
        self.session_events = SESSION_EVENTS
        websockets = "websocket" in self.options.transports
        self._refusals = Refusals(self.events, websockets, self.counters)
        self._door = Door(
            self.options.limits,
            self.sessions,
            self._refusals,
            self.counters,
            lambda: self.config().wheel,
        )
        self.header_events = HeaderEvents(self.events)
        self._gates = Gates(self.options, self.cors, self._refusals)
        self._admission = Admission(self, self._gates, self._door, self._refusals)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._config: SessionConfig | None = None
        # Asked for every request.
        self._jsonp = self.options.allow_eio3
        path = self.options.path.rstrip("/")
        self._prefix = path + "/" if self.options.add_trailing_slash else path
        self._ways = ways_of(self)
        self.arrivals = Arrivals(self, self._admission, self._gates, self._refusals, self._ways)
        self._asked = {name: way for name, way in self._ways.items() if way.requests}
        self._open_tails = {name: self._open_tail(way) for name, way in self._ways.items()}

    def __setattr__(self, name: str, value: object) -> None:
        # In JavaScript one assigns `engine.generateId`. Here it would have no effect.
        ours = in_snake_case(name)
        if ours in _OPTIONS:
            raise OptionError(f"{name} is an option: give it to the server, {ours}=…")
        object.__setattr__(self, name, value)

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

        It may set headers (`response.set_header`), answer itself (`response.end`), or raise
        `nuncio.ConnectError` to refuse the request. So does any other exception, but that is
        logged as a failure. It may be async.

        Raises:
            OptionError: when it cannot be called with a request and a response.
        """
        self._gates.use(middleware)
        return middleware

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event: `on(event, listener)`, or `@on(event)`.

        Args:
            event: `connection(session)`; `connection_error(failure)`, see `ConnectionFailure`;
                `initial_headers(headers, request)`, before a session's first response, and
                `headers(headers, request)`, before each: what is changed in `headers`, a dict, is
                sent.
            listener: a function, which may be async; those of headers may not.

        Raises:
            TypeError: when it cannot be called.
            OptionError: when there is no such event.
        """
        return self.events.on(event, listener)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only; see `on`."""
        return self.events.once(event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Remove one listener, all of an event, or all."""
        self.events.off(event, listener)

    def close(self, discard: bool = False) -> None:
        """End every session.

        Args:
            discard: drop what they have buffered; otherwise it is sent first.
        """
        for session in list(self.sessions.values()):
            session.close(discard)

    def asgi(self, other: Any = None) -> Any:
        """An ASGI application: the engine's path, and `other` for everything else.

        Args:
            other: the application for everything else; None answers 404.
        """
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

    # What ways use.

    @property
    def refusals(self) -> Refusals:
        """Answers who is not let in."""
        return self._refusals

    # What hosts use.

    def matches(self, path: str) -> bool:
        """Whether a request path is the engine's."""
        prefix = self._prefix
        if not path.startswith(prefix):
            return False
        # Without its slash the path must not take its longer neighbours.
        return prefix[-1:] == "/" or path[len(prefix) : len(prefix) + 1] in ("", "/")

    def scripted(self, request: Request) -> bool:
        """Whether the answers will be scripts (JSONP), which any page can load and read."""
        return self._jsonp and "j" in request.query

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
                options.limits.droppable_bytes,
                self.counters,
            )
            self._config = config
        return config

    def _abandon(self) -> None:
        """Forget the sessions of a loop that ended without closing them."""
        self.resume()
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
        if self._gates.may_wait or (upgrade and self.worker is not None):
            return self._handle(exchange, upgrade)
        request = exchange.request
        admitted = True
        script = self._jsonp and self.scripted(request)
        if self.cors.enabled or script or request.header(b"origin") is not None:
            admitted = bool(self.cors.admits(request, script))
            if self._admission.cors(exchange, admitted, upgrade):
                return None
        if admitted and not upgrade and follow_up(self.sessions, exchange):
            return None
        if self._is_file(exchange, upgrade):
            return None
        if self._verify(exchange, upgrade, admitted):
            self._open(exchange, upgrade, self.new_id())
        return None

    async def _handle(self, exchange: Exchange, upgrade: bool) -> None:
        admission = self._admission
        admitted = await admission.admitted(exchange)
        if exchange.done:
            return
        # CORS headers come first, so that every answer carries them.
        if admission.cors(exchange, admitted, upgrade) or self._is_file(exchange, upgrade):
            return
        if not await self._gates.run_middlewares(exchange, upgrade):
            return
        if upgrade and admitted and await self._attempt_elsewhere(exchange):
            return
        if not self._verify(exchange, upgrade, admitted):
            return
        id = await admission.id_for(exchange, upgrade)
        if id is not None:
            self._open(exchange, upgrade, id)

    def _is_file(self, exchange: Exchange, upgrade: bool) -> bool:
        """Whether the request was for a file that is served beside, and is answered."""
        serve = self.serve_file
        return serve is not None and not upgrade and serve(exchange)

    def _verify(self, exchange: Exchange, upgrade: bool, admitted: bool) -> bool:
        """The checks; True when a new session is to be opened."""
        request = exchange.request
        query = request.query
        name = query.get("transport", "")
        way = self._asked.get(name)
        if way is None:
            self._refusals.refuse(exchange, upgrade, UNKNOWN_TRANSPORT, {"transport": name})
            return False
        if not self._admission.check_origin(exchange, upgrade, admitted):
            return False
        sid = query.get("sid")
        if sid:
            self._existing(exchange, upgrade, sid, way)
            return False
        if request.method != way.method:
            self._refusals.refuse(
                exchange, upgrade, BAD_HANDSHAKE_METHOD, {"method": request.method}
            )
            return False
        if way.upgrade != upgrade:
            self._refusals.bad_request(exchange, upgrade, "TRANSPORT_HANDSHAKE_ERROR")
            return False
        if not self._admission.may_knock(exchange, upgrade):
            return False
        # With an application to ask, the protocol is checked after it was asked.
        asked_first = self.options.allow_request is not None
        return asked_first or self._admission.check_protocol(exchange, upgrade)

    # Requests of sessions there are.

    def _existing(self, exchange: Exchange, upgrade: bool, sid: str, way: Way) -> None:
        session = self.sessions.get(sid)
        if session is None:
            worker = self.worker
            if worker is None or upgrade or not worker.forwarder.take(exchange, sid):
                self.unknown_session(exchange, upgrade, sid)
            return
        previous = session.transport.name
        if not upgrade and previous != way.name and not (way.probes and not way.upgrade):
            self._refusals.bad_request(
                exchange,
                upgrade,
                "TRANSPORT_MISMATCH",
                transport=way.name,
                previous_transport=previous,
            )
            return
        revision = revision_of(exchange.request)
        if revision != session.protocol:
            self._refusals.bad_request(
                exchange,
                upgrade,
                "PROTOCOL_MISMATCH",
                protocol=revision,
                previous_protocol=session.protocol,
            )
        elif way.upgrade != upgrade:
            self._refusals.bad_request(exchange, upgrade, "TRANSPORT_HANDSHAKE_ERROR")
        elif not self._follow(exchange, session, way):
            self._attempt(exchange, session, way)

    def _follow(self, exchange: Exchange, session: Session, way: Way) -> bool:
        """Whether the request belonged to a transport there is, and was taken."""
        transport: Transport | None = session.transport
        if session.transport.name != way.name:
            transport = session.trying(way.name)
        return transport is not None and way.follow(exchange, transport)

    def _attempt(self, exchange: Exchange, session: Session, way: Way) -> None:
        if not way.probes:
            self._refusals.bad_request(exchange, way.upgrade, "TRANSPORT_HANDSHAKE_ERROR")
            return
        transport = way.attempt(exchange)
        if transport is not None:
            self.probe(session, transport)

    # Sessions of several workers.

    async def _attempt_elsewhere(self, exchange: Exchange) -> bool:
        """Whether the handshake is for a session of another worker, and was passed on."""
        worker, query = self.worker, exchange.request.query
        sid, way = query.get("sid"), self._ways.get(query.get("transport", ""))
        if worker is None or not sid or way is None or not way.upgrade or sid in self.sessions:
            return False
        return await worker.forwarder.attempt(exchange, sid)

    def accept_attempt(self, exchange: Exchange) -> Transport | None:
        """The transport that a session of another worker tries."""
        return self._ways[exchange.request.query["transport"]].attempt(exchange)

    def follow(self, exchange: Exchange, sid: str, *, upgrade: bool = False) -> None:
        """Take a request that another worker passed on, and has checked as its own."""
        way = self._ways.get(exchange.request.query.get("transport", ""))
        if way is None:
            self._refusals.refuse(exchange, upgrade, UNKNOWN_TRANSPORT, {})
        elif sid:
            self._existing(exchange, upgrade, sid, way)
        elif self._admission.has_room(exchange, upgrade):
            # That worker lets nobody in any more.
            self._open(exchange, upgrade, self.new_id())

    def unknown_session(self, exchange: Exchange, upgrade: bool, sid: str) -> None:
        """Refuse a request of a session that there is not, or no longer."""
        self._refusals.refuse(exchange, upgrade, UNKNOWN_SID, {"sid": sid})

    def may_probe(self, session: Session, name: str) -> bool:
        """Whether a session may now try a transport of this name."""
        ways = self._ways
        better = ways[session.transport.name].better if session.transport.name in ways else ()
        return not session.upgrading and session.ready_state == "open" and name in better

    def probe(self, session: Session, transport: Transport) -> None:
        """Let a session try a transport that its client has opened."""
        if self.may_probe(session, transport.name):
            session.probe(transport)
            transport.flush()
        else:
            transport.discard()

    # New sessions.

    def _open(self, exchange: Exchange, upgrade: bool, id: str) -> None:
        transport = self._ways[exchange.request.query["transport"]].open(exchange, id)
        if transport is not None:
            self.begin(exchange.request, transport, id)

    # What ways use.

    def refuse(self, exchange: Exchange, name: str) -> None:
        """Refuse a request as a bad one, which is counted and told, for the reason `name`."""
        self._refusals.bad_request(exchange, False, name)

    def forbid(self, exchange: Exchange, name: str) -> None:
        """Refuse a request that its sender may not make, for the reason `name`."""
        self._refusals.refuse(exchange, False, FORBIDDEN, {"name": name})

    def begin(self, request: Request, transport: Transport, id: str) -> None:
        """Open a session over a transport that has passed every check.

        Args:
            request: that the client came with.
            transport: what it opened.
            id: the session's.
        """
        kind = self._kinds[revision_of(request) != 4]
        session = kind(self, self.config(), id, transport, request)
        self.sessions[id] = session
        self._door.opened(request)
        handshake = b'0{"sid":' + msgspec.json.encode(id) + self._open_tails[transport.name]
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

    def begin_later(self, request: Request, transport: Transport, id: str) -> bool:
        """As `begin`, for a request that was answered some time before its transport was there.

        Returns:
            False when there is no room for another session any more, and none was opened.
        """
        if self.stopping or id in self.sessions or self._door.is_full(request, self.may_open):
            return False
        self.begin(request, transport, id)
        return True

    def _open_tail(self, way: Way) -> bytes:
        """The open packet's rest, behind the session's id."""
        options = self.options
        better = [name for name in way.better if name in options.transports]
        handshake = {
            "upgrades": better if options.allow_upgrades else [],
            "pingInterval": round(options.ping_interval * 1000),
            "pingTimeout": round(options.ping_timeout * 1000),
            "maxPayload": options.max_http_buffer_size,
        }
        return b"," + msgspec.json.encode(handshake)[1:]

    def meter(self) -> Traffic:
        """Count what goes through the sessions that are opened from now on.

        Returns:
            The counts: whoever asks reads and clears them.
        """
        if self.traffic is None:
            self.traffic = Traffic()
            self._kinds = (MeteredSession, MeteredSession3)
        return self.traffic

    # What sessions use.

    def session_closed(self, session: Session) -> None:
        """Forget a session."""
        self.sessions.pop(session.id, None)
        self._door.closed(session.request)
        if self.stopping:
            self._wind_down.session_closed()

    async def start(self) -> None:
        """A host begins: it lets nobody in before this has ended.

        Raises:
            Exception: whatever keeps the application from serving; then the host must not begin.
        """
        self.resume()
        if self.on_host_starting is not None:
            await self.on_host_starting()

    def host_stopping(self) -> None:
        """The host asks connections to end."""
        self.stopping = True
        if self.on_host_stopping is not None:
            self.on_host_stopping()
        else:
            self.close()

    def resume(self) -> None:
        """A host begins, perhaps after an end: sessions may be opened."""
        self.stopping = False
        self._wind_down.begin_anew()

    async def drain(self, window: float) -> None:
        """See `nuncio.engine.drain`."""
        await drain(self, window)

    async def wind_down(self, seconds: float) -> None:
        """Wait, after `close` or `host_stopping`, until everything has come to rest.

        What sessions have buffered still leaves as far as clients take it, and the application's
        handlers end. What has not by then is given up.

        Args:
            seconds: how long that may take.
        """
        self.stopping = True
        limit = asyncio.get_running_loop().time() + seconds
        await self._wind_down.run(seconds, self.settle)
        for way in self._ways.values():
            await way.settle(max(0.0, limit - asyncio.get_running_loop().time()))

    def _default_accept(self, session: Session) -> Listener:
        listener = EventListener(session)
        self.events.emit("connection", session)
        return listener
