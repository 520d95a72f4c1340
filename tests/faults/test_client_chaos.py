"""Twenty clients on a network that goes wrong all the time, to a server that restarts.

NUNCIO_CHAOS_SECONDS says how long; NUNCIO_CHAOS_SEED, which dice.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import pytest

import nuncio
from nuncio import ClientSocket, Server
from tests.faults.rough import RoughProxy
from tests.support.aio import eventually, within
from tests.support.ports import free_port

SECONDS = float(os.environ.get("NUNCIO_CHAOS_SECONDS", "6"))
SEED = int(os.environ.get("NUNCIO_CHAOS_SEED", "7"))

CLIENTS = 20

# Something has happened to each connection within this time, in seconds.
LONGEST = 1.5

TRANSPORTS = (["polling"], ["websocket"], ["polling", "websocket"])


class Application:
    """What outlives the server: its database, one may say.

    Attributes:
        kept: what each client's events were, each once, in the order in which they arrived.
        arrivals: how often each event arrived, by client and number.
        by_session: the numbers that came over one session, in order.
    """

    def __init__(self) -> None:
        self.kept: dict[int, list[int]] = {name: [] for name in range(CLIENTS)}
        self.arrivals: dict[int, Counter[int]] = {name: Counter() for name in range(CLIENTS)}
        self.by_session: dict[str, list[int]] = {}

    def serve(self) -> Server:
        """A server with it; one after the other."""
        io = Server(ping_interval=0.2, ping_timeout=0.4, upgrade_timeout=1.0)

        @io.on("number")
        def number(socket: nuncio.Socket, client: int, value: int) -> int:
            arrivals = self.arrivals[client]
            arrivals[value] += 1
            if arrivals[value] == 1:
                self.kept[client].append(value)
            self.by_session.setdefault(socket.id, []).append(value)
            return value

        return io


class Client:
    """A client that counts.

    Args:
        name: its number.
        port: the proxy's.
        dice: decide when it emits.
    """

    def __init__(self, name: int, port: int, dice: random.Random) -> None:
        self.name = name
        self.repeats = name % 2 == 0
        self.emitted = 0
        self.answered: list[int] = []
        self.failures: list[Exception] = []
        self.connected_times = 0
        self.ticks: list[int] = []
        self._dice = dice
        self.manager = nuncio.Manager(
            f"http://127.0.0.1:{port}",
            transports=TRANSPORTS[name % len(TRANSPORTS)],
            reconnection_delay=0.02,
            reconnection_delay_max=0.2,
            timeout=1.0,
        )
        options: dict[str, Any] = {"retries": 100_000, "ack_timeout": 0.5} if self.repeats else {}
        self.socket: ClientSocket = self.manager.socket("/", **options)
        self.socket.on("connect", self._connected)

    def _connected(self) -> None:
        self.connected_times += 1

    async def talk(self, end: float) -> None:
        """Emit now and then until a time."""
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            if len(self.answered) + 100 > self.emitted or not self.repeats:
                for _ in range(self._dice.randint(1, 5)):
                    self._emit()
            await asyncio.sleep(self._dice.uniform(0.01, 0.2))

    def _emit(self) -> None:
        value = self.emitted
        self.emitted += 1
        if self.repeats:
            self.socket.emit("number", self.name, value, self._answer)
        else:
            self.socket.emit("number", self.name, value)

    def _answer(self, error: Exception | None, value: int = -1) -> None:
        if error is None:
            self.answered.append(value)
        else:
            self.failures.append(error)

    @property
    def done(self) -> bool:
        """Whether everything is acknowledged that is to be."""
        return not self.repeats or len(self.answered) + len(self.failures) == self.emitted


async def restart_now_and_then(
    application: Application, proxy: RoughProxy, port: int, dice: random.Random, end: float
) -> tuple[Any, int]:
    """Serve until a time, with pauses; returns what listens in the end, and how often it began."""
    loop = asyncio.get_running_loop()
    restarts = 0
    listening = await application.serve().listen(port, shutdown_timeout=1.0)
    while True:
        await asyncio.sleep(dice.uniform(0.5, 3.0))
        if loop.time() >= end:
            return listening, restarts
        await proxy.target_stops()
        await listening.close()
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        listening = await application.serve().listen(port, shutdown_timeout=1.0)
        proxy.target_runs()
        restarts += 1


async def chaos() -> str:
    """Everything at once; returns the counts."""
    dice = random.Random(SEED)
    application = Application()
    loop = asyncio.get_running_loop()
    server_port, proxy_port = free_port(), free_port()
    end = loop.time() + SECONDS
    async with RoughProxy(proxy_port, server_port, random.Random(SEED + 1), LONGEST) as proxy:
        serving = asyncio.ensure_future(
            restart_now_and_then(application, proxy, server_port, random.Random(SEED + 2), end)
        )
        clients = [
            Client(name, proxy_port, random.Random(dice.random())) for name in range(CLIENTS)
        ]
        await asyncio.gather(*(client.talk(end) for client in clients))
        listening, restarts = await serving
        proxy.calm()
        # Every one comes back, and what was to be acknowledged is.
        await within(asyncio.gather(*(client.socket.wait_connected() for client in clients)), 60)
        await eventually(lambda: all(client.done for client in clients), "all is acknowledged")
        for client in clients:
            await within(client.manager.close())
        await listening.close()
        counts = dict(sorted(proxy.counts.items()))
    check(application, clients)
    emitted = {kind: sum(one.emitted for one in clients if one.repeats == kind) for kind in (0, 1)}
    arrived = {
        kind: sum(len(application.kept[one.name]) for one in clients if one.repeats == kind)
        for kind in (0, 1)
    }
    again = sum(
        sum(application.arrivals[one.name].values()) - len(application.kept[one.name])
        for one in clients
        if one.repeats
    )
    connected = sum(client.connected_times for client in clients)
    return (
        f"{SECONDS:g} s, seed {SEED}: {restarts} restarts, {connected} times connected; proxy: "
        f"{counts}; with retries {emitted[1]} emitted, {arrived[1]} arrived, {again} of them "
        f"again; without {emitted[0]} emitted, {arrived[0]} arrived, none again"
    )


def check(application: Application, clients: list[Client]) -> None:
    """What must hold."""
    for client in clients:
        kept = application.kept[client.name]
        arrivals = application.arrivals[client.name]
        assert client.connected_times >= 1
        assert client.failures == []
        if client.repeats:
            # Each once and in order, once the application has dropped what it knows.
            assert kept == list(range(client.emitted))
            assert client.answered == list(range(client.emitted))
        else:
            assert set(arrivals.values()) <= {1}, "an event arrived twice"
            assert set(kept) <= set(range(client.emitted))
    for numbers in application.by_session.values():
        # Within a session nothing is overtaken; a repetition is the same number again.
        assert numbers == sorted(numbers)


@pytest.mark.timeout(SECONDS + 150)
def test_clients_lose_nothing_that_is_repeated_and_repeat_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    uncaught: list[dict[str, Any]] = []

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: uncaught.append(context))
        async with asyncio.timeout(SECONDS + 120):
            counts = await chaos()
        # Whoever has ended leaves no task behind.
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()}, "no tasks")
        return counts

    counts = asyncio.run(main())
    assert not uncaught, f"nobody caught {uncaught}"
    with capsys.disabled():
        print(f"\n{counts}")
