"""The Manager: one connection, the sockets of several namespaces on it, and how it comes back.

CLOSED ──open()──▶ OPENING ──transport open──▶ OPEN
  ▲                   │ failed                  │ lost
  └───────────────────┴─────────────────────────┘   and, with `reconnection`, OPENING again
                                                    after a delay
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from nuncio.client.checks import checked_namespace
from nuncio.client.connection import ClientConnection
from nuncio.client.dial import new_jar
from nuncio.client.engine import EngineClient
from nuncio.client.events import MANAGER_EVENTS
from nuncio.client.http import OldServer, closed
from nuncio.client.options import (
    ManagerOptions,
    SocketOptions,
    split,
)
from nuncio.client.runner import Runner
from nuncio.client.session import ClientSession
from nuncio.client.settings import Settings
from nuncio.client.socket import ClientSocket
from nuncio.client.tools import tools
from nuncio.client.url import Target, parse
from nuncio.client.waiting import SendBuffer
from nuncio.errors import ConnectError, DisconnectReason, NuncioError, OptionError, PacketError
from nuncio.events import Emitter
from nuncio.protocol.socketio import Packet

logger = logging.getLogger("nuncio.client")

L = TypeVar("L", bound=Callable[..., Any])

CLOSED = "closed"
OPENING = "opening"
OPEN = "open"

FORCED_CLOSE = str(DisconnectReason.FORCED_CLOSE)
PARSE_ERROR = str(DisconnectReason.PARSE_ERROR)


class Manager(Settings):
    """One connection to a server.

        manager = nuncio.Manager("https://example.com", reconnection_delay_max=30)
        chat = manager.socket("/chat", auth={"token": "…"})

    Args:
        url: the server's; its path has no meaning here, namespaces are given to `socket`.
        options: see `nuncio.client.ManagerOptions`, and those of `nuncio.client.SocketOptions` as
            defaults for `socket`.

    Raises:
        OptionError: for a wrong URL or option, with the fix.
        RuntimeError: without a running event loop.

    Attributes:
        options: what it was given, and the defaults.
        engine: the Engine.IO client of the latest connection, or None before the first.
        ready_state: `closed`, `opening` or `open`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        manager, socket = split(options)
        self._begin(parse(url), ManagerOptions(**manager), socket)

    @classmethod
    def of(cls, target: Target, options: ManagerOptions) -> Manager:
        """For `nuncio.connect`, which has read URL and options."""
        manager = cls.__new__(cls)
        manager._begin(target, options, {})
        return manager

    def _begin(self, target: Target, options: ManagerOptions, defaults: dict[str, Any]) -> None:
        Settings.__init__(self, options)
        self.options = options
        self.target = target
        self.engine: EngineClient | None = None
        self.ready_state = CLOSED
        self._defaults = defaults
        self._parser = options.made_parser()
        self._tools = tools()
        self._runner = self._make_runner()
        self._events = Emitter(self._spawn, MANAGER_EVENTS)
        self._sockets: dict[str, ClientSocket] = {}
        self._connection: ClientConnection | None = None
        # Earlier ones that still say goodbye.
        self._parting: list[EngineClient] = []
        # Cookies outlive a connection.
        self._jar = new_jar() if options.with_credentials else None
        self._reconnection = options.reconnection
        self._reconnecting = False
        self._skip_reconnect = False
        self._waiting: asyncio.TimerHandle | None = None
        # Called once with what comes of the attempt that somebody asked for: None or the error.
        self._on_outcome: Callable[[Exception | None], None] | None = None
        # By namespace: functions that are to give credentials and have not yet.
        self._asking: dict[str, asyncio.Future[Any]] = {}
        # Asked for by names, so that a wrong transport is told at once.
        EngineClient.of(target, options, None)
        if options.auto_connect:
            self.open()

    def _make_runner(self) -> Runner:
        return Runner(self._pause, self._resume)

    def __repr__(self) -> str:
        return f"<Manager of {self.target.origin} {self.ready_state}>"

    # Listening.

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event of the connection: `on(event, listener)`, or `@on(event)`.

        Args:
            event: `open()`; `error(error)`; `ping()`; `packet(packet)`; `close(reason,
                description)`; `reconnect_attempt(number)`; `reconnect(number)`;
                `reconnect_error(error)`; `reconnect_failed()`.
            listener: a function, which may be async.

        Raises:
            TypeError: when it cannot be called.
            OptionError: when there is no such event.
        """
        self._watch(event)
        return self._events.on(event, listener)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only; see `on`."""
        self._watch(event)
        return self._events.once(event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Remove one listener, all of an event, or all."""
        self._events.off(event, listener)

    def on_error(self, listener: Callable[..., Any]) -> Callable[..., Any]:
        """Call `listener(error, socket, event)` for whatever handlers raise.

        It is called with as many of these as it declares. The error is logged, too.
        """
        return self._runner.on_error(listener)

    def _watch(self, event: str) -> None:
        if event == "packet" and self._connection is not None:
            self._connection.watch()

    @property
    def reconnection(self) -> bool:
        """Whether it reconnects by itself; setting it to False also ends waiting to do so."""
        return self._reconnection

    @reconnection.setter
    def reconnection(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise OptionError(f"reconnection must be True or False, not {value!r}")
        self._reconnection = value
        if not value:
            self._skip_reconnect = True
            if self._reconnecting and self.ready_state == CLOSED:
                self._stop_waiting()
                self._give_up()

    # Sockets.

    def socket(self, nsp: str = "/", **options: Any) -> ClientSocket:
        """The socket of a namespace; the same one each time.

        Args:
            nsp: the namespace's name.
            options: `auth`, `retries`, `ack_timeout` and `delivery`, see
                `nuncio.client.SocketOptions`.

        Raises:
            OptionError: for a wrong option, with the fix.
        """
        nsp = checked_namespace(nsp)
        socket = self._sockets.get(nsp)
        if socket is None:
            manager, given = split(options)
            for name in manager:
                raise OptionError(f"{name} is an option of the Manager, not of a socket")
            socket = self._make(nsp, SocketOptions(**{**self._defaults, **given}))
            self._sockets[nsp] = socket
            if self.options.auto_connect:
                socket.connect()
        elif self.options.auto_connect and not socket.active:
            socket.connect()
        return socket

    def _make(self, nsp: str, options: SocketOptions) -> ClientSocket:
        limits = self.options.limits
        return ClientSocket(
            self,
            self._runner,
            nsp,
            self._parser,
            0 if self._runner.queues else self.options.concurrency,
            limits.queued_events,
            self._tools.wheel,
            SendBuffer(nsp, self.options.policy, limits.buffered_events, limits.buffered_bytes),
            -1 if options.retries is None else options.retries,
            options.ack_timeout or 0.0,
            limits.pending_acks,
            limits.queued_retries,
            options.auth,
            options.delivery == "at-least-once",
        )

    @property
    def in_use(self) -> bool:
        """Whether any of its sockets is active."""
        return any(socket.active for socket in self._sockets.values())

    def has(self, nsp: str) -> bool:
        """Whether it has a socket of that namespace."""
        return nsp in self._sockets

    def join(self, socket: ClientSocket) -> None:
        """A socket wants to be connected."""
        # One that was made by hand, or whose place another one took meanwhile.
        self._sockets.setdefault(socket.nsp, socket)
        if self.ready_state == OPEN:
            self._ask_credentials(socket)
        elif not self._reconnecting:
            self.open()

    def leave(self, socket: ClientSocket) -> None:
        """A socket has left; the last one ends the connection."""
        self._forget_asking(socket)
        if not self.in_use:
            self.disconnect()

    def _ask_credentials(self, socket: ClientSocket) -> None:
        engine = self.engine
        session = None if engine is None else engine.session
        if session is None:
            return
        attempt = socket.begin_joining(session)
        auth: Any = socket.auth
        if callable(auth) and not isinstance(auth, Mapping):
            try:
                auth = auth()
            except Exception as error:
                socket.credentials_failed(attempt, error)
                return
            if hasattr(auth, "__await__"):
                self._forget_asking(socket)
                self._asking[socket.nsp] = self._runner.spawn(
                    self._await_credentials(socket, attempt, auth)
                )
                return
        self._credentials(socket, attempt, auth)

    async def _await_credentials(self, socket: ClientSocket, attempt: int, given: Any) -> None:
        try:
            auth = await given
        except Exception as error:
            socket.credentials_failed(attempt, error)
        else:
            self._credentials(socket, attempt, auth)

    def _credentials(self, socket: ClientSocket, attempt: int, given: Any) -> None:
        if given is None or isinstance(given, Mapping):
            socket.credentials_came(attempt, None if given is None else dict(given))
        else:
            wrong = OptionError(f"auth must be or give a mapping, not {given!r}")
            socket.credentials_failed(attempt, wrong)

    def _forget_asking(self, socket: ClientSocket) -> None:
        """Whoever is to give credentials for a connection that is gone need not any more."""
        asking = self._asking.pop(socket.nsp, None)
        if asking is not None and asking is not asyncio.current_task():
            asking.cancel()

    # Opening.

    def open(self, callback: Callable[[Exception | None], None] | None = None) -> Manager:
        """Connect, unless it is connected or about to be.

        Args:
            callback: called once, with None or the error. With it a failure is only told: no
                reconnection follows.
        """
        if self.ready_state == CLOSED:
            self._skip_reconnect = False
            self._on_outcome = callback
            if self._waiting is None:
                self._open()
            else:
                # An attempt is due anyhow: it comes now.
                self._waiting.cancel()
                self._attempt()
        return self

    def _open(self) -> None:
        self.ready_state = OPENING
        engine = EngineClient.of(self.target, self._engine_options(), self._jar)
        self._parting = [one for one in (*self._parting, self.engine) if one and not one.over]
        self.engine = engine
        limits = self.options.limits
        connection = ClientConnection(
            self,
            self._sockets,
            self._parser,
            limits.attachments,
            limits.attachment_bytes,
            limits.containers,
        )
        if self._events.heard("packet"):
            connection.watch()
        self._connection = connection
        engine.on("open", lambda: self._opened(engine))
        engine.on("error", lambda error: self._failed(engine, error))
        engine.on("ping", lambda: self._events.emit("ping"))
        engine.open(connection)

    def connect(self, callback: Callable[[Exception | None], None] | None = None) -> Manager:
        """The same as `open`."""
        return self.open(callback)

    def _engine_options(self) -> ManagerOptions:
        if self._timeout == self.options.timeout:
            return self.options
        return dataclasses.replace(self.options, timeout=self._timeout)

    def _opened(self, engine: EngineClient) -> None:
        if engine is not self.engine or self.ready_state != OPENING:
            return
        self.ready_state = OPEN
        session = engine.session
        if session is not None and self._runner.paused:
            session.pause_reading()
        self._events.emit("open")
        for socket in list(self._sockets.values()):
            # A listener may have connected it itself.
            if socket.active and socket.session is not session and self.ready_state == OPEN:
                self._ask_credentials(socket)
        if self.ready_state == OPEN:
            outcome, self._on_outcome = self._on_outcome, None
            self._tell(outcome, None)
        if self.ready_state == OPEN and self._reconnecting:
            self._reconnecting = False
            attempts = self._backoff.attempts
            self._backoff.reset()
            self._events.emit("reconnect", attempts)

    def _failed(self, engine: EngineClient, error: NuncioError) -> None:
        if engine is not self.engine or self.ready_state != OPENING:
            return
        self.ready_state = CLOSED
        self._connection = None
        # Taken first, for a listener may open it again, with another one.
        outcome, self._on_outcome = self._on_outcome, None
        self._events.emit("error", error)
        for socket in list(self._sockets.values()):
            if not socket.active:
                continue
            if isinstance(error, OldServer):
                socket.refused(error)
            else:
                socket.not_reached(error)
        self._tell(outcome, error)
        if self._reconnecting:
            self._reconnecting = False
            self._reconnect()
            self._events.emit("reconnect_error", error)
        elif outcome is None:
            self._reconnect()
        else:
            self._give_up()

    def _tell(
        self, outcome: Callable[[Exception | None], None] | None, error: Exception | None
    ) -> None:
        if outcome is not None:
            self._runner.guard(outcome, [error], None, "open")

    # Losing the connection.

    def undecodable(self, error: PacketError) -> None:
        """The connection: the server sent what is no packet."""
        logger.debug("undecodable packet: %r", error)
        engine = self.engine
        if engine is not None:
            engine.cut(PARSE_ERROR, str(error))

    def saw(self, packet: Packet) -> None:
        """The connection: a packet came, and somebody wants to see them."""
        self._events.emit("packet", packet)

    def closed(self, connection: ClientConnection, reason: str, description: str) -> None:
        """The connection: its session ended."""
        if connection is not self._connection:
            return
        self._connection = None
        self._backoff.reset()
        self.ready_state = CLOSED
        self._events.emit("close", reason, description)
        for socket in list(self._sockets.values()):
            if socket.session is not None:
                self._forget_asking(socket)
                socket.lost(reason, description)
        self._reconnect()

    def _give_up(self) -> None:
        if self.ready_state == CLOSED:
            for socket in list(self._sockets.values()):
                if socket.active and not socket.connected:
                    socket.gave_up()

    # Coming back.

    def _reconnect(self) -> None:
        """Try again after a delay, unless nobody wants that or somebody has begun already."""
        if self.ready_state != CLOSED or self._reconnecting:
            return
        if self._skip_reconnect or not self._reconnection:
            self._give_up()
            return
        if self._backoff.attempts >= self._attempts:
            self._backoff.reset()
            self._events.emit("reconnect_failed")
            self._give_up()
            return
        self._reconnecting = True
        self._waiting = self._runner.loop.call_later(self._backoff.duration(), self._attempt)

    def _attempt(self) -> None:
        self._waiting = None
        self._events.emit("reconnect_attempt", self._backoff.attempts)
        # A listener may not want it any more, or have opened it itself.
        if self._reconnecting and self.ready_state == CLOSED:
            self._open()

    def _stop_waiting(self) -> None:
        """Let there be no further attempt."""
        self._reconnecting = False
        self._backoff.reset()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    # Ending.

    def disconnect(self) -> None:
        """End the connection, and do not reconnect."""
        self._skip_reconnect = True
        self._stop_waiting()
        engine = self.engine
        was = self.ready_state
        if engine is not None and was != CLOSED:
            # Told at once, though the goodbye may still have to wait for what is buffered.
            self._connection = None
            self.ready_state = CLOSED
            outcome, self._on_outcome = self._on_outcome, None
            engine.close()
            self._events.emit("close", FORCED_CLOSE, "")
            for socket in list(self._sockets.values()):
                if socket.session is None or (socket.connected and not socket.active):
                    # One that is leaving tells its own reason itself.
                    continue
                self._forget_asking(socket)
                socket.lost(FORCED_CLOSE, "")
            self._tell(outcome, ConnectError("it was closed while it opened"))
        self._give_up()

    async def close(self) -> None:
        """Close all sockets, then the connection, once everything emitted has been sent."""
        for socket in list(self._sockets.values()):
            await self.close_socket(socket)
        self.disconnect()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and said goodbye."""
        for engine in (*self._parting, self.engine):
            if engine is not None:
                await engine.wait_closed()
        await closed(self._tools)

    async def close_socket(self, socket: ClientSocket) -> None:
        """See `ClientSocket.close`."""
        engine = self.engine
        session = None if engine is None else engine.session
        if socket.connected and session is not None:
            try:
                async with asyncio.timeout(socket.patience):
                    await self._flush(socket, session)
            except TimeoutError:
                logger.debug("%r does not acknowledge what was sent with retries", self)
        socket.disconnect()
        socket.abandon()
        if self.ready_state == CLOSED and engine is not None:
            await self.wait_closed()
            self._runner.close()

    async def _flush(self, socket: ClientSocket, session: ClientSession) -> None:
        """Wait until everything that was emitted has been sent, or the connection is lost."""
        while socket.connected and session.is_open:
            if session.congested:
                await session.drain()
            elif socket.unacknowledged:
                await socket.settled()
            else:
                return

    @property
    def trying(self) -> bool:
        """Whether it is connected, or will be without further ado."""
        return self.ready_state != CLOSED or self._reconnecting

    def unwanted(self, socket: ClientSocket) -> None:
        """The connection: the server has let in a socket that has left meanwhile."""
        engine = self.engine
        if engine is not None and engine.session is not None:
            socket.leave_unseen(engine.session)

    # Helpers.

    def _pause(self) -> None:
        engine = self.engine
        if engine is not None and engine.session is not None:
            engine.session.pause_reading()

    def _resume(self) -> None:
        engine = self.engine
        if engine is not None and engine.session is not None:
            engine.session.resume_reading()

    def _spawn(self, awaitable: Any) -> None:
        self._runner.spawn(awaitable)
