"""A worker's process: `python -m nuncio.workers.child`, as the supervisor starts it.

It inherits the listening socket and a channel to the supervisor. The channel carries lines of JSON:
the worker says that it is ready, or why it is not; the supervisor says that it shall drain. When
the channel ends, so does the worker: nobody else would.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import traceback
from typing import Any

from nuncio.errors import NuncioError
from nuncio.hosts.application import Application, load_worker
from nuncio.hosts.serve import run_on


def main(arguments: list[str]) -> int:
    """Serve until told to end; returns the exit status.

    Args:
        arguments: one string of JSON, see `Supervisor`.
    """
    given = json.loads(arguments[0])
    channel = socket.socket(fileno=given["channel"])
    listener = socket.socket(fileno=given["listener"])
    try:
        application = load_worker(given["target"])
        run_on(
            application.engine,
            [listener],
            begin=lambda: _Channel(channel, application),
            app=application.app,
            **given["options"],
        )
    except BaseException as error:
        _tell(channel, {"failed": _words(error)})
        return 1
    return 0


def _words(error: BaseException) -> str:
    if isinstance(error, (NuncioError, ConnectionError)):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        channel.setblocking(True)
        channel.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass


class _Channel:
    """Listens to the supervisor, once the server is ready."""

    def __init__(self, channel: socket.socket, application: Application) -> None:
        self._channel = channel
        self._application = application
        self._draining: asyncio.Future[Any] | None = None
        worker = application.engine.worker
        meeting = ("", 0) if worker is None else worker.meeting
        _tell(channel, {"ready": os.getpid(), "meeting": meeting})
        channel.setblocking(False)
        asyncio.get_running_loop().add_reader(channel, self._read)

    def _read(self) -> None:
        try:
            data = self._channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._end()
            return
        for line in data.splitlines():
            seconds = float(json.loads(line)["drain"])
            self._draining = self._application.engine.spawn(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        await self._application.engine.drain(seconds)
        self._end()

    def _end(self) -> None:
        for host in self._application.engine.hosts:
            host.should_exit = True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
