"""The Socket.IO server: options, namespaces, and how it starts and ends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

from nuncio.cluster.rooms import Room
from nuncio.engine.engine import Engine
from nuncio.engine.options import EngineOptions
from nuncio.engine.session import Sent, Session
from nuncio.errors import DisconnectReason, OptionError
from nuncio.options import build, unknown_option
from nuncio.server.connection import Connection
from nuncio.server.namespace import Namespace
from nuncio.server.operator import BroadcastOperator
from nuncio.server.options import ServerOptions
from nuncio.server.socket import Socket
from nuncio.server.tasks import Tasks

H = TypeVar("H", bound=Callable[..., Any])

_SERVER_OPTIONS = [field.name for field in dataclasses.fields(ServerOptions)]
_ENGINE_OPTIONS = [field.name for field in dataclasses.fields(EngineOptions)]


class Server(Tasks):
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
            `EngineOptions`.

    Raises:
        OptionError: for an unknown option, with the nearest known name, or a value out of range.

    Attributes:
        engine: the Engine.IO server: `engine.use`, `engine.on`, `engine.clients_count`.
        sockets: the default namespace.
        parser: how its packets are written.
    """

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
        self.parser = self.options.parser
        self.handshakes = 0
        self.engine.accept = self._accept
        self.engine.may_open = self._may_open
        self.engine.on_host_stopping = self._stop
        self.engine.settle = self.settle
        self._namespaces: dict[str, Namespace] = {}
        self._listening: list[Any] = []
        self.sockets = self.of("/")

    def __repr__(self) -> str:
        return f"<nuncio.Server with {self.engine.clients_count} clients>"

    # Namespaces.

    def of(self, name: str) -> Namespace:
        """A namespace, made when first asked for.

        Args:
            name: with or without its leading `/`.

        Raises:
            OptionError: for what is no name.
        """
        if not isinstance(name, str):
            raise OptionError(f"name: a namespace's name is a str, not {name!r}")
        if "," in name:
            raise OptionError(f"name: a namespace's name cannot hold a comma: {name!r}")
        if not name.startswith("/"):
            name = "/" + name
        nsp = self._namespaces.get(name)
        if nsp is None:
            nsp = Namespace(self, name, self.options.concurrency)
            self._namespaces[name] = nsp
            if name != "/":
                for listener in self.sockets.listeners("new_namespace"):
                    self.guard(listener, [nsp], None, "new_namespace")
        return nsp

    def find_namespace(self, name: str) -> Namespace | None:
        """A namespace a client asked for; None when there is no such."""
        return self._namespaces.get(name)

    # The default namespace.

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """See `Namespace.on`."""
        return self.sockets.on(event, handler, **options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """See `Namespace.once`."""
        return self.sockets.once(event, handler, **options)

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """See `Namespace.off`."""
        self.sockets.off(event, handler)

    def listeners(self, event: str) -> list[Any]:
        """See `Namespace.listeners`."""
        return self.sockets.listeners(event)

    @overload
    def event(self, handler: H, **options: Any) -> H: ...

    @overload
    def event(self, handler: str | None = None, **options: Any) -> Callable[[H], H]: ...

    def event(self, handler: Any = None, **options: Any) -> Any:
        """See `Namespace.event`."""
        return self.sockets.event(handler, **options)

    def use(self, middleware: Callable[[Socket], Any]) -> Callable[[Socket], Any]:
        """See `Namespace.use`."""
        self.sockets.use(middleware)
        return middleware

    def emit(self, event: str, *args: object) -> Sent:
        """See `Namespace.emit`."""
        return self.sockets.emit(event, *args)

    def send(self, *args: object) -> Sent:
        """See `Namespace.send`."""
        return self.sockets.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[list[Any]]:
        """See `BroadcastOperator.emit_with_ack`; needs `timeout`."""
        return self.sockets.emit_with_ack(event, *args)

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Namespace.to`."""
        return self.sockets.to(rooms)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Namespace.to`."""
        return self.sockets.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Namespace.except_`."""
        return self.sockets.except_(rooms)

    @property
    def volatile(self) -> BroadcastOperator:
        """See `BroadcastOperator.volatile`."""
        return self.sockets.volatile

    @property
    def local(self) -> BroadcastOperator:
        """See `BroadcastOperator.local`."""
        return self.sockets.local

    def compress(self, compress: bool) -> BroadcastOperator:
        """See `BroadcastOperator.compress`."""
        return self.sockets.compress(compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """See `BroadcastOperator.timeout`."""
        return self.sockets.timeout(seconds)

    # Serving.

    def asgi(self, other: Any = None) -> Any:
        """An ASGI application for any ASGI server.

        Args:
            other: the application for everything that is not Socket.IO's; None answers 404.
        """
        return self.engine.asgi(other)

    def run(self, host: str = "127.0.0.1", port: int = 3000, **options: Any) -> None:
        """Serve until interrupted (Ctrl-C or SIGTERM), then end in order.

        Args:
            host: the address to listen on; `0.0.0.0` for all.
            port: the port; 0 for any free one.
            options: `app` (the ASGI application served beside), `ssl_certfile`, `ssl_keyfile`,
                `ssl_keyfile_password`, `uds` (a Unix socket's path), `backlog`,
                `forwarded_allow_ips` (proxies to be trusted), `log_level`, `shutdown_timeout`
                (seconds that a stop may take).
        """
        from nuncio.hosts.serve import run

        run(self.engine, host, port, **options)

    async def listen(self, port: int = 3000, host: str = "127.0.0.1", **options: Any) -> Any:
        """Serve in the running event loop; returns when connections are accepted.

        Args:
            port: the port; 0 for any free one.
            host: the address to listen on.
            options: see `run`.

        Returns:
            The listening server: `.port`, `await .close()`; also an async context manager.
        """
        from nuncio.hosts.serve import listen

        listening = await listen(self.engine, host, port, **options)
        self._listening.append(listening)
        return listening

    async def close(self, timeout: float = 10.0) -> None:
        """End every connection, wait for running handlers, and stop listening.

        Sockets end with the reason `server shutting down`; clients see `transport close` and
        reconnect. Closing twice does no harm.

        Args:
            timeout: seconds that running handlers may still take.
        """
        self._stop()
        await asyncio.sleep(0)
        await self.settle(timeout)
        for nsp in list(self._namespaces.values()):
            await nsp.adapter.close()
        for host in self.engine.hosts:
            host.should_exit = True
        for listening in self._listening:
            await listening.close()
        self._listening.clear()

    def _stop(self) -> None:
        # Who reconnects while the last handlers end is told to come back later.
        self.engine.stopping = True
        for nsp in list(self._namespaces.values()):
            for socket in list(nsp.sockets.values()):
                socket.end(DisconnectReason.SERVER_SHUTTING_DOWN, "")
        self.engine.close()

    # What the engine asks.

    def _may_open(self) -> bool:
        return self.handshakes < self.limits.handshakes

    def _accept(self, session: Session) -> Connection:
        self.threads.bind(self.engine.config().loop)
        self.handshakes += 1
        connection = Connection(self, session, self.engine.config().wheel)
        self.engine.events.emit("connection", session)
        return connection
