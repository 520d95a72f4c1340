"""A server for long-polling whose every answer is the test's.

async with PollServer() as server:
    ...                                 # a client connects to server.url
    get = await server.get()
    get.reply('0{"sid":"a"}')
    post = await server.post()
    assert post.packets == ["40"]
    post.ok()
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

from tests.support.aio import eventually, within
from tests.support.oddserver import OddServer, Request, Wire


class Poll:
    """One request that waits for its answer.

    Attributes:
        request: what was asked.
        wire: its connection.
    """

    def __init__(self, request: Request, wire: Wire) -> None:
        self.request = request
        self.wire = wire
        self._answered = asyncio.Event()

    @property
    def gone(self) -> bool:
        """Whether the client has given it up."""
        return self.wire.at_end

    @property
    def packets(self) -> list[str]:
        """What was posted."""
        return self.request.body.decode().split("\x1e")

    def reply(
        self, body: str | bytes = "", status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer it."""
        self.wire.reply(status, body, headers)
        self._answered.set()

    def ok(self) -> None:
        """Answer a POST as servers do."""
        self.reply("ok")

    def noop(self) -> None:
        """Answer a GET with nothing to say."""
        self.reply("6")

    def raw(self, data: bytes) -> None:
        """Answer with exactly these bytes; more may follow, until `done`."""
        self.wire.raw(data)

    def done(self) -> None:
        """The answer is complete."""
        self._answered.set()

    def cut(self) -> None:
        """Close its connection."""
        self.wire.close()
        self._answered.set()

    async def wait(self) -> None:
        """Wait until it has been answered."""
        await self._answered.wait()


class PollServer:
    """The server.

    Attributes:
        odd: the server below.
    """

    def __init__(self) -> None:
        self.odd = OddServer(self._answer)
        self._gets: asyncio.Queue[Poll] = asyncio.Queue()
        self._posts: asyncio.Queue[Poll] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        await self.odd.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.odd.__aexit__(*exc)

    @property
    def url(self) -> str:
        """Its address."""
        return self.odd.url

    async def _answer(self, request: Request, wire: Wire) -> None:
        poll = Poll(request, wire)
        (self._posts if request.method == "POST" else self._gets).put_nowait(poll)
        await poll.wait()

    async def get(self) -> Poll:
        """The next GET."""
        return await within(self._gets.get())

    async def post(self) -> Poll:
        """The next POST."""
        return await within(self._posts.get())

    def nothing_else(self) -> bool:
        """Whether no request has come that was not looked at."""
        return self._gets.empty() and self._posts.empty()

    async def left(self, poll: Poll) -> None:
        """Wait until a client has given up a request."""
        await eventually(lambda: poll.gone, "the client gives it up")
