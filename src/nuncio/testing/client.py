"""A client as tests use it: a real one, and what it has received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from nuncio.client.inbox import Event
from nuncio.client.manager import Manager
from nuncio.client.socket import ClientSocket
from nuncio.engine.engine import Engine
from nuncio.testing.here import server_of
from nuncio.testing.memory import Memory
from nuncio.testing.network import Network
from nuncio.testing.pulse import pulse
from nuncio.testing.settling import settle
from nuncio.testing.tape import LIFECYCLE, Tape, written

if TYPE_CHECKING:
    from nuncio.server.socket import Socket

    _Base = ClientSocket
else:
    _Base = object

# How long an event may take that a test waits for. It costs nothing where the event comes.
SECONDS = 5.0

# How long an acknowledgement may take that nobody has set a time-out for: real seconds.
ACK_SECONDS = 10.0


class Client(_Base):
    """What `nuncio.testing.connect` gives: a `nuncio.ClientSocket`, and what a test wants to know.

    Everything that a `nuncio.ClientSocket` has, this has, too. Code that must have the object
    itself is given `client.socket`.

    Attributes:
        socket: the client's socket.
        network: what lies between it and the server.
    """

    def __init__(
        self, socket: ClientSocket, engine: Engine, memory: Memory, *, patient: bool
    ) -> None:
        self.socket = socket
        self._patient = patient
        self.network: Network = memory.network
        self._engine = engine
        self._memory = memory
        self._tape = Tape(socket, self._offsets)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name == "socket":
                raise AttributeError(name)
            return getattr(self.socket, name)

        @property
        def auth(self):
            """See `ClientSocket.auth`."""
            return self.socket.auth

        @auth.setter
        def auth(self, value):
            self.socket.auth = value

    def __repr__(self) -> str:
        return f"<nuncio.testing.Client of {self.socket!r}>"

    def emit_with_ack(
        self, event: str, *args: object, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send an event and wait for its acknowledgement; see `ClientSocket.emit_with_ack`.

        A handler that fails gives none, and the test is not to hang: without a time-out, here or as
        the option `ack_timeout`, it is waited for ten seconds. Where a `Clock` is in force it is
        waited for as long as it takes.

        Raises:
            AssertionError: when it does not come in these ten seconds.
        """
        answer = self.socket.emit_with_ack(event, *args, timeout=timeout)
        if timeout is not None or self._patient:
            return answer
        return _Answer(answer, event, self._tape)

    # What it has received.

    @property
    def received(self) -> list[Event]:
        """Every event that came from the server so far, in order; those asked for are among them.

        Its `name` and `args` tell what came, and `ack(…)` answers it.
        """
        return [entry.event for entry in self._tape.entries if not entry.lifecycle]

    async def next(self, name: str | None = None, *, timeout: float = SECONDS) -> Event:
        """The next event that was not asked for yet; those of other names stay where they are.

        Args:
            name: of which name; None for any that comes from the server. `connect`, `disconnect`
                and `connect_error` are what the client tells of the connection.
            timeout: seconds to wait for it, by the loop's clock. Where a `Clock` stands still,
                waiting ends as soon as nothing is under way any longer.

        Raises:
            AssertionError: when it does not come; the text tells what did.
        """
        __tracebackhide__ = True
        check = self._fits(name)
        found = await self._tape.wait(check, timeout)
        if found is None:
            what = "no event" if name is None else f"no {name!r}"
            raise AssertionError(f"{what} has come within {timeout:g} s; {self._tape}")
        return found

    async def expect(self, name: str, *args: object, timeout: float = SECONDS) -> Event:
        """Wait for an event of this name with these arguments, as `next` does.

        Args:
            name: its name.
            args: all its arguments, compared by `==`; `unittest.mock.ANY` is equal to anything. Of
                `disconnect` it is the reason.
            timeout: see `next`.

        Raises:
            AssertionError: when it does not come; the text tells what did.
        """
        __tracebackhide__ = True
        wanted = list(args)

        def check(event: Event) -> bool:
            return event.name == name and event.args == wanted

        found = await self._tape.wait(check, timeout)
        if found is None:
            text = written(name, wanted)
            raise AssertionError(f"{text} has not come within {timeout:g} s; {self._tape}")
        return found

    async def expect_nothing(self, name: str | None = None) -> None:
        """See that nothing has come that was not asked for, and that nothing more is under way.

        It does not wait by the clock, but until client and server are at rest; see `settle`.

        Args:
            name: of which name; None for any that comes from the server.

        Raises:
            AssertionError: when something has come.
        """
        __tracebackhide__ = True
        await settle()
        check = self._fits(name)
        surprises = [
            entry.event for entry in self._tape.entries if not entry.taken and check(entry.event)
        ]
        if surprises:
            texts = ", ".join(written(one.name, one.args) for one in surprises)
            raise AssertionError(f"nothing was to come, but {texts} has; {self._tape}")

    def forget(self) -> None:
        """Act as if everything that has come so far had been asked for."""
        for entry in self._tape.entries:
            entry.taken = True

    def _fits(self, name: str | None) -> Callable[[Event], bool]:
        if name is not None:
            return lambda event: event.name == name
        return lambda event: event.name not in LIFECYCLE

    # The other side.

    @property
    def server_socket(self) -> Socket[Any, Any]:
        """The server's socket of this client.

        Raises:
            LookupError: while it is not connected, or to an engine without a server.
        """
        server = server_of(self._engine)
        nsp = None if server is None else server.find_namespace(self.socket.nsp)
        found = None if nsp is None else nsp.sockets.get(self.socket.id)
        if found is None:
            raise LookupError(f"the server has no socket of {self.socket!r}")
        return found

    def _offsets(self) -> str:
        """What the offsets of recovery begin with."""
        server = server_of(self._engine)
        nsp = None if server is None else server.find_namespace(self.socket.nsp)
        log: Any = None if nsp is None else getattr(nsp.adapter, "log", None)
        return "" if log is None else str(log.next_offset()).rpartition(".")[0] + "."

    # For `nuncio.testing` itself.

    @property
    def memory(self) -> Memory:
        """How it reaches the server."""
        return self._memory

    @property
    def engine(self) -> Engine:
        """The server's engine."""
        return self._engine

    @property
    def manager(self) -> Manager:
        """The client's connection; the same as `client.io`."""
        found: Manager = self.socket.io
        return found

    def came_in(self) -> None:
        """It is connected for the first time, of which nobody wants to be told."""
        for entry in self._tape.entries:
            if entry.lifecycle:
                entry.taken = True


class _Answer:
    """An acknowledgement that is awaited; it need not be, as the client's own."""

    def __init__(self, answer: Awaitable[Any], event: str, tape: Tape) -> None:
        self._answer = answer
        self._event = event
        self._tape = tape

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        __tracebackhide__ = True
        if pulse().clock is not None:
            return await self._answer
        answer = asyncio.ensure_future(self._answer)
        try:
            await asyncio.wait((answer,), timeout=ACK_SECONDS)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise AssertionError(
            f"{self._event!r} has not been acknowledged within {ACK_SECONDS:g} s; {self._tape}"
        )
