"""Requests and transports that come to another worker than the one that holds their session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import nuncio
from tests.support.aio import eventually, run_async, within
from tests.support.rawclient import Polling, WebSocket, fetch, websocket_target
from tests.workers.conftest import Crew, Start, worker_of


def elsewhere(crew: Crew, sid: str) -> int:
    """The port of a worker that does not hold a session."""
    return crew.ports[(crew.holder(sid) + 1) % len(crew.ports)]


async def joined(crew: Crew) -> tuple[Polling, Polling]:
    """A session that has joined; as its own worker, and as another one knows it."""
    here = await Polling.open(crew.ports[0])
    assert (await here.post("40")).status == 200
    assert (await here.receive())[0].startswith("40")
    there = Polling(elsewhere(crew, here.sid), here.path, here.opening)
    return here, there


@run_async
async def test_the_id_says_who_holds_the_session(crew: Start) -> None:
    async with crew(2) as workers:
        for port, io in zip(workers.ports, workers.servers, strict=True):
            polling = await Polling.open(port)
            assert len(polling.sid) == 20
            assert polling.sid in io.engine.sessions
            assert polling.sid[:3] == worker_of(io).mesh.tag


@run_async
async def test_polls_and_payloads_reach_their_session(crew: Start) -> None:
    async with crew() as workers:
        here, there = await joined(workers)
        poll = await there.begin_poll()
        assert (await there.post('420["echo","a",1]')).text == "ok"
        response = await poll.response()
        assert response.status == 200
        assert response.text == '430["a",1]'
        assert response.header("content-type") == "text/plain; charset=UTF-8"
        await poll.close()
        # And at its own worker again.
        await here.post('421["echo","b"]')
        assert await here.receive() == ['431["b"]']


@run_async
async def test_binary_and_many_packets(crew: Start) -> None:
    async with crew() as workers:
        _, there = await joined(workers)
        await there.post(
            '451-0["echo",{"_placeholder":true,"num":0}]\x1ebAAEC\x1e421["echo","\u00e4\u2028"]'
        )
        packets = await there.receive()
        assert packets == [
            '461-0[{"_placeholder":true,"num":0}]',
            "bAAEC",
            '431["\u00e4\u2028"]',
        ]


@run_async
async def test_a_session_nobody_holds_is_unknown(crew: Start) -> None:
    async with crew(2) as workers:
        tag = worker_of(workers.servers[1]).mesh.tag
        for sid in ("x", "A" * 20, tag + "A" * 17):
            response = await fetch(
                workers.ports[0], f"/socket.io/?EIO=4&transport=polling&sid={sid}"
            )
            assert response.status == 400
            assert response.json["code"] == 1
            with pytest.raises(Exception, match="400"):
                await WebSocket.open(workers.ports[0], websocket_target(sid=sid))


@run_async
async def test_the_checks_of_the_session_hold(crew: Start) -> None:
    async with crew(2) as workers:
        _, there = await joined(workers)
        response = await fetch(there.port, there.target.replace("EIO=4", "EIO=3"))
        assert response.status == 400
        first = await there.begin_poll()
        # Two polls at once end the session, wherever they come.
        assert (await there.get()).status == 400
        assert (await first.response()).status == 200
        await first.close()
        assert (await there.get()).status == 400


@run_async
async def test_a_body_over_the_limit_is_refused_where_it_comes(crew: Start) -> None:
    async with crew(2, max_http_buffer_size=1000) as workers:
        here, there = await joined(workers)
        assert (await there.post('42["echo","' + "x" * 2000 + '"]')).status == 413
        await here.post('420["echo"]')
        assert await here.receive() == ["430[]"]


@run_async
async def test_a_poll_that_is_given_up_ends_the_session(crew: Start) -> None:
    async with crew(2) as workers:
        here, there = await joined(workers)
        holder = workers.servers[workers.holder(here.sid)]
        poll = await there.begin_poll()
        session = holder.engine.sessions[here.sid]
        await eventually(lambda: session.transport.writable)
        await poll.close()
        await eventually(lambda: here.sid not in holder.engine.sessions)


@run_async
async def test_an_upgrade_at_another_worker(crew: Start) -> None:
    async with crew() as workers:
        here, there = await joined(workers)
        holder = workers.servers[workers.holder(here.sid)]
        poll = await here.begin_poll()
        async with await there.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            assert (await poll.response()).text == "6"
            await poll.close()
            await socket.send("5")
            await socket.send('420["echo","x"]', '451-1["echo",{"_placeholder":true,"num":0}]')
            await socket.send(b"\x00\x01")
            assert await socket.receive() == '430["x"]'
            assert await socket.receive() == '461-1[{"_placeholder":true,"num":0}]'
            assert await socket.receive() == b"\x00\x01"
            assert holder.engine.sessions[here.sid].transport.name == "websocket"
            big = "y" * 900_000
            await socket.send(f'422["echo","{big}"]')
            assert await socket.receive() == f'432["{big}"]'
        await eventually(lambda: here.sid not in holder.engine.sessions)
        assert sum(worker_of(io).forwarder.count for io in workers.servers) == 0


@run_async
async def test_the_server_closes_a_transport_at_another_worker(crew: Start) -> None:
    async with crew(2) as workers:
        here, there = await joined(workers)
        holder = workers.servers[workers.holder(here.sid)]
        async with await there.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await socket.send("5")
            await eventually(lambda: holder.engine.sessions[here.sid].upgraded)
            holder.engine.sessions[here.sid].close()
            assert await socket.closed() == 1005
        assert here.sid not in holder.engine.sessions


@run_async
async def test_a_worker_that_ends_frees_what_others_held_for_it(crew: Start) -> None:
    async with crew(2) as workers:
        here, there = await joined(workers)
        polled = await Polling.open(workers.ports[0])
        assert workers.holder(polled.sid) == 0 == workers.holder(here.sid)
        poll = await Polling(workers.ports[1], polled.path, polled.opening).begin_poll()
        async with await there.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await socket.send("5")
            other = worker_of(workers.servers[1])
            await eventually(lambda: other.forwarder.count == 2)
            # As when the process is killed: the links are cut.
            for link in worker_of(workers.servers[0]).mesh.others:
                link.abort()
            response = await poll.response()
            assert response.status == 400
            assert response.json["code"] == 1
            assert await within(socket.closed()) == 1005
            assert other.forwarder.count == 0
        await poll.close()
        assert (await there.get()).status == 400


@run_async
async def test_middlewares_see_a_request_where_it_comes_and_only_there(crew: Start) -> None:
    seen: list[tuple[int, str]] = []

    def register(io: nuncio.Server) -> None:
        number = len(servers)
        servers.append(io)

        @io.engine.use
        def note(request: Any, response: Any) -> None:
            seen.append((number, request.method))

    servers: list[nuncio.Server] = []
    async with crew(2, register) as workers:
        polling = await Polling.open(workers.ports[0])
        await Polling(workers.ports[1], polling.path, polling.opening).post("40")
    assert seen == [(0, "GET"), (1, "POST")]


@run_async
async def test_pythons_client_through_a_balancer_that_takes_turns(crew: Start) -> None:
    async with crew(3) as workers, _balancer(workers.ports) as port:
        sockets = []
        for number in range(12):
            ways = [["polling"], ["polling", "websocket"], ["websocket"]][number % 3]
            socket = await nuncio.connect(
                f"http://127.0.0.1:{port}", transports=ways, force_new=True
            )
            sockets.append(socket)
        heard: list[int] = []
        for number, socket in enumerate(sockets):
            socket.on("shout", lambda _, number=number: heard.append(number))
            data = b"\x01" * 100_000
            assert await within(socket.emit_with_ack("echo", data)) == data
        for number, socket in enumerate(sockets):
            if number % 3 == 1:
                await eventually(_over(socket, "websocket"))
        sockets[0].emit("shout", 1)
        await eventually(lambda: len(heard) == 12)
        assert sorted(heard) == list(range(12))
        for socket in sockets:
            await socket.close()


@pytest.mark.parametrize("name", ["stream", "sse", "forever"])
@run_async
async def test_responses_that_stay_open_come_through(crew: Start, name: str) -> None:
    ways = ["polling", "websocket", name]
    async with crew(3, transports=ways) as workers, _balancer(workers.ports) as port:
        got: list[Any] = []
        socket = await nuncio.connect(
            f"http://127.0.0.1:{port}", transports=[name], upgrade=False, force_new=True
        )
        socket.on("shout", got.append)
        for number in range(200):
            socket.emit("shout", number)
        await eventually(lambda: len(got) == 200)
        assert got == list(range(200))
        data = b"\x00\x01" * 100_000
        assert await within(socket.emit_with_ack("echo", data, b"")) == [data, b""]
        assert socket.io.engine.transport.name == name
        await socket.close()
        moving = await nuncio.connect(
            f"http://127.0.0.1:{port}", transports=["polling", name], force_new=True
        )
        await eventually(lambda: moving.io.engine.transport.name == name)
        assert await within(moving.emit_with_ack("echo", data)) == data
        await moving.close()


def _over(socket: nuncio.ClientSocket, name: str) -> Callable[[], bool]:
    return lambda: socket.io.engine.transport.name == name


class _balancer:
    """Hands each connection to the next worker."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A loop that tests share is not to hold what somebody has not read.
        for writer in self._writers:
            writer.transport.abort()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._ports[self._turn % len(self._ports)]
        self._turn += 1
        self._writers.append(writer)
        task = asyncio.get_running_loop().create_task(self._join(reader, writer, port))
        self._tasks.add(task)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(outer)
        try:
            await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
        finally:
            writer.close()
            outer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
