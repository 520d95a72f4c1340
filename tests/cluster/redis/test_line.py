"""How a connection to Redis ends."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from typing import Any

from redis.asyncio.connection import Connection

from nuncio.cluster.redis import line
from tests.support.aio import eventually, run_async


@run_async
async def test_why_a_connection_broke_is_not_left_to_asyncios_log() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    with listening:
        connection: Any = Connection(host="127.0.0.1", port=listening.getsockname()[1])
        await connection._connect()
        other, _ = listening.accept()
        with other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream = connection._writer
        # The second one finds that nobody is there.
        for _ in range(3):
            stream.write(b"x")
        await line.hang_up(connection)
        await eventually(lambda: stream._protocol._closed.done(), "the connection has ended")
        assert isinstance(stream._protocol._closed._exception, OSError)
        # In a cycle it may go before what would look after it.
        stream._protocol._closed = asyncio.get_running_loop().create_future()
        gc.collect()
