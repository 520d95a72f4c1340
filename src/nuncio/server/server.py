"""The Socket.IO server: options, namespaces, and how it starts and ends."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from nuncio.cluster.adapter import Adapter
from nuncio.cluster.memory import MemoryAdapter
from nuncio.cluster.rooms import Room
from nuncio.engine.engine import Engine
from nuncio.engine.event_names import CONN_EVENTS
from nuncio.engine.options import EngineOptions
from nuncio.engine.rates import Buckets, address_of
from nuncio.engine.request import Exchange
from nuncio.engine.session import Session
from nuncio.errors import DisconnectReason, OptionError
from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler
from nuncio.options import HOUR, build, seconds, unknown_option
from nuncio.presence.options import presence_options
from nuncio.presence.presence import Presence
from nuncio.server.broadcasting import promises
from nuncio.server.classes import check_unregistered, checked_name, register_methods
from nuncio.server.client_files import ClientFiles
from nuncio.server.connection import Connection
from nuncio.server.console import ConsoleSite, answer_off
from nuncio.server.console_access import parse_console
from nuncio.server.delivery import Undelivered, UndeliveredEvent
from nuncio.server.facade import Facade
from nuncio.server.factories import check_factory, make_namespace
from nuncio.server.generics import D, U, subscripted
from nuncio.server.hints import Hints
from nuncio.server.meter import Meter
from nuncio.server.namespace import Namespace
from nuncio.server.oldclients import OldConnection
from nuncio.server.options import ServerOptions, recovery_options
from nuncio.server.parent import ParentNamespace
from nuncio.server.participation import Participants
from nuncio.server.peering import PEERS_NAMESPACE, Peering
from nuncio.workers.group import Worker, place_of

N = TypeVar("N", bound=Namespace)

logger = logging.getLogger("nuncio")

_SERVER_OPTIONS = [field.name for field in dataclasses.fields(ServerOptions)]
_ENGINE_OPTIONS = [field.name for field in dataclasses.fields(EngineOptions)]


# A namespace that another worker needed, and did not use after so long, goes again.
_NEEDED_SECONDS = 2.0


class Server(Facade[D, U], Peering, Hints):
    """A Socket.IO server (Socket.IO protocol v5 over Engine.IO protocol v4).

        io = nuncio.Server()

        @io.event
        def message(socket, text):
            io.emit("message", text)

        io.run(port=3000)

    Registering, sending and choosing recipients on the server itself mean the default namespace,
    as in JavaScript.

    Args:
        options: the official options in snake_case, durations in seconds: see `ServerOptions` and
            `EngineOptions`. Among them `data`, a class or function without arguments that makes
            `socket.data` when it is first used; without it that is an empty dict.

    Raises:
        OptionError: for an unknown option, with the nearest known name, or a value out of range.

    Attributes:
        engine: the Engine.IO server: `engine.use`, `engine.on`, `engine.clients_count`.
        parser: how its packets are written.
        counters: what was refused, dropped or cut off; see `Counters`.
    """

    @overload
    def __init__(self, *, data: Callable[[], D], **options: Any) -> None: ...

    @overload
    def __init__(self, *misplaced: Any, **options: Any) -> None: ...

    def __init__(self, *misplaced: Any, **options: Any) -> None:
        if misplaced:
            raise OptionError(
                f"Server takes options by name only, not {misplaced[0]!r}: give the port to "
                "io.run(port=…), and another application to io.asgi(app)"
            )
        super().__init__()
        known = _SERVER_OPTIONS + _ENGINE_OPTIONS
        for name in options:
            if name not in known:
                raise unknown_option(name, known, "Server")
        mine = {name: options.pop(name) for name in _SERVER_OPTIONS if name in options}
        self.options = build(ServerOptions, mine, "Server")
        self.engine = Engine(**{"path": "/socket.io", **options})
        self.limits = self.engine.options.limits
        self.counters = self.engine.counters
        self._addresses: Buckets | None = None
        self.parser = self.options.parser
        self.recovery = recovery_options(self.options.connection_state_recovery)
        promises(self.options.delivery, self.recovery is not None)
        self.parents: list[ParentNamespace] = []
        self.handshakes = 0
        self._participants = Participants(self)
        self.engine.accept = self._accept
        self.engine.session_events = CONN_EVENTS
        self.engine.may_open = self._may_open
        self.engine.on_host_starting = self._start
        self.engine.on_host_stopping = self._stop
        self.engine.settle = self.settle
        self._worker = self._make_worker()
        self._client_files = ClientFiles.parse(self.options.serve_client)
        settings = parse_console(self.options.console)
        self._console = None if settings is None else ConsoleSite(self, settings)
        self.engine.serve_file = self._serve_file
        self._namespaces: dict[str, Namespace[D, U]] = {}
        self._listening: list[Any] = []
        self.threads.used = self.options.threads
        self._warned_undelivered = False
        self._presences: dict[str, Presence] = {}
        self.admin: Any = None

    def __class_getitem__(cls, parameters: Any) -> Any:
        return subscripted(cls, parameters)

    def __repr__(self) -> str:
        return f"<nuncio.Server with {self.engine.clients_count} clients>"

    # Namespaces.

    def default_namespace(self) -> Namespace[D, U]:
        """See `Facade.default_namespace`."""
        return self.of("/")

    def all_namespaces(self) -> list[Namespace[D, U]]:
        """Those that clients may be in, then the parents of dynamic ones."""
        return [*self._namespaces.values(), *self.parents]

    @overload
    def of(self, name: str) -> Namespace[D, U]: ...

    @overload
    def of(self, name: str, factory: Callable[[str], N]) -> N: ...

    @overload
    def of(
        self,
        name: re.Pattern[str] | Callable[..., Any],
        factory: Callable[[str], Namespace] | None = None,
    ) -> ParentNamespace: ...

    def of(self, name: Any, factory: Callable[[str], Namespace] | None = None) -> Namespace[D, U]:
        """A namespace, made when first asked for; or the parent of dynamic ones.

        Args:
            name: with or without its leading `/`; or a pattern that is searched for in the names
                clients ask for; or a predicate `(name, auth) -> bool`, which may be async.
            factory: a class derived from `Namespace`, or a function that makes an object of one,
                called with the name.

        Raises:
            OptionError: for what is no name, or when the namespace is there already, made
                otherwise.
        """
        if factory is not None:
            check_factory(factory)
        if isinstance(name, re.Pattern):
            return self._parent(name, None, factory)
        if callable(name) and not isinstance(name, type):
            asked = bind(name, "new_namespace", takes_socket=False, lifecycle=True, injects=False)
            return self._parent(None, asked, factory)
        name = checked_name(name)
        nsp = self._namespaces.get(name)
        if factory is not None:
            if nsp is not None and isinstance(factory, type) and isinstance(nsp, factory):
                return nsp
            return self._add(make_namespace(factory, name), name, None)
        if nsp is None:
            parent = next((one for one in self.parents if one.matches(name)), None)
            nsp = self._make_namespace(name, parent)
        return nsp

    def register(self, nsp: N) -> N:
        """Serve a namespace of the application's own class: `io.register(Chat("/chat"))`.

        Args:
            nsp: the object; its class is derived from `Namespace`.

        Returns:
            the same object.

        Raises:
            OptionError: when it is registered already, or another namespace has its name, or a
                method cannot be a handler.
        """
        check_unregistered(nsp)
        self._add(nsp, checked_name(nsp.name), None)
        return nsp

    def _parent(
        self,
        pattern: re.Pattern[str] | None,
        predicate: Handler | None,
        factory: Callable[[str], Namespace] | None,
    ) -> ParentNamespace:
        if pattern is not None and not isinstance(pattern.pattern, str):
            raise OptionError(f"name: the pattern must be of str, not {pattern.pattern!r}")
        name = f"/_{len(self.parents)}"
        parent = ParentNamespace(self, name, self.options.concurrency, pattern, predicate)
        parent.factory = factory
        self.parents.append(parent)
        self._participants.added(parent)
        return parent

    def _make_namespace(self, name: str, parent: ParentNamespace | None) -> Namespace[D, U]:
        factory = Namespace if parent is None or parent.factory is None else parent.factory
        return self._add(make_namespace(factory, name), name, parent)

    def _make_child(self, name: str, parent: ParentNamespace) -> Namespace[D, U] | None:
        """The namespace that a client asks for; None when the application fails to make it."""
        try:
            return self._make_namespace(name, parent)
        except Exception as error:
            self.report(error, None, "connection")
            return None

    def _add(
        self, nsp: Namespace[D, U], name: str, parent: ParentNamespace | None
    ) -> Namespace[D, U]:
        check_unregistered(nsp)
        if name in self._namespaces:
            raise OptionError(
                f"the namespace {name} is there already: register its class before anything else "
                + ("is done with the server" if name == "/" else "asks for it")
            )
        nsp.attach(self, name, self.options.concurrency)
        if parent is not None:
            parent.adopt(nsp)
        register_methods(nsp)
        self._namespaces[name] = nsp
        main = self._namespaces.get("/")
        if main is not None and nsp is not main:
            for listener in main.listeners("new_namespace"):
                self.guard(listener, [nsp], None, "new_namespace")
        self._participants.added(nsp)
        return nsp

    def _make_worker(self) -> Worker | None:
        place = place_of(self.options.workers)
        if place is None:
            return None
        worker = Worker(self.engine, place)
        worker.mesh.on_needed = self._have_child
        self.engine.worker = worker
        self.engine.new_id = worker.own_id
        return worker

    @property
    def presence(self) -> Presence:
        """Who is in the rooms of the default namespace, on all servers; see `nuncio.Presence`."""
        return self.presence_of(self.of("/"))

    def presence_of(self, nsp: Any) -> Presence:
        """Who is in the rooms of a namespace; made when first asked for."""
        presence = self._presences.get(nsp.name)
        if presence is None:
            presence = Presence(nsp, presence_options(self.options.presence))
            self._presences[nsp.name] = presence
        return presence

    def present(self, nsp: str, id: str) -> list[tuple[Room, str | int, Any]]:
        """Where a socket is told as present; see `Presence.stays`."""
        presence = self._presences.get(nsp)
        return [] if presence is None else presence.stays(id)

    def attach_admin(self, admin: Any) -> None:
        """Let an admin page see this server; see `nuncio.instrument`."""
        self.admin = admin
        if self._participants.serving:
            admin.begin()

    def make_adapter(self, nsp: Any) -> Adapter:
        """The adapter of a new namespace."""
        make = self.options.adapter
        if make is None:
            make = MemoryAdapter if self._worker is None else self._worker.adapter
        adapter = make(nsp)
        if not isinstance(adapter, Adapter):
            raise OptionError(
                f"adapter must return a nuncio.cluster.Adapter for a namespace, not {adapter!r}"
            )
        if self._worker is not None and self.options.adapter is not None and nsp.name == "/":
            self._check_recovery(adapter)
        return adapter

    def _check_recovery(self, adapter: Any) -> None:
        """Warn when clients of several workers could come back to one of them only."""
        if getattr(adapter, "log", None) is not None:
            logger.warning(
                "connection_state_recovery: with %s a client recovers only where it was before, "
                "and its next request may reach any worker; leave the adapter out, as workers are "
                "joined without one, or use one with a log, such as RedisStreamsAdapter",
                type(self.options.adapter).__name__,
            )

    def find_namespace(self, name: str) -> Namespace[D, U] | None:
        """A namespace a client asked for; None when there is no such."""
        return self.sockets if name == "/" else self._namespaces.get(name)

    def match_namespace(self, name: str, auth: Any) -> Any:
        """Make a dynamic namespace, if the application wants one of this name.

        Returns:
            The namespace, or None; or an awaitable of these.
        """
        if name == PEERS_NAMESPACE or self._too_many_children():
            return None
        for index, parent in enumerate(self.parents):
            try:
                verdict = parent.ask(name, auth)
            except Exception as error:
                # A gate that fails stays shut.
                self.report(error, None, "connection")
                return None
            if hasattr(verdict, "__await__"):
                return self._match(verdict, self.parents[index:], name, auth)
            if verdict:
                return self._make_child(name, parent)
        return None

    async def _match(
        self, verdict: Any, parents: list[ParentNamespace], name: str, auth: Any
    ) -> Namespace | None:
        """Go on where the first of these parents asks for time."""
        for index, parent in enumerate(parents):
            if index:
                verdict = parent.ask(name, auth)
            if hasattr(verdict, "__await__"):
                verdict = await verdict
            # Meanwhile other clients may have asked for it, or for others.
            there = self._namespaces.get(name)
            if there is not None:
                return there
            if verdict:
                return None if self._too_many_children() else self._make_child(name, parent)
        return None

    def _have_child(self, name: str) -> None:
        """Another worker ends, and has clients of a dynamic namespace for this one to remember."""
        if name in self._namespaces or self.engine.stopping or self._too_many_children():
            return
        parent = next((one for one in self.parents if one.matches(name)), None)
        child = None if parent is None else self._make_child(name, parent)
        if child is not None:
            # Perhaps another one was sooner, and nobody will come.
            asyncio.get_running_loop().call_later(_NEEDED_SECONDS, child.session_left)

    def _too_many_children(self) -> bool:
        there = sum(len(parent.children) for parent in self.parents)
        if there < self.limits.dynamic_namespaces:
            return False
        self.counters.refused_joins += 1
        return True

    def child_emptied(self, nsp: Namespace) -> None:
        """A dynamic namespace has no clients any longer."""
        if not self.options.cleanup_empty_child_namespaces or nsp.adapter.occupied:
            return
        if self._namespaces.get(nsp.name) is nsp:
            del self._namespaces[nsp.name]
            nsp.parent.children.pop(nsp.name, None)
            presence = self._presences.pop(nsp.name, None)
            if presence is not None:
                presence.end()
            self.spawn(nsp.participation.end(self.report_adapter))

    def undelivered(
        self,
        nsp: Namespace,
        sid: str,
        data: Any,
        user: Any,
        reason: str,
        payloads: list[list[Any]],
    ) -> None:
        """Tell the application what was promised to a client and not acknowledged."""
        if not payloads:
            return
        events = tuple(
            UndeliveredEvent(payload[-1], payload[0], tuple(payload[1:-1])) for payload in payloads
        )
        report = Undelivered(sid, nsp.name, data, user, reason, events)
        listeners = nsp.lifecycle.get("undelivered", [])
        for listener in listeners:
            self.guard(listener.function, [report], None, "undelivered")
        if not listeners and not self._warned_undelivered:
            self._warned_undelivered = True
            logger.warning(
                "events that were promised were not delivered, and nobody handles it: register "
                '@io.on("undelivered"); said once'
            )

    # Numbers.

    def stats(self) -> dict[str, int]:
        """Numbers as they are now: what there is, and all of `counters`.

        Returns:
            `connections`, `handshakes` (those of them that have not joined a namespace yet),
            `sockets`, `namespaces`, `tasks` (handlers and others that wait), and what `Counters`
            has.
        """
        namespaces = self._namespaces.values()
        return {
            "connections": len(self.engine.sessions),
            "handshakes": self.handshakes,
            "sockets": sum(len(nsp.sockets) for nsp in namespaces),
            "namespaces": len(namespaces),
            "tasks": len(self.running),
            **self.counters.snapshot(),
        }

    # Serving.

    def client_url(self, name: str = "socket.io.min.js") -> str:
        """The URL of a file that `serve_client` serves, for a page's `<script>`.

        It carries the file's version, so browsers may keep what they get under it for a year.

        Args:
            name: the file's.

        Returns:
            The URL, without scheme and host; where the server is mounted below another path, that
            goes in front.

        Raises:
            OptionError: when no such file is served.
        """
        files = self._client_files
        if files is None:
            raise OptionError("no client is served: see the option serve_client")
        return files.url(name, self.engine.path)

    def asgi(self, other: Any = None) -> Any:
        """An ASGI application for any ASGI server.

        Args:
            other: the application for everything that is not Socket.IO's; None answers 404.
        """
        self._beside(other)
        return self.engine.asgi(other)

    def run(self, host: str = "127.0.0.1", port: int = 3000, **options: Any) -> None:
        """Serve until interrupted (Ctrl-C or SIGTERM), then end in order.

        Args:
            host: the address to listen on; `0.0.0.0` for all.
            port: the port; 0 for any free one.
            options: `app` (the ASGI application served beside), `ssl_certfile`, `ssl_keyfile`,
                `ssl_keyfile_password`, `uds` (a Unix socket's path), `backlog`,
                `forwarded_allow_ips` (proxies to be trusted), `log_level`, `shutdown_timeout`
                (seconds that a stop may take), `webtransport` (see
                `nuncio.webtransport.WebTransportOptions`).

        Raises:
            OptionError: for a wrong option, files of TLS that cannot be used, or when an event loop
                is running already: there `await io.listen(…)` serves.
            OSError: when the address cannot be listened on.
        """
        from nuncio.hosts.serve import run

        self._beside(options.get("app"))
        run(self.engine, host, port, **options)

    async def listen(self, port: int = 3000, host: str = "127.0.0.1", **options: Any) -> Any:
        """Serve in the running event loop; returns when connections are accepted.

        Args:
            port: the port; 0 for any free one.
            host: the address to listen on.
            options: see `run`.

        Returns:
            The listening server, which has `.port` and `await .close()`, and is an async context
            manager, too.
        """
        from nuncio.hosts.serve import listen

        self._beside(options.get("app"))
        listening = await listen(self.engine, host, port, **options)
        self._listening.append(listening)
        return listening

    def _beside(self, other: Any) -> None:
        # Web frameworks run what is no coroutine in threads.
        if other is not None:
            self.threads.used = True

    async def close(self, timeout: float = 10.0) -> None:
        """End every connection, wait for running handlers, and stop listening.

        Sockets end at once, with the reason `server shutting down`. What was emitted before still
        reaches the clients; they see `transport close` and reconnect. Closing twice does no harm.

        Args:
            timeout: seconds that clients which are behind, and running handlers, may still take;
                the clients at most half of them.
        """
        self._stop()
        await self.engine.wind_down(timeout)
        for host in self.engine.hosts:
            host.should_exit = True
        for listening in self._listening:
            await listening.close()
        self._listening.clear()

    async def drain(self, window: float = 10.0, timeout: float = 10.0) -> None:
        """Send the clients to other servers, spread over a time, then close.

        Nobody is let in any more, and no connection is accepted. Each client's connection ends in
        order, at a moment of its own; it connects again, to a server that accepts it.

        Args:
            window: seconds over which the clients are sent away.
            timeout: see `close`.
        """
        seconds("window", window, most=HOUR)
        await self.engine.drain(window)
        await self.close(timeout)

    async def settle(self, seconds: float) -> None:
        """See `Tasks.settle`; at last the namespaces leave the cluster."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        await super().settle(seconds)
        for presence in self._presences.values():
            presence.end()
        if self.admin is not None:
            self.admin.end()
        await self._participants.leave(limit - loop.time())
        if self._worker is not None:
            await self._worker.stop()

    async def _start(self) -> None:
        if self._worker is not None:
            await self._worker.start()
        await self._participants.start()
        for presence in self._presences.values():
            presence.begin()
        if self.admin is not None:
            self.admin.begin()

    def _stop(self) -> None:
        # Who reconnects while the last handlers end is told to come back later.
        self.engine.stopping = True
        self._participants.stop()
        for nsp in list(self._namespaces.values()):
            for socket in list(nsp.sockets.values()):
                socket.end(DisconnectReason.SERVER_SHUTTING_DOWN, "")
            nsp.adapter.give_up_sessions()
        self.engine.close()

    # What the engine asks.

    def _serve_file(self, exchange: Exchange) -> bool:
        files, path = self._client_files, self.engine.path
        if files is not None and files.serve(exchange, path):
            return True
        if self._console is None:
            return answer_off(exchange, path)
        return self._console.serve(exchange, path)

    def _may_open(self) -> bool:
        return self.handshakes < self.limits.handshakes

    def meter(self, connection: Connection) -> Meter | None:
        """What counts the events of a new connection; None where nothing limits them."""
        limits = self.limits
        if not limits.event_rates:
            return None
        addresses, address = self._addresses, ""
        if limits.events_per_address is not None:
            wheel = connection.wheel
            address = address_of(connection.session.request.client)
            if addresses is None or addresses.wheel is not wheel:
                addresses = Buckets(limits.events_per_address, limits.addresses, wheel)
                self._addresses = addresses
        return Meter(connection, limits, addresses, address, self.counters)

    def _accept(self, session: Session) -> Connection:
        self.threads.bind(self.engine.config().loop)
        if not self._participants.serving:
            self._participants.begin()
            if self.admin is not None:
                self.admin.begin()
        self.handshakes += 1
        wheel = self.engine.config().wheel
        if session.protocol == 4:
            connection = Connection(self, session, wheel)
            self.engine.events.emit("connection", session)
            return connection
        old = OldConnection(self, session, wheel)
        self.engine.events.emit("connection", session)
        if session.is_open:
            old.begin()
        return old
