"""An Engine.IO client: opens a transport, moves to a better one, and ends.

One of it is one attempt and the session that comes of it; a Manager makes a new one for each
attempt, and meets applications as `socket.io.engine`. It also stands alone:

    engine = EngineClient("http://localhost:3000", path="/engine.io")
    engine.on("message", print)
    engine.open()
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from nuncio.client.dial import Dial, new_jar
from nuncio.client.events import ENGINE_EVENTS
from nuncio.client.options import ManagerOptions, split
from nuncio.client.probe import may_be_left, probe
from nuncio.client.race import WEBTRANSPORT, raced
from nuncio.client.session import ClientSession
from nuncio.client.tools import Tools, tools
from nuncio.client.transports import ClientTransport, WebSocket, chosen
from nuncio.client.url import Target, parse
from nuncio.engine.listener import Listener
from nuncio.engine.sent import Sent
from nuncio.engine.transport import Transport
from nuncio.errors import ConnectTimeout, DisconnectReason, NuncioError, OptionError, TransportError
from nuncio.events import Emitter
from nuncio.protocol.engineio import SEPARATOR, Message

logger = logging.getLogger("nuncio.client")

L = TypeVar("L", bound=Callable[..., Any])

FORCED_CLOSE = str(DisconnectReason.FORCED_CLOSE)
PING_TIMEOUT = str(DisconnectReason.PING_TIMEOUT)
TRANSPORT_ERROR = str(DisconnectReason.TRANSPORT_ERROR)
SEPARATOR_TEXT = SEPARATOR.decode()

# Whether WebSocket has worked before in this process; see the option `remember_upgrade`.
_remembered = False

# Parts of the server's handshake beyond these are not taken: they would never end.
_MOST_MILLISECONDS = 1e12


class Handshake(msgspec.Struct, rename="camel"):
    """What the server says when a session begins (Engine.IO protocol v4, "Handshake")."""

    sid: str
    upgrades: list[str] = []
    ping_interval: float = 0.0
    ping_timeout: float = 0.0
    max_payload: float = 0


_decode = msgspec.json.Decoder(Handshake).decode


class EngineClient:
    """One connection to an Engine.IO server.

    Args:
        url: the server's.
        options: see `ManagerOptions`; those of reconnection have no effect.

    Raises:
        OptionError: for a wrong URL or option, with the fix.
    """

    def __init__(self, url: str, **options: Any) -> None:
        manager, socket = split(options)
        for name in socket:
            raise OptionError(f"{name} is an option of sockets, not of an Engine.IO client")
        self._begin(parse(url), ManagerOptions(**manager), None)

    @classmethod
    def of(cls, target: Target, options: ManagerOptions, jar: Any) -> EngineClient:
        """For a Manager, which has read URL and options; `jar` keeps cookies over connections."""
        client = cls.__new__(cls)
        client._begin(target, options, jar)
        return client

    def _begin(self, target: Target, options: ManagerOptions, jar: Any) -> None:
        self.options = options
        self._target = target
        self._jar = jar
        self._ways = chosen(options.transports)
        self._tools: Tools | None = None
        self._session: ClientSession | None = None
        self._dial: Dial | None = None
        self._opening: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._handshake: asyncio.Future[Handshake] | None = None
        self._done: asyncio.Future[None] | None = None
        self._limit: asyncio.Timeout | None = None
        # The transport that is being opened.
        self._trying = ""
        self._gone = False
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._events = Emitter(self._spawn, ENGINE_EVENTS)
        self.id = ""
        self.upgraded = False

    def __repr__(self) -> str:
        # The id is a secret: it does not belong into logs.
        name = self.transport.name if self.transport is not None else "no transport"
        return f"<EngineClient {self.ready_state} over {name}>"

    # What applications use.

    @property
    def ready_state(self) -> str:
        """`opening`, `open`, `closing` or `closed`."""
        if self._gone or self._done is None:
            return "closed"
        return "opening" if self._session is None else self._session.ready_state

    @property
    def transport(self) -> Transport | None:
        """What carries packets now; `transport.name` is `polling` or `websocket`."""
        return None if self._session is None else self._session.transport

    @property
    def session(self) -> ClientSession | None:
        """The session, for the layer above."""
        return self._session

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._session is not None and self._session.is_open

    @property
    def over(self) -> bool:
        """Whether it has ended and said goodbye."""
        return self._done is not None and self._done.done()

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event: `on(event, listener)`, or `@on(event)`.

        Args:
            event: `open()`; `handshake(data)`; `message(data)`, of a client that stands alone;
                `packet(data)`, each as it came; `ping()`; `drain()`; `upgrading(transport)`,
                `upgrade(transport)`, `upgrade_error(error)`; `error(error)`, when it could not be
                opened; `close(reason, description)`.
            listener: a function, which may be async.

        Raises:
            TypeError: when it cannot be called.
            OptionError: when there is no such event.
        """
        if event in ("packet", "drain") and self._session is not None:
            self._session.watched = True
        return self._events.on(event, listener)

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only; see `on`."""
        if event in ("packet", "drain") and self._session is not None:
            self._session.watched = True
        return self._events.once(event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Remove one listener, all of an event, or all."""
        self._events.off(event, listener)

    def open(self, listener: Listener | None = None) -> None:
        """Connect; what comes of it is told by events. It can be opened once.

        Args:
            listener: takes messages in place of the event `message`.

        Raises:
            RuntimeError: without a running event loop.
        """
        if self._done is not None or self._gone:
            return
        self._tools = tools()
        loop = asyncio.get_running_loop()
        if self._jar is None and self.options.with_credentials:
            self._jar = new_jar()
        self._listener = listener or _Events(self)
        self._done = loop.create_future()
        self._opening = loop.create_task(self._open(self._tools))

    def send(self, data: str | bytes | bytearray | memoryview, compress: bool = True) -> Sent:
        """Send a message; await the result for back-pressure.

        Raises:
            TypeError: for anything but text or bytes.
            ValueError: for text that long-polling cannot carry.
            RuntimeError: when it is not open yet.
            LimitExceeded: when too much waits already.
        """
        if isinstance(data, str):
            transport = self.transport
            if SEPARATOR_TEXT in data and transport is not None and transport.name == "polling":
                raise ValueError("data: U+001E separates packets of long-polling; send bytes")
            message = Message(b"4" + data.encode(), None, compress)
        elif isinstance(data, (bytes, bytearray, memoryview)):
            message = Message(None, [bytes(data)], compress)
        else:
            raise TypeError(f"data must be str or bytes, not {type(data).__name__}")
        session = self._session
        if session is None:
            raise RuntimeError("send: it is not open; call open() and wait for the event")
        if session.expired:
            session.cut(PING_TIMEOUT, "")
        return session.push(message)

    def close(self) -> None:
        """End it; what is buffered is sent first."""
        session = self._session
        if session is not None and session.ready_state != "opening":
            session.close()
        elif self._opening is not None and not self._gone:
            self._opening.cancel()
            self._ended(FORCED_CLOSE, "", tell=True)

    def cut(self, reason: str, description: str) -> None:
        """End it at once, whatever is buffered."""
        if self._session is not None and self._session.ready_state != "opening":
            self._session.cut(reason, description)
        else:
            self.close()

    async def wait_closed(self) -> None:
        """Wait until it has ended and said goodbye."""
        if self._done is not None:
            await asyncio.shield(self._done)

    # Opening.

    async def _open(self, shared: Tools) -> None:
        options = self.options
        try:
            async with asyncio.timeout(options.timeout) as self._limit:
                await self._connect(shared)
        except TimeoutError:
            self._failed(ConnectTimeout(options.timeout or 0.0))
        except NuncioError as error:
            self._failed(error)
        except asyncio.CancelledError:
            # Unless it was closed, the loop is about to end.
            self._ended(FORCED_CLOSE, "", tell=False)
            raise
        except Exception as error:
            logger.exception("a transport failed in an unexpected way")
            self._failed(TransportError(f"a transport failed: {error!r}"))

    async def _connect(self, shared: Tools) -> None:
        """Try the transports, and begin the session that one of them brings.

        Raises:
            NuncioError: when none of them does.
        """
        stand_in = shared.stand_ins.get(self._target.origin)
        ways = raced(self._order(), upgrade=False) if stand_in is None else [stand_in]
        if not ways:
            raise TransportError("No transports available")
        dial = Dial(self._target, self.options, shared, self._jar)
        self._dial = dial
        await dial.prepare()
        while True:
            way = ways.pop(0)
            try:
                handshake = await self._attempt(way, dial, shared)
                break
            except TransportError as error:
                if not ways or not self.options.try_all_transports:
                    raise
                logger.debug("%s failed, the next transport is tried: %s", way.name, error)
        self._opened(handshake, dial)

    def _order(self) -> list[ClientTransport]:
        ways = list(self._ways)
        if self.options.remember_upgrade and _remembered:
            first = [way for way in ways if way.name == WebSocket.name]
            ways = first + [way for way in ways if way.name != WebSocket.name]
        return ways

    async def _attempt(self, way: ClientTransport, dial: Dial, shared: Tools) -> Handshake:
        loop = asyncio.get_running_loop()
        self._trying = way.name
        transport = await way.open(dial)
        self._trying = transport.name
        session = ClientSession(self, loop, shared.wheel, self.options.limits.outgoing_bytes)
        session.watched = self._events.heard("packet") or self._events.heard("drain")
        self._session = session
        self._handshake = loop.create_future()
        session.attach(transport)
        try:
            return await self._handshake
        except BaseException:
            session.detach()
            self._session = None
            raise
        finally:
            self._handshake = None

    def handshake(self, data: bytes) -> None:
        """The session: the server's first packet is there."""
        waiting = self._handshake
        if waiting is None or waiting.done():
            return
        try:
            handshake = _decode(data[1:])
            periods = (handshake.ping_interval, handshake.ping_timeout)
            if not handshake.sid or any(not 0 <= one < _MOST_MILLISECONDS for one in periods):
                raise ValueError("a part of it is out of range")
        except (ValueError, msgspec.DecodeError) as error:
            waiting.set_exception(
                TransportError(f"the server's handshake cannot be read: {error}", self._trying)
            )
            return
        # At once, for what came behind it is to be taken, too.
        session, dial, limit = self._session, self._dial, self._limit
        assert session is not None and dial is not None and limit is not None
        # What is told to be open may not be out of time any more.
        limit.reschedule(None)
        self.id = dial.sid = handshake.sid
        dial.max_payload = int(handshake.max_payload)
        session.listener = self._listener
        session.begin((handshake.ping_interval + handshake.ping_timeout) / 1000)
        waiting.set_result(handshake)
        self._emit("handshake", handshake)
        self._emit("open")

    def _opened(self, handshake: Handshake, dial: Dial) -> None:
        global _remembered
        session = self._session
        assert session is not None and self._tools is not None
        # Before the session may have ended, and lost it.
        name = self._trying
        # A task that has ended still holds all that its coroutine held.
        self._opening = self._limit = None
        _remembered = name == WebSocket.name
        if not session.is_open:
            return
        self._tools.watch(session)
        offered = handshake.upgrades if self.options.upgrade else []
        better = [one for one in self._ways if one.name in offered and one.name != name]
        better = raced(better, upgrade=True)
        if better and may_be_left(session.transport):
            self._probing = asyncio.get_running_loop().create_task(self._upgrade(better, dial))
        elif name in (WebSocket.name, WEBTRANSPORT):
            dial.done()

    def upgrading(self, transport: Transport) -> None:
        """See `nuncio.client.probe.Teller`."""
        self._emit("upgrading", transport)

    def upgraded_to(self, transport: Transport) -> None:
        """See `nuncio.client.probe.Teller`."""
        global _remembered
        self.upgraded = True
        if transport.name == WebSocket.name:
            _remembered = True
        self._emit("upgrade", transport)

    async def _upgrade(self, ways: list[ClientTransport], dial: Dial) -> None:
        session = self._session
        assert session is not None
        try:
            for way in ways:
                try:
                    await probe(session, way, dial, self)
                except TransportError as error:
                    self._emit("upgrade_error", error)
                    continue
                except Exception as error:
                    logger.exception("a transport failed in an unexpected way")
                    wrong = TransportError(f"probe error: it failed: {error!r}", way.name)
                    self._emit("upgrade_error", wrong)
                    continue
                if not way.requests:
                    dial.done()
                return
        except asyncio.CancelledError:
            self._emit("upgrade_error", TransportError("probe error: socket closed"))
            raise
        finally:
            self._probing = None
            if session.ready_state == "closed" and not session.lingering:
                self._finish_dial()

    def _failed(self, error: NuncioError) -> None:
        """It could not be opened."""
        global _remembered
        if not self._gone:
            _remembered = False
            self._ended("", "", tell=False)
            self._emit("error", error)

    # What the session tells.

    def pinged(self) -> None:
        """The server asks whether this side is alive, and is answered."""
        self._emit("ping")

    def packet(self, data: bytes) -> None:
        """A packet came, and somebody wants to see them."""
        self._emit("packet", data)

    def drained(self) -> None:
        """The server has taken what was buffered."""
        self._emit("drain")

    def ended(self, reason: str, description: str) -> None:
        """The session ended."""
        waiting = self._handshake
        if waiting is not None and not waiting.done():
            # A transport that ends before the handshake has failed to connect.
            words = description or "the connection was closed before the handshake"
            waiting.set_exception(TransportError(f"{self._trying}: {words}", self._trying))
            return
        self._ended(reason, description, tell=True)

    def gone(self) -> None:
        """The session's transport has said goodbye."""
        self._finish_dial()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _ended(self, reason: str, description: str, *, tell: bool) -> None:
        global _remembered
        if self._gone:
            return
        self._gone = True
        session = self._session
        if session is not None and self._tools is not None:
            self._tools.unwatch(session)
        if reason == TRANSPORT_ERROR:
            _remembered = False
        if self._probing is not None:
            self._probing.cancel()
        if session is None or not session.lingering:
            self.gone()
        if tell:
            self._emit("close", reason, description)

    def _finish_dial(self) -> None:
        dial = self._dial
        if dial is not None:
            dial.done()

    # Helpers.

    def _emit(self, event: str, *args: object) -> None:
        self._events.emit(event, *args)

    def _spawn(self, awaitable: Any) -> None:
        task = asyncio.ensure_future(awaitable)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a listener of the client failed", exc_info=task.exception())


class _Events(Listener):
    """Gives messages to listeners of `message`."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        self._client._emit("message", data[1:].decode())

    def binary(self, data: bytes) -> None:
        """See `Listener.binary`."""
        self._client._emit("message", data)

    def closed(self, reason: str, description: str) -> None:
        """See `Listener.closed`: the event `close` is told by the client itself."""
