"""`io.run` and `io.listen`: uvicorn with Nuncio's WebSocket path, started and stopped in order."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from nuncio._build import build_info
from nuncio.engine.engine import Engine
from nuncio.engine.winddown import LOOK_SECONDS
from nuncio.errors import OptionError
from nuncio.hosts.asgi import ASGIApp, abandon, start
from nuncio.hosts.http import NuncioHTTPProtocol
from nuncio.hosts.tls import check_tls
from nuncio.hosts.uvicorn import NuncioProtocol
from nuncio.options import seconds, unknown_option

if TYPE_CHECKING:
    from nuncio.webtransport.host import WebTransportHost

logger = logging.getLogger("nuncio")

# How often a port is looked for that is free for both TCP and UDP.
_TRIES = 20

OPTIONS = (
    "app",
    "backlog",
    "forwarded_allow_ips",
    "log_level",
    "shutdown_timeout",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_keyfile_password",
    "uds",
    "webtransport",
)


# The modules that a command line has named, while they are imported.
_importing: list[str] = []


@contextmanager
def importing(module: str) -> Iterator[None]:
    """While the block runs, a module is imported whose server somebody else will run."""
    _importing.append(module)
    try:
        yield
    finally:
        _importing.remove(module)


def _check_not_imported() -> None:
    if _importing:
        raise OptionError(
            f"the module {_importing[-1]} calls io.run() while it is imported, and would serve by "
            'itself: leave that out, or put it under `if __name__ == "__main__":`'
        )


def _check_address(host: object, port: object) -> None:
    if not isinstance(host, str):
        raise OptionError(f"host must be an address, not {host!r}; write io.run(port=3000)")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise OptionError(f"port must be a whole number from 0 to 65535, not {port!r}")


def _config(engine: Engine, host: str, port: int, options: dict[str, Any]) -> uvicorn.Config:
    for name in options:
        if name not in OPTIONS:
            raise unknown_option(name, OPTIONS, "run")
    _check_address(host, port)
    check_tls(options)
    options.pop("webtransport", None)
    timeout = seconds("shutdown_timeout", options.pop("shutdown_timeout", 10.0))
    app = options.pop("app", None)
    return uvicorn.Config(
        app if isinstance(app, ASGIApp) and engine in app.engines() else ASGIApp(engine, app),
        host=host,
        port=port,
        http=NuncioHTTPProtocol,
        ws=NuncioProtocol,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        lifespan="auto" if app is not None else "off",
        access_log=False,
        server_header=False,
        log_level=options.pop("log_level", "warning"),
        timeout_graceful_shutdown=max(1, round(timeout)),
        **options,
    )


class NuncioServer(uvicorn.Server):
    """uvicorn's server, which tells the clients of all its engines before it stops.

    Args:
        config: whose application is an `ASGIApp`.
        engine: the one that serves; those nested behind it are found.
        quic: serves WebTransport beside, where it is asked for.
    """

    def __init__(
        self, config: uvicorn.Config, engine: Engine, quic: WebTransportHost | None = None
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self.quic = quic
        app: Any = config.app
        self._engines: list[Engine] = app.engines()

    async def startup(self, sockets: Any = None) -> None:
        """Begin to listen, once the engines have started.

        Raises:
            Exception: what kept one of them from starting.
        """
        starting = asyncio.ensure_future(self._start(sockets))
        try:
            # Whoever presses Ctrl-C does not want to wait for a cluster that cannot be reached.
            while not starting.done() and not self.should_exit:
                await asyncio.wait((starting,), timeout=LOOK_SECONDS)
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.wait((starting,))
        if starting.cancelled():
            return
        error = starting.result()
        if error is not None:
            raise error
        # Its end ends the host. Those nested behind it may end alone.
        self._engine.hosts.append(self)

    async def _start(self, sockets: Any) -> BaseException | None:
        """Start the engines and listen; what went wrong is returned, as no task can raise an exit.

        With an application beside, the engines start when that has.
        """
        app: Any = self.config.app
        app.failure = None
        try:
            if self.config.lifespan == "off":
                await start(self._engines)
            await super().startup(sockets)
            if self.quic is not None and self.started:
                await self.quic.start()
        except BaseException as error:
            failure: BaseException | None = app.failure
            if failure is not None:
                # uvicorn ends the process, whatever the reason is.
                return failure
            await abandon(self._engines)
            if isinstance(error, asyncio.CancelledError):
                raise
            return error
        return None

    def stop_listening(self) -> None:
        """Take no new connections; those there are go on."""
        for server in self.servers:
            server.close()

    async def shutdown(self, sockets: Any = None) -> None:
        """End the sessions, stop listening, then end everything else."""
        seconds = float(self.config.timeout_graceful_shutdown or 0)
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        for engine in self._engines:
            engine.host_stopping()
        await self._wind_down(seconds)
        if self.quic is not None:
            await self.quic.close(max(1.0, (limit - loop.time()) / 2))
        self.config.timeout_graceful_shutdown = max(1, round(limit - loop.time()))
        await super().shutdown(sockets)
        if self in self._engine.hosts:
            self._engine.hosts.remove(self)
        # A stop in order is a success: uvicorn would raise the signal that asked for it again.
        self._captured_signals.clear()

    async def _wind_down(self, seconds: float) -> None:
        """Let the engines come to rest; who presses Ctrl-C again does not want to wait."""
        resting = asyncio.gather(*(engine.wind_down(seconds) for engine in self._engines))
        while not resting.done() and not self.force_exit:
            # Clients may fetch the last of what is theirs with polls on new connections.
            if not any(engine.sessions for engine in self._engines):
                self.stop_listening()
            await asyncio.wait((resting,), timeout=LOOK_SECONDS)
        if resting.done():
            resting.result()
        else:
            resting.cancel()

    @property
    def port(self) -> int:
        """The port it listens on; 0 on a Unix socket."""
        name = self.servers[0].sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0


class Listening:
    """A server that is running in the current loop; also an async context manager.

    Attributes:
        port: where it listens.
        host: on which address.
        certificate_hash: the SHA-256 of WebTransport's certificate in base64; empty without it.
    """

    def __init__(self, server: NuncioServer, task: asyncio.Task[None], host: str) -> None:
        self._server = server
        self._task = task
        self.host = host
        self.port = server.port
        self.certificate_hash = "" if server.quic is None else server.quic.certificate.hash64

    async def close(self) -> None:
        """End the sessions and stop; closing twice does no harm."""
        self._server.should_exit = True
        await asyncio.shield(self._task)

    async def wait(self) -> None:
        """Wait until somebody closes it."""
        await asyncio.shield(self._task)

    async def __aenter__(self) -> Listening:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def listen(engine: Engine, host: str, port: int, **options: Any) -> Listening:
    """See `nuncio.Server.listen`.

    Raises:
        OptionError: for a wrong option.
        OSError: when the address cannot be listened on.
        RuntimeError: when the application beside does not start.
    """
    server, sockets = _made(NuncioServer, engine, host, port, options)
    try:
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets)
    except BaseException as error:
        for sock in sockets or ():
            sock.close()
        if server.quic is not None:
            await server.quic.close()
        if isinstance(error, SystemExit):
            # uvicorn ends the process, which is not its own here.
            raise RuntimeError("the application did not start; the log says why") from error
        raise
    task = asyncio.get_running_loop().create_task(_serve(server, sockets))
    return Listening(server, task, host)


def _made(
    kind: type[NuncioServer], engine: Engine, host: str, port: int, options: dict[str, Any]
) -> tuple[NuncioServer, list[socket.socket] | None]:
    """A server, and the sockets it is to listen on."""
    wanted = options.get("webtransport")
    config = _config(engine, host, port, options)
    quic = _webtransport(config, wanted)
    for _ in range(_TRIES):
        sockets = _bind(config)
        try:
            if quic is not None:
                quic.bind(config.host, sockets[0].getsockname()[1] if sockets else config.port)
            break
        except OSError:
            for sock in sockets or ():
                sock.close()
            # Any port will do, and the next that is free for TCP may be so for UDP, too.
            if config.port != 0 or (quic is not None and quic.fixed):
                raise
    else:
        raise OSError(errno.EADDRINUSE, f"no port of {host} is free for both TCP and UDP")
    return kind(config, engine, quic), sockets


def _webtransport(config: uvicorn.Config, wanted: Any) -> WebTransportHost | None:
    app: Any = config.app
    engines = [one for one in app.engines() if "webtransport" in one.options.transports]
    if not engines:
        if wanted is not None:
            raise OptionError(
                "webtransport is of no use unless the server has it among its transports: "
                "nuncio.Server(transports=['polling', 'websocket', 'webtransport'])"
            )
        return None
    from nuncio.webtransport.host import WebTransportHost

    return WebTransportHost(
        engines, wanted, config.ssl_certfile, config.ssl_keyfile, config.ssl_keyfile_password
    )


def _bind(config: uvicorn.Config) -> list[socket.socket] | None:
    """The sockets to listen on; None leaves a Unix socket to uvicorn.

    Raises:
        OSError: with the system's own error number, and what to do.
    """
    return None if config.uds is not None else [_listen(config.host, config.port, config.backlog)]


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
        return listener
    except OSError as error:
        listener.close()
        where = f"{host}:{port}"
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = "; another program listens there: end it, or choose another port"
        elif error.errno == errno.EACCES:
            hint = "; ports below 1024 need privileges: choose another port"
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}{hint}") from error


async def _serve(server: NuncioServer, sockets: list[socket.socket] | None) -> None:
    await server.main_loop()
    await server.shutdown(sockets)


def run(engine: Engine, host: str, port: int, **options: Any) -> None:
    """See `nuncio.Server.run`.

    Raises:
        OptionError: for a wrong option, when an event loop runs here already, or when this is done
            by a module that `nuncio serve` imports.
        OSError: when the address cannot be listened on.
    """
    _check_not_imported()
    _check_no_loop(host, port)
    server, sockets = _made(_Announcing, engine, host, port, options)
    try:
        server.run(sockets)
    finally:
        for sock in sockets or ():
            sock.close()
        if server.quic is not None:
            server.quic.unbind()


def run_on(
    engine: Engine, sockets: list[socket.socket], begin: Callable[[], object], **options: Any
) -> None:
    """Serve on sockets that listen already, until interrupted.

    Args:
        engine: which serves.
        sockets: where.
        begin: called in the loop once connections are accepted.
        options: see `nuncio.Server.run`.

    Raises:
        OptionError: for a wrong option.
    """
    if "webtransport" in engine.options.transports:
        raise OptionError(
            "transports: webtransport belongs to one process, for UDP packets of a client may "
            "reach any of several workers; leave it out, or serve it in one process"
        )
    server = _Beginning(_config(engine, "127.0.0.1", 0, options), engine)
    server.begin = begin
    server.run(sockets)


def listening_socket(host: str, port: int, backlog: int = 2048) -> socket.socket:
    """A socket that listens, for servers in other processes.

    Raises:
        OptionError: for a wrong host or port.
        OSError: when the address cannot be listened on.
    """
    _check_address(host, port)
    return _listen(host, port, backlog)


class _Beginning(NuncioServer):
    """Tells when it has begun."""

    begin: Callable[[], object]

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._begun = self.begin()


def _check_no_loop(host: str, port: int) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise OptionError(
        "run begins an event loop, and one is running here already: write "
        f"listening = await io.listen(host={host!r}, port={port!r}), and "
        "await listening.wait() to serve until it is closed"
    )


class _Announcing(NuncioServer):
    """Says where it listens, in one line."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            scheme = "https" if self.config.is_ssl else "http"
            host = self.config.host if ":" not in self.config.host else f"[{self.config.host}]"
            where = self.config.uds or f"{scheme}://{host}:{self.port}"
            kind = "compiled" if build_info().compiled else "plain Python"
            path = self._engine.path
            too = "" if self.quic is None else f" and UDP port {self.quic.port}"
            print(f"Nuncio listening on {where}{path}/{too} ({kind}); Ctrl-C stops", flush=True)
            if self._engine.worker is not None:
                print(meeting_words(*self._engine.worker.meeting), flush=True)


def meeting_words(place: str, others: int, own: int = 0) -> str:
    """Where a server's workers meet others, and how many are there.

    Args:
        place: where, in words.
        others: how many one of them is linked with.
        own: how many of these belong to it itself.
    """
    count = max(0, others - own)
    there = {0: "nobody else is there yet", 1: "one other is there"}
    return f"Workers meet {place}; {there.get(count, f'{count} others are there')}"
