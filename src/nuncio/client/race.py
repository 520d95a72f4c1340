"""WebTransport and WebSocket tried together, so that a network without UDP costs next to nothing.

Where UDP does not pass, nobody answers at all, and a time-out would be all there is to notice it
by. So WebSocket sets out a quarter of a second later, and who arrives first is taken (the idea is
that of RFC 8305, "Happy Eyeballs").
"""

from __future__ import annotations

import asyncio
from typing import Final

from nuncio.client.dial import Dial
from nuncio.client.transports import ClientTransport, WebSocket
from nuncio.engine.transport import Transport

WEBTRANSPORT: Final = "webtransport"

# How much earlier WebTransport sets out.
HEAD_START_SECONDS: Final = 0.25


def raced(ways: list[ClientTransport], *, upgrade: bool) -> list[ClientTransport]:
    """The ways, with WebTransport and WebSocket together where one of them is first.

    Args:
        ways: in the order of preference.
        upgrade: whether a session moves there. Official clients then try WebTransport first,
            whatever the order; a new session begins with WebTransport only where that is first.
    """
    names = [way.name for way in ways]
    if WEBTRANSPORT not in names or WebSocket.name not in names:
        return ways
    places = sorted((names.index(WEBTRANSPORT), names.index(WebSocket.name)))
    if not upgrade and names[places[0]] != WEBTRANSPORT:
        return ways
    race = Race(ways[names.index(WEBTRANSPORT)], ways[names.index(WebSocket.name)])
    rest = [way for index, way in enumerate(ways) if index not in places]
    return [*rest[: places[0]], race, *rest[places[0] :]]


class Race(ClientTransport):
    """Two ways at once, of which one has a head start.

    Args:
        first: sets out at once.
        second: sets out when the first has failed, or has not arrived after the head start.
    """

    name = WEBTRANSPORT

    def __init__(self, first: ClientTransport, second: ClientTransport) -> None:
        self._first = first
        self._second = second

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`.

        Raises:
            TransportError: that of the second, when both have failed.
        """
        loop = asyncio.get_running_loop()
        runners = [loop.create_task(self._first.open(dial))]
        try:
            await asyncio.wait(runners, timeout=HEAD_START_SECONDS)
            if not _arrived(runners):
                runners.append(loop.create_task(self._second.open(dial)))
            under_way = set(runners)
            while under_way and not _arrived(runners):
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            return (_arrived(runners) or runners[-1]).result()
        finally:
            await _end(runners, _arrived(runners))


def _arrived(runners: list[asyncio.Task[Transport]]) -> asyncio.Task[Transport] | None:
    """The first that has arrived."""
    for runner in runners:
        if runner.done() and not runner.cancelled() and runner.exception() is None:
            return runner
    return None


async def _end(
    runners: list[asyncio.Task[Transport]], winner: asyncio.Task[Transport] | None
) -> None:
    """Call back all but the winner."""
    losers = [runner for runner in runners if runner is not winner]
    for loser in losers:
        loser.cancel()
    if losers:
        await asyncio.wait(losers)
    for loser in losers:
        if not loser.cancelled() and loser.exception() is None:
            loser.result().abort()
