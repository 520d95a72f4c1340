"""What of the application's code runs beside the event loop's callbacks: tasks and threads.

The compiled modules call in here when a handler or a middleware has to wait. Every task is kept
until it ends, its failure goes to the same place as any handler's, and closing the server waits
for those still running.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nuncio.errors import AckTimeout, ArgumentError, ConnectError, OptionError, RateLimited
from nuncio.handlers.binding import bind
from nuncio.handlers.callbacks import bind_callback
from nuncio.handlers.handler import Handler
from nuncio.handlers.runners import Runners
from nuncio.handlers.threads import Threads

if TYPE_CHECKING:
    from nuncio.server.connection import Connection
    from nuncio.server.namespace import Namespace
    from nuncio.server.socket import Socket

logger = logging.getLogger("nuncio")

H = TypeVar("H", bound=Callable[..., Any])

# How long a handler may take to see that it was cancelled.
CANCEL_SECONDS = 1.0


class Tasks:
    """Runs the application's code for a server.

    Attributes:
        threads: tells calls that come from other threads than the loop's.
        running: what is under way.
        runners: run the coroutines of event handlers.
        dependency_overrides: in tests, what stands in for which dependency.
    """

    def __init__(self) -> None:
        self.threads = Threads()
        self.running: set[asyncio.Future[Any]] = set()
        self.runners = Runners(self.running)
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._on_error: list[Handler] = []
        self._exception_handlers: dict[type[Exception], Handler] = {}
        self._executor: ThreadPoolExecutor | None = None

    # Threads.

    def in_thread(self, handler: Handler, args: list[Any]) -> Awaitable[Any]:
        """Call a blocking handler in a thread."""
        return self.call_in_thread(handler.function, *args)

    def call_in_thread(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Call something that blocks in a thread."""
        # From now on, calls may come from there.
        self.threads.used = True
        if self._executor is None:
            self._executor = ThreadPoolExecutor(thread_name_prefix="nuncio-handler")
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, function, *args)

    # Tasks.

    def spawn(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """Run something that logs its own failures."""
        task = asyncio.ensure_future(awaitable)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _spawn_for(self, socket: Socket | None, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something on behalf of a client, counted against it."""
        if socket is None:
            self.spawn(coroutine)
        else:
            connection = socket._connection
            connection.task_began()
            self.spawn(self._counted(coroutine, connection))

    async def _counted(self, coroutine: Coroutine[Any, Any, None], connection: Connection) -> None:
        try:
            await coroutine
        except asyncio.CancelledError:
            connection.task_ended()
            raise
        connection.task_ended()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self.report(cast("Exception", error), None, "")

    def run_middlewares(
        self, socket: Socket, first: Awaitable[Any], rest: list[Any], payload: list[Any], id: int
    ) -> None:
        """Go on with the middlewares of an event, the first of which waits."""
        self.spawn(self._run_middlewares(socket, first, rest, payload, id))

    async def _run_middlewares(
        self, socket: Socket, first: Awaitable[Any], rest: list[Any], payload: list[Any], id: int
    ) -> None:
        try:
            await first
            for middleware in rest:
                result = middleware.function(*middleware.arguments(socket, ["", *payload], None))
                if hasattr(result, "__await__"):
                    await result
            socket.dispatch(payload, id)
        except Exception as error:
            socket.stop_event(error, payload)
        finally:
            socket.release()

    def finish_beginning(
        self, nsp: Namespace, connection: Connection, auth: dict[str, Any] | None
    ) -> None:
        """Go on with a client whose namespace does not take part in its cluster yet."""
        self.spawn(self._finish_beginning(nsp, connection, auth))

    async def _finish_beginning(
        self, nsp: Namespace, connection: Connection, auth: dict[str, Any] | None
    ) -> None:
        try:
            await nsp.participation.wait(self.report_adapter)
        finally:
            nsp.admit_late(connection, auth)

    def finish_admission(
        self, nsp: Namespace, socket: Socket, first: Awaitable[Any], rest: list[Any]
    ) -> None:
        """Go on with the middlewares of a namespace, the first of which waits."""
        self.spawn(self._finish_admission(nsp, socket, first, rest))

    async def _finish_admission(
        self, nsp: Namespace, socket: Socket, first: Awaitable[Any], rest: list[Any]
    ) -> None:
        try:
            await first
            for middleware in rest:
                result = middleware(socket)
                if hasattr(result, "__await__"):
                    await result
        except Exception as error:
            nsp.refuse(socket, error)
        except asyncio.CancelledError:
            # The server ends. What the client came back for is kept for it.
            if socket.conn.is_open:
                nsp.refuse(socket, ConnectError("cancelled"))
            else:
                nsp.welcome(socket)
            raise
        else:
            nsp.welcome(socket)

    def finish_matching(
        self, connection: Connection, name: str, auth: Any, found: Awaitable[Any]
    ) -> None:
        """Go on with a namespace whose predicate waits."""
        self.spawn(self._finish_matching(connection, name, auth, found))

    async def _finish_matching(
        self, connection: Connection, name: str, auth: Any, found: Awaitable[Any]
    ) -> None:
        nsp = None
        try:
            nsp = await found
        except Exception as error:
            self.report(error, None, "connection")
        connection.enter(name, nsp, auth)

    def finish_restoring(
        self, nsp: Namespace, connection: Connection, auth: dict[str, Any], found: Awaitable[Any]
    ) -> None:
        """Go on with a client whose session is being looked for."""
        self.spawn(self._finish_restoring(nsp, connection, auth, found))

    async def _finish_restoring(
        self, nsp: Namespace, connection: Connection, auth: dict[str, Any], found: Awaitable[Any]
    ) -> None:
        session = None
        try:
            session = await found
        except Exception as error:
            self.report(error, None, "connection")
        nsp.resume(connection, auth, session)

    async def fetch_all(self, fetching: list[Awaitable[list[Any]]]) -> list[Any]:
        """The sockets of several namespaces."""
        return [socket for sockets in await asyncio.gather(*fetching) for socket in sockets]

    def tell_answers(self, answers: Awaitable[list[Any]], callback: Callable[..., Any]) -> None:
        """Call back with the answers to a broadcast: an error or None, and those that came."""
        handler = bind_callback(callback)
        self.spawn(self._tell_answers(answers, handler))

    async def _tell_answers(self, answers: Awaitable[list[Any]], callback: Handler) -> None:
        error: AckTimeout | None = None
        try:
            responses = await answers
        except AckTimeout as timeout:
            error, responses = timeout, timeout.responses
        args = callback.with_answer([error, responses])
        self.guard(callback.function, args, None, "ack")

    def call_connection(self, handler: Handler, socket: Socket) -> None:
        """Call a connection handler; events wait for one that is async."""
        result = self.call_lifecycle(handler, socket, [], spawn=False)
        if result is not None:
            socket.hold()
            self._spawn_for(socket, self._connection(result, socket))

    async def _connection(self, awaitable: Awaitable[Any], socket: Socket) -> None:
        try:
            await awaitable
        except Exception as error:
            self.report(error, socket, "connection")
        finally:
            socket.release()

    def call_lifecycle(
        self, handler: Handler, socket: Socket, args: list[Any], *, spawn: bool = True
    ) -> Awaitable[Any] | None:
        """Call a listener of a lifecycle event.

        Returns:
            What has to be awaited, unless it was spawned.
        """
        try:
            values = handler.arguments(socket, [handler.event, *args], None)
            if handler.thread:
                result: Any = self.in_thread(handler, values)
            else:
                result = handler.function(*values)
        except Exception as error:
            self.report(error, socket, handler.event)
            return None
        if result is None or not hasattr(result, "__await__"):
            return None
        if not spawn:
            return cast("Awaitable[Any]", result)
        self._spawn_for(socket, self._guarded(result, socket, handler.event))
        return None

    def guard(self, function: Callable[..., Any], args: list[Any], socket: Any, event: str) -> None:
        """Call a listener whose failure must not stop anything."""
        try:
            result = function(*args)
        except Exception as error:
            self.report(error, socket, event)
            return
        if result is not None and hasattr(result, "__await__"):
            self._spawn_for(socket, self._guarded(result, socket, event))

    def notify(self, handler: Handler, payload: list[Any], socket: Socket, event: str) -> None:
        """Call a catch-all listener with the event's name and arguments."""
        try:
            args = handler.arguments(socket, ["", *payload], None)
        except ArgumentError as error:
            self.report(error, socket, event)
        else:
            self.guard(handler.function, args, socket, event)

    async def _guarded(self, awaitable: Awaitable[Any], socket: Any, event: str) -> None:
        try:
            await awaitable
        except Exception as error:
            self.report(error, socket, event)

    def gather_acks(self, future: asyncio.Future[list[Any]], servers: int = 1) -> GatheredAcks:
        """Gather the answers to a broadcast into a future."""
        return GatheredAcks(future, servers)

    # Errors.

    def on_error(self, listener: Callable[..., Any]) -> Callable[..., Any]:
        """Call `listener(error, socket, event)` for whatever handlers raise.

        It is called with as many of these as it declares; `socket` may be None. The error is
        logged, too. The client learns nothing of it.
        """
        self._on_error.append(_bind_error_listener(listener))
        return listener

    def exception_handler(self, *kinds: type[Exception]) -> Callable[[H], H]:
        """Answer events whose handler raised: `@io.exception_handler(KeyError)`.

        The function is called with `(error, socket, event)`, as many of these as it declares, and
        what it returns is the acknowledgement. It may be async. An exception that is handled so is
        neither logged nor given to `on_error`. Of several functions the one for the nearest class
        of the exception is called.

        Args:
            kinds: classes of exceptions.

        Raises:
            OptionError: when one is not.
        """
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise OptionError(f"exception_handler takes classes of exceptions, not {kind!r}")
        if not kinds:
            raise OptionError("exception_handler needs a class of exceptions")

        def register(function: H) -> H:
            bound = _bind_error_listener(function)
            for kind in kinds:
                self._exception_handlers[kind] = bound
            return function

        return register

    def handle_exception(self, error: Exception, socket: Socket, reply: Any, event: str) -> bool:
        """Have what a handler raised answered, if the application says how."""
        if not self._exception_handlers:
            return False
        for kind in type(error).__mro__:
            handler = self._exception_handlers.get(kind)
            if handler is not None:
                self._answer_exception(handler, error, socket, reply, event)
                return True
        return False

    def _answer_exception(
        self, handler: Handler, error: Exception, socket: Socket, reply: Any, event: str
    ) -> None:
        try:
            result = handler.function(*handler.arguments(None, ["", error, socket, event], None))
        except Exception as another:
            reply.skip(event)
            self.report(another, socket, event)
            return
        if hasattr(result, "__await__"):
            self._spawn_for(socket, self._answer_later(result, socket, reply, event))
        else:
            reply.answer(result, event)

    async def _answer_later(
        self, result: Awaitable[Any], socket: Socket, reply: Any, event: str
    ) -> None:
        try:
            reply.answer(await result, event)
        except Exception as another:
            reply.skip(event)
            self.report(another, socket, event)

    def report(self, error: Exception, socket: Socket | None, event: str) -> None:
        """A handler failed, or a client's arguments did not fit."""
        who = "a task" if socket is None else f"socket {socket.id!r} of {socket.nsp.name!r}"
        if isinstance(error, (ArgumentError, RateLimited)):
            # The peer's doing: it must not be able to fill the log.
            logger.debug("%s: %r", who, error)
        elif event:
            logger.error("a handler of %r failed for %s", event, who, exc_info=error)
        else:
            # Of Nuncio's own, such as an adapter's; the exception says what it was doing.
            logger.error("a task failed", exc_info=error)
        for handler in self._on_error:
            try:
                args = handler.arguments(None, ["", error, socket, event], None)
                result = handler.function(*args)
                if hasattr(result, "__await__"):
                    self._spawn_for(socket, _logged(result))
            except Exception:
                logger.exception("an on_error listener failed")

    def report_adapter(self, error: Exception) -> None:
        """An adapter could not begin, or not end."""
        self.report(error, None, "")

    async def settle(self, seconds: float) -> None:
        """Wait for what is running, then cancel what is left."""
        current = asyncio.current_task()
        waiting = {task for task in self.running if task is not current}
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                # Their `finally` blocks run before anything else ends.
                await asyncio.wait(late, timeout=CANCEL_SECONDS)
        spare = self.runners.drop_spare()
        if spare is not None:
            await asyncio.wait([spare])
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _bind_error_listener(listener: Callable[..., Any]) -> Handler:
    return bind(listener, "error", takes_socket=False, lifecycle=True, injects=False)


async def _logged(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except Exception:
        logger.exception("an on_error listener failed")


class GatheredAcks:
    """The answers to a broadcast.

    Args:
        future: receives the list of answers, or `AckTimeout` with those that came.
        servers: how many will say how many of their clients are to answer.
    """

    def __init__(self, future: asyncio.Future[list[Any]], servers: int = 1) -> None:
        self._servers = servers
        self._left = 0
        self._missing = False
        self._future = future
        self._responses: list[Any] = []
        self._finish()

    def add_servers(self, count: int) -> None:
        """So many more servers will say how many answers they gather."""
        self._servers += count

    def expect(self, count: int) -> None:
        """One server says how many answers it will gather."""
        self._servers -= 1
        self._left += count
        self._finish()

    def answer(self, value: Any) -> None:
        """One answered."""
        self._responses.append(value)
        self._left -= 1
        self._finish()

    def fail(self, error: Exception) -> None:
        """One will not answer: too late, or gone."""
        self._missing = True
        self._left -= 1
        self._finish()

    def give_up(self) -> None:
        """What has not come by now is missing."""
        self._missing = True
        self._servers = self._left = 0
        self._finish()

    def _finish(self) -> None:
        if self._servers > 0 or self._left > 0 or self._future.done():
            return
        if self._missing:
            self._future.set_exception(AckTimeout(self._responses))
            self._future.exception()
        else:
            self._future.set_result(self._responses)
