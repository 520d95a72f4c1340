"""New code under traffic: `nuncio serve` replaces its workers, and nothing promised is lost."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import nuncio
from tests.support.aio import run_async, until, within
from tests.support.node import WEBSOCKET, Client, Node
from tests.workers.test_supervisor import serving

PATIENCE = 30.0

# Whoever listens gets each number; whoever sends one knows that it was emitted once it is answered.
APPLICATION = """
import os
import nuncio

io = nuncio.Server(connection_state_recovery=True, delivery="at-least-once")

@io.on("connection")
def connection(socket):
    socket.join("everybody")
    if not socket.recovered:
        socket.data["number"] = 0

@io.event
def shout(socket, sender, number):
    socket.data["number"] += 1
    io.to("everybody").emit("shout", sender, number)
    return os.getpid()

@io.event
def count(socket):
    return socket.data["number"]

@io.on("undelivered")
def undelivered(report):
    print("UNDELIVERED", report.reason, len(report.events), flush=True)
"""

# A page that takes part: it hears each event once, and sends one after the other.
PAGE = """
const seen = new Set();
const heard = [];
let running = true;
let recovered = [];
socket.on("connect", () => recovered.push(socket.recovered));
socket.on("shout", (sender, number, id, acknowledge) => {
  if (!seen.has(id)) { seen.add(id); heard.push([sender, number]); }
  acknowledge();
});
socket.begin = async () => {
  for (let number = 0; running; number++) {
    await new Promise((done) => socket.emit("shout", args[0], number, () => done()));
    socket.sent = number + 1;
    await new Promise((done) => setTimeout(done, 20));
  }
  socket.stopped = true;
};
socket.stop = () => { running = false; };
socket.heard = () => heard;
socket.recoveries = () => recovered;
"""


class Member:
    """A Python client that hears and sends, as the pages do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[tuple[str, int]] = []
        self.recovered: list[bool] = []
        self.sent = 0
        self.running = True
        self.stopped = asyncio.Event()

    async def connect(self, port: int) -> None:
        self.socket = await nuncio.connect(
            f"http://127.0.0.1:{port}",
            force_new=True,
            reconnection_delay=0.02,
            reconnection_delay_max=0.1,
            delivery="at-least-once",
            retries=100,
            ack_timeout=2.0,
        )
        self.socket.on("shout", lambda sender, number: self.heard.append((sender, number)))
        self.socket.on("connect", lambda: self.recovered.append(self.socket.recovered))

    async def told(self) -> list[tuple[str, int]]:
        """What it has heard."""
        return self.heard

    async def send(self) -> None:
        """Send one after the other, until told to stop."""
        for number in itertools.count():
            if not self.running:
                self.stopped.set()
                return
            await self.socket.emit_with_ack("shout", self.name, number)
            self.sent = number + 1
            await asyncio.sleep(0.01)


async def page(clients: Any, name: str) -> Client:
    client: Client = await clients.connect(
        way=WEBSOCKET,
        reconnection=True,
        reconnectionDelay=20,
        reconnectionDelayMax=100,
        retries=100,
        ackTimeout=2000,
    )
    await client.run(PAGE, name)
    return client


async def everything(heard: Callable[[], Awaitable[Any]], wanted: set[Any]) -> None:
    """Wait until a client has heard everything."""
    missing = wanted
    limit = asyncio.get_running_loop().time() + PATIENCE
    while missing:
        assert asyncio.get_running_loop().time() < limit, f"not heard: {sorted(missing)}"
        await asyncio.sleep(0.05)
        missing = wanted - {tuple(one) for one in await heard()}


@run_async
async def test_a_rolling_deploy_loses_nothing(node: Node, tmp_path: Path) -> None:
    arguments = ("--workers", "3", "--drain-window", "0.3")
    with serving(tmp_path, *arguments, source=APPLICATION) as served:
        await asyncio.to_thread(served.wait_for, "listening")
        before = served.workers()
        async with node.clients(port=served.port) as clients:
            members = [Member(f"member {number}") for number in range(4)]
            for one in members:
                await one.connect(served.port)
            pages = [await page(clients, f"page {number}") for number in range(3)]
            sending = [asyncio.ensure_future(one.send()) for one in members]
            for page_there in pages:
                await page_there.run("socket.begin()")
            served.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(served.wait_for, "all workers are replaced")
            assert not served.workers() & before
            wanted = await _stopped(members, pages)
            await within(asyncio.gather(*sending))
            for one in members:
                await everything(one.told, wanted)
                assert one.recovered and all(one.recovered)
            for page_there in pages:
                await everything(partial(page_there.value, "socket.heard()"), wanted)
                recovered = await page_there.value("socket.recoveries()")
                assert recovered and all(recovered)
            for one in members:
                await one.socket.close()
    assert not any("UNDELIVERED" in line for line in served.lines), served.lines


async def _stopped(members: list[Member], pages: list[Client]) -> set[tuple[str, int]]:
    """Have all stop sending; returns what was sent and answered."""
    wanted: set[tuple[str, int]] = set()
    for one in members:
        one.running = False
    for there in pages:
        await there.run("socket.stop()")
        await until(partial(there.value, "socket.stopped"), True)
    for number, there in enumerate(pages):
        sent = await there.value("socket.sent")
        wanted |= {(f"page {number}", each) for each in range(sent)}
    for one in members:
        await within(one.stopped.wait())
        wanted |= {(one.name, each) for each in range(one.sent)}
    assert len(wanted) > 50
    return wanted
