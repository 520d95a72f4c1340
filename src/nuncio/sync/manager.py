"""One connection, several namespaces, for code that blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

from nuncio.client.engine import EngineClient
from nuncio.client.manager import Manager as InnerManager
from nuncio.client.options import ManagerOptions, SocketOptions, split
from nuncio.client.url import parse
from nuncio.sync.asked import asked
from nuncio.sync.home import CLOSED, Home, Lease
from nuncio.sync.inner import LoopManager
from nuncio.sync.places import check_place
from nuncio.sync.socket import ClientSocket, refuse_async

logger = logging.getLogger("nuncio.client")

L = TypeVar("L", bound=Callable[..., Any])


class Manager:
    """One connection to a server. Every method may be called from any thread.

        with nuncio.sync.Manager("https://example.com") as manager:
            chat = manager.socket("/chat", auth={"token": "…"})

    It is a context manager, which closes it and its sockets.

    Args:
        url: the server's; its path has no meaning here, namespaces are given to `socket`.
        options: see `nuncio.client.ManagerOptions`, and those of `nuncio.client.SocketOptions` as
            defaults for `socket`. `concurrency` is 1 unless given: handlers of one socket run one
            after the other.

    Raises:
        OptionError: for a wrong URL or option, with the fix.
        RuntimeError: in the thread of an event loop.
    """

    def __init__(self, url: str, **options: Any) -> None:
        check_place()
        manager, socket = split(prepared(options))
        target, checked = parse(url), ManagerOptions(**manager)
        SocketOptions(**socket)
        lease = Lease()
        try:
            inner = lease.home.run(LoopManager.at, lease.home, target, checked, socket)
        except BaseException:
            lease.release()
            raise
        self._begin(lease.home, inner, lease)
        inner.front = self

    def _begin(self, home: Home, inner: LoopManager, lease: Lease | None) -> None:
        self._home = home
        self._inner = inner
        self._lease = lease
        self._fronts: dict[str, ClientSocket] = {}

    def __repr__(self) -> str:
        return f"<nuncio.sync.Manager of {self._inner.target.origin} {self.ready_state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it is.

    @property
    def ready_state(self) -> str:
        """`closed`, `opening` or `open`."""
        return self._inner.ready_state

    @property
    def engine(self) -> EngineClient | None:
        """The Engine.IO client of the latest connection, or None before the first.

        It belongs to the thread of the connections: look at `engine.transport.name` and the like,
        but call nothing.
        """
        return self._inner.engine

    # Sockets.

    def socket(self, nsp: str = "/", **options: Any) -> ClientSocket:
        """The socket of a namespace; the same one each time until it is closed.

        It connects by itself, unless the Manager has `auto_connect=False`, and does not wait for
        that: write `socket.wait_connected()`.

        Args:
            nsp: the namespace's name.
            options: `auth`, `retries`, `ack_timeout` and `delivery`, see
                `nuncio.client.SocketOptions`.

        Raises:
            OptionError: for a wrong option, with the fix.
        """
        if "auth" in options:
            options["auth"] = asked(options["auth"])
        found: ClientSocket = self._run(self._socket, nsp, options)
        return found

    def _socket(self, nsp: str, options: dict[str, Any]) -> ClientSocket:
        inner = self._inner.socket(nsp, **options)
        front = self._fronts.get(inner.nsp)
        if front is None or front.closed:
            front = ClientSocket(self._home, self._inner, inner, None)
            self._fronts[inner.nsp] = front
        return front

    # The connection.

    def open(self) -> Self:
        """Begin to connect, unless it is connected or about to be; it does not wait."""
        self._run(self._inner.open)
        return self

    def connect(self) -> Self:
        """The same as `open`."""
        return self.open()

    def disconnect(self) -> None:
        """End the connection now, and do not reconnect."""
        if not self._inner.done:
            self._run(self._inner.disconnect)

    def close(self) -> None:
        """Close all sockets, then the connection, once everything emitted has been sent.

        It cannot be used any more. Closing it twice, or in a child process that has inherited it,
        does nothing.
        """
        if self._inner.done or self._home.forked:
            return
        check_place(self._home.loop)
        self._inner.done = True
        try:
            self._home.finish(self._inner.close, self._inner.cut)
        finally:
            if self._lease is not None:
                self._lease.release()

    # Listening.

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event of the connection: `on(event, listener)`, or `@on(event)`.

        Listeners are called in a thread of the Manager's own, one after the other.

        Args:
            event: `open()`; `error(error)`; `ping()`; `packet(packet)`; `close(reason,
                description)`; `reconnect_attempt(number)`; `reconnect(number)`;
                `reconnect_error(error)`; `reconnect_failed()`.
            listener: a function.

        Raises:
            TypeError: when it cannot be called.
            OptionError: when there is no such event, or it is async.
        """
        return self._listen(self._inner.on, event, listener)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only; see `on`."""
        return self._listen(self._inner.once, event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Remove one listener, all of an event, or all."""
        self._run(self._inner.off, event, listener)

    def on_error(self, listener: L) -> L:
        """Call `listener(error, socket, event)` for whatever handlers raise.

        It is called with as many of these as it declares, in the Manager's thread. The error is
        logged, too.

        Raises:
            OptionError: when it cannot be called, or is async.
        """
        refuse_async(listener, "the listener")
        self._run(self._inner.runner.on_error, listener)
        return listener

    def _listen(self, register: Callable[..., Any], event: str, listener: Any) -> Any:
        if listener is None:
            return lambda function: self._listen(register, event, function)
        if not callable(listener):
            raise TypeError(f"listener of {event!r} must be callable, not {listener!r}")
        refuse_async(listener, f"the listener of {event!r}")
        self._run(self._register, register, event, _Listener(listener, self._inner))
        return listener

    def _register(self, register: Callable[..., Any], event: str, listener: Any) -> None:
        register(event, listener)
        self._inner.runner.lane("").prepare()

    # Settings that may change while it lives.

    @property
    def reconnection(self) -> bool:
        """Whether it reconnects by itself; setting it to False also ends waiting to do so."""
        return self._inner.reconnection

    @reconnection.setter
    def reconnection(self, value: bool) -> None:
        self._set(InnerManager.reconnection, value)

    @property
    def reconnection_attempts(self) -> float:
        """How often it tries before it gives up."""
        return self._inner.reconnection_attempts

    @reconnection_attempts.setter
    def reconnection_attempts(self, value: float) -> None:
        self._set(InnerManager.reconnection_attempts, value)

    @property
    def reconnection_delay(self) -> float:
        """Seconds before the first attempt."""
        return self._inner.reconnection_delay

    @reconnection_delay.setter
    def reconnection_delay(self, value: float) -> None:
        self._set(InnerManager.reconnection_delay, value)

    @property
    def reconnection_delay_max(self) -> float:
        """No delay is longer."""
        return self._inner.reconnection_delay_max

    @reconnection_delay_max.setter
    def reconnection_delay_max(self, value: float) -> None:
        self._set(InnerManager.reconnection_delay_max, value)

    @property
    def randomization_factor(self) -> float:
        """How far delays are spread, from 0 to 1."""
        return self._inner.randomization_factor

    @randomization_factor.setter
    def randomization_factor(self, value: float) -> None:
        self._set(InnerManager.randomization_factor, value)

    @property
    def timeout(self) -> float | None:
        """Seconds that one attempt to connect may take; None for any."""
        return self._inner.timeout

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._set(InnerManager.timeout, value)

    def _set(self, setting: Any, value: object) -> None:
        self._run(setting.__set__, self._inner, value)

    # The way to the other thread.

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        self._home.check()
        if self._inner.done:
            raise RuntimeError(CLOSED)
        return self._home.run(function, *args)


class _Listener:
    """A listener of a Manager's events, called in a thread; equal to the function it calls."""

    def __init__(self, function: Callable[..., Any], manager: LoopManager) -> None:
        self._function = function
        self._manager = manager

    def __call__(self, *args: Any) -> None:
        self._manager.runner.call_listener(self._function, list(args))

    def __eq__(self, other: object) -> bool:
        return self._function == other

    def __hash__(self) -> int:
        return hash(self._function)


def prepared(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a blocking client as the asyncio client takes them."""
    options = {"concurrency": 1, **options}
    for name in ("auth", "extra_headers"):
        if name in options:
            options[name] = asked(options[name])
    return options


def front(home: Home, inner: LoopManager) -> Manager:
    """The blocking Manager of an asyncio one; the same one each time."""
    if inner.front is None:
        manager = Manager.__new__(Manager)
        manager._begin(home, inner, None)
        inner.front = manager
    found: Manager = inner.front
    return found
