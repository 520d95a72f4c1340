"""What a server passes on to its default namespace: `io.on` means `io.sockets.on`.

It is so in JavaScript, too. Nothing is decided here, and each method is one line. `Namespace` and
`BroadcastOperator` say what they do.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar, overload

from nuncio.cluster.rooms import Room
from nuncio.engine.sent import Sent
from nuncio.server.generics import D, U
from nuncio.server.namespace import Namespace
from nuncio.server.operator import BroadcastOperator
from nuncio.server.socket import Socket
from nuncio.server.tasks import Tasks

H = TypeVar("H", bound=Callable[..., Any])


class Facade(Tasks, Generic[D, U]):
    """The default namespace's methods, on the server itself."""

    @functools.cached_property
    def sockets(self) -> Namespace[D, U]:
        """The default namespace."""
        return self.default_namespace()

    def default_namespace(self) -> Namespace[D, U]:
        """Asked once, when it is first needed."""
        raise NotImplementedError

    # Listening.

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

    def use(self, middleware: Callable[[Socket[D, U]], Any]) -> Callable[[Socket[D, U]], Any]:
        """See `Namespace.use`."""
        self.sockets.use(middleware)
        return middleware

    # Sending, and choosing recipients.

    def emit(self, event: str, *args: object) -> Sent:
        """See `BroadcastOperator.emit`."""
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

    def delivery(self, guarantee: str) -> BroadcastOperator:
        """See `BroadcastOperator.delivery`."""
        return self.sockets.delivery(guarantee)

    def when_slow(self, policy: Any) -> BroadcastOperator:
        """See `BroadcastOperator.when_slow`."""
        return self.sockets.when_slow(policy)

    def fetch_sockets(self) -> Awaitable[list[Any]]:
        """See `BroadcastOperator.fetch_sockets`."""
        return self.sockets.fetch_sockets()

    def sockets_join(self, rooms: Room | Iterable[Room]) -> None:
        """See `BroadcastOperator.sockets_join`."""
        self.sockets.sockets_join(rooms)

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> None:
        """See `BroadcastOperator.sockets_leave`."""
        self.sockets.sockets_leave(rooms)

    def disconnect_sockets(self, close: bool = False) -> None:
        """See `BroadcastOperator.disconnect_sockets`."""
        self.sockets.disconnect_sockets(close)

    # Messages between servers.

    def server_side_emit(self, event: str, *args: object) -> None:
        """See `Namespace.server_side_emit`."""
        self.sockets.server_side_emit(event, *args)

    def server_side_emit_with_ack(
        self, event: str, *args: object, timeout: float = 5.0
    ) -> Awaitable[list[Any]]:
        """See `Namespace.server_side_emit_with_ack`."""
        return self.sockets.server_side_emit_with_ack(event, *args, timeout=timeout)

    @overload
    def on_server(self, event: str, handler: H) -> H: ...

    @overload
    def on_server(self, event: str, handler: None = None) -> Callable[[H], H]: ...

    def on_server(self, event: str, handler: Any = None) -> Any:
        """See `Namespace.on_server`."""
        return self.sockets.on_server(event, handler)
