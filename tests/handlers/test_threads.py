from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from nuncio import AckCallback, Server, Socket
from nuncio.handlers.threads import Threads
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


@run_async
async def test_a_blocking_handler_runs_in_a_thread_and_blocks_nobody() -> None:
    io = Server()
    client, other = Client.join(io), Client.join(io)
    release = threading.Event()
    threads: list[str] = []

    @io.event(thread=True)
    def blocks(socket: Socket, value: int) -> int:
        threads.append(threading.current_thread().name)
        assert release.wait(30)
        return value + 1

    io.on("quick", lambda: "quick")
    client.emit("blocks", 1, id=1)
    await eventually(lambda: threads)
    other.emit("quick", id=2)
    client.emit("quick", id=3)
    assert other.answers(2) == ["quick"]
    assert client.answers(3) == ["quick"]
    assert client.answers(1) is None
    release.set()
    await eventually(lambda: client.answers(1) == [2])
    assert threads[0].startswith("nuncio-handler")
    await io.close()


@run_async
async def test_what_a_thread_does_happens_in_its_order() -> None:
    io = Server()
    client, friend = Client.join(io), Client.join(io)
    friend.socket.join("room")

    @io.event(thread=True)
    def work(socket: Socket) -> str:
        socket.emit("first", 1)
        socket.join(["room", "other"])
        socket.leave("other")
        io.to("room").emit("second", 2)
        socket.broadcast.emit("third")
        socket.volatile.emit("fourth")
        socket.compress(False).emit("fifth")
        return "done"

    client.emit("work", id=7)
    await eventually(lambda: client.answers(7))
    assert client.take() == [
        '2["first",1]',
        '2["second",2]',
        '2["fourth"]',
        '2["fifth"]',
        '37["done"]',
    ]
    assert friend.take() == ['2["second",2]', '2["third"]']
    assert client.socket.rooms == {client.sid, "room"}
    await io.close()


@run_async
async def test_a_thread_may_answer_and_ask() -> None:
    io = Server()
    client = Client.join(io)
    answers: list[Any] = []
    asked: list[int] = []

    @io.event(thread=True)
    def work(socket: Socket, ack: AckCallback) -> None:
        ack("early")
        socket.emit("question", lambda value: answers.append(value))
        socket.timeout(30).emit("question", lambda error, value: answers.append((error, value)))
        asked.append(1)

    client.emit("work", id=1)
    await eventually(lambda: asked and len(client.received) == 3)
    assert client.take() == ['31["early"]', '20["question"]', '21["question"]']
    client.send("30[5]", "31[6]")
    assert answers == [5, (None, 6)]
    await io.close()


@run_async
async def test_a_thread_may_disconnect() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    here = threading.get_ident()
    socket.on("disconnect", lambda reason: calls.append((reason, threading.get_ident() == here)))

    @io.event(thread=True)
    def work(socket: Socket) -> None:
        socket.emit("farewell")
        socket.disconnect()

    client.emit("work")
    await eventually(lambda: calls)
    assert calls == [("server namespace disconnect", True)]
    assert client.take() == ['2["farewell"]', "1"]
    await io.close()


@run_async
async def test_errors_in_a_thread_are_reported() -> None:
    io = Server()
    client = Client.join(io)
    errors: list[Any] = []
    io.on_error(lambda error, socket, event: errors.append((str(error), socket, event)))

    @io.event(thread=True)
    def fails(socket: Socket, number: int) -> None:
        raise RuntimeError("failed in the thread")

    client.emit("fails", 1, id=1)
    client.emit("fails", "not a number", id=2)
    await eventually(lambda: len(errors) == 2)
    answer = client.answers(2)
    assert answer is not None
    assert answer[0]["error"]["argument"] == "number"
    assert ("failed in the thread", client.socket, "fails") in errors
    await io.close()


@run_async
async def test_threads_count_against_the_concurrency() -> None:
    io = Server()
    client = Client.join(io)
    active: list[int] = []
    most: list[int] = []
    done: list[int] = []

    @io.event(thread=True, concurrency=2)
    def work(socket: Socket, value: int) -> None:
        active.append(value)
        most.append(len(active))
        time.sleep(0.005)
        active.remove(value)
        done.append(value)

    for value in range(8):
        client.emit("work", value)
    await eventually(lambda: len(done) == 8)
    assert max(most) <= 2
    await io.close()


@run_async
async def test_handlers_of_one_socket_and_of_its_life_may_run_in_threads() -> None:
    io = Server()
    calls: list[Any] = []
    here = threading.get_ident()

    def note(name: str) -> None:
        calls.append((name, threading.get_ident() != here))

    @io.on("connection", thread=True)
    def connection(socket: Socket) -> None:
        time.sleep(0.01)
        note("connection")
        socket.on("x", lambda: note("x"), thread=True)

    io.on("disconnect", lambda socket, reason: note(reason), thread=True)
    client = Client.join(io)
    # It waits for the connection handler, in its thread, as for an async one.
    client.emit("x", id=1)
    await eventually(lambda: client.answers(1) == [])
    client.lose()
    await eventually(lambda: len(calls) == 3)
    assert calls == [("connection", True), ("x", True), ("transport close", True)]
    await io.close()


@run_async
async def test_closing_waits_for_threads() -> None:
    io = Server()
    client = Client.join(io)
    began, ended = threading.Event(), threading.Event()

    @io.event(thread=True)
    def work(socket: Socket) -> None:
        began.set()
        time.sleep(0.05)
        socket.emit("after the end")
        ended.set()

    client.emit("work")
    await eventually(began.is_set)
    await io.close()
    assert ended.is_set()
    assert client.take() == []


@pytest.mark.parametrize("how", ["option", "beside", "handler"])
@run_async
async def test_any_thread_may_emit(how: str) -> None:
    io = Server(threads=how == "option")
    if how == "beside":
        io.asgi(lambda scope, receive, send: None)
    elif how == "handler":
        io.on("x", lambda: None, thread=True)
    client = Client.join(io)
    thread = threading.Thread(target=lambda: io.emit("from outside"))
    thread.start()
    await eventually(lambda: client.take() == ['2["from outside"]'])
    thread.join()


@run_async
async def test_only_other_threads_are_away() -> None:
    threads = Threads()
    assert not threads.away()
    threads.bind(asyncio.get_running_loop())
    assert not threads.away()
    assert await asyncio.to_thread(threads.away)
