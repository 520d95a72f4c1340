from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import ClientLimits, ClientSocket, Event
from nuncio.errors import OptionError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns


class Scene:
    """A socket that is connected."""

    def __init__(self, world: World, socket: ClientSocket, line: Line) -> None:
        self.world = world
        self.socket = socket
        self.line = line


@asynccontextmanager
async def joined(**options: Any) -> AsyncIterator[Scene]:
    """A socket that is connected, and the server's end."""
    world = World()
    manager = world.manager(**options)
    socket = manager.socket("/")
    line = await world.joined()
    await within(socket.wait_connected())
    yield Scene(world, socket, line)
    await manager.close()


@run_async
async def test_events_are_taken_one_by_one_as_they_arrive() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        scene.line.event("a", 1, [2])
        scene.line.event(5)
        first = await within(anext(events))
        assert (first.name, first.args, first.wants_ack) == ("a", [1, [2]], False)
        assert repr(first) == "<Event 'a' [1, [2]]>"
        second = await within(anext(events))
        assert (second.name, second.args) == ("5", [])
        third = asyncio.ensure_future(within(anext(events)))
        await turns()
        assert not third.done()
        scene.line.event("c")
        assert (await third).name == "c"


@run_async
async def test_only_those_that_are_asked_for_and_beside_handlers() -> None:
    async with joined() as scene:
        handled: list[int] = []
        scene.socket.on("a", lambda value: handled.append(value))
        events = scene.socket.events("a", "b")
        everything = scene.socket.events()
        for index, name in enumerate("abc"):
            scene.line.event(name, index)
        assert [(await anext(events)).name for _ in range(2)] == ["a", "b"]
        assert [(await anext(everything)).name for _ in range(3)] == ["a", "b", "c"]
        assert handled == [0]
        assert len(events) == len(everything) == 0


@run_async
async def test_answering_once_and_only_where_it_is_asked_for() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        scene.line.event("a", id=7)
        scene.line.event("b")
        asked, not_asked = await anext(events), await anext(events)
        assert (asked.wants_ack, not_asked.wants_ack) == (True, False)
        asked.ack(1, [2])
        asked.ack(3)
        not_asked.ack(4)
        assert scene.line.take() == ["437[1,[2]]"]


@run_async
async def test_answers_for_a_connection_that_is_gone_go_nowhere() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        scene.line.event("a", id=0)
        event = await anext(events)
        scene.line.lose()
        event.ack("early")
        line = await scene.world.joined()
        scene.line = line
        event.ack("late")
        assert line.take() == []


@run_async
async def test_answering_from_another_thread() -> None:
    async with joined() as scene:
        # Calls from threads are expected once a handler runs in one.
        scene.socket.on("t", lambda: None, thread=True)
        events = scene.socket.events("a")
        scene.line.event("t")
        scene.line.event("a", id=0)
        event = await anext(events)
        thread = threading.Thread(target=event.ack, args=(5,))
        thread.start()
        assert await scene.line.next() == "430[5]"
        thread.join()


@run_async
async def test_an_iteration_outlives_lost_connections_and_ends_with_the_socket() -> None:
    async with joined() as scene:
        taken: list[str] = []

        async def take() -> None:
            async for event in scene.socket.events():
                taken.append(event.name)

        task = asyncio.ensure_future(take())
        await turns()
        scene.line.event("a")
        scene.line.lose()
        line = await scene.world.joined()
        line.event("b")
        await eventually(lambda: taken == ["a", "b"])
        assert not task.done()
        line.event("c")
        scene.socket.disconnect()
        await within(task)
        # What had arrived was still taken.
        assert taken == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["sent away", "given up", "refused", "closed"])
@run_async
async def test_whatever_ends_the_socket_ends_the_iteration(how: str) -> None:
    async with joined(reconnection=how != "given up") as scene:
        events = scene.socket.events()
        waiting = asyncio.ensure_future(_all(events))
        await turns()
        if how == "sent away":
            scene.line.tell("1")
        elif how == "given up":
            scene.line.lose()
        elif how == "refused":
            scene.line.lose()
            line = await scene.world.opened()
            await line.next()
            line.tell('4{"message":"no"}')
        else:
            await within(scene.socket.close())
        assert await within(waiting) == []
        # It has ended for good, also for who asks only now.
        assert await within(_all(events)) == []
        assert await within(_all(scene.socket.events())) == []


async def _all(events: Any) -> list[str]:
    return [event.name async for event in events]


@run_async
async def test_the_first_iteration_over_a_socket_that_has_ended_ends_at_once() -> None:
    async with joined() as scene:
        scene.socket.disconnect()
        assert await within(_all(scene.socket.events())) == []


@run_async
async def test_an_iteration_may_begin_before_the_socket_connects() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    task = asyncio.ensure_future(_all(socket.events()))
    await turns()
    assert not task.done()
    socket.connect()
    line = await world.joined()
    line.event("a")
    await turns()
    socket.disconnect()
    assert await within(task) == ["a"]
    # And anew with the next connection.
    socket.connect()
    events = socket.events()
    line = await world.joined()
    line.event("b")
    assert (await within(anext(events))).name == "b"
    await manager.close()


@run_async
async def test_a_handler_that_connects_again_keeps_the_iteration() -> None:
    async with joined() as scene:
        scene.socket.once("disconnect", lambda: scene.socket.connect())
        events = scene.socket.events()
        scene.line.tell("1")
        line = await scene.world.joined()
        line.event("a")
        assert (await within(anext(events))).name == "a"


@run_async
async def test_closing_it_ends_it_and_drops_what_waits() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        scene.line.event("a")
        events.close()
        events.close()
        assert len(events) == 0
        assert await within(_all(events)) == []
        async with scene.socket.events() as others:
            waiting = asyncio.ensure_future(_all(others))
            await turns()
        assert await within(waiting) == []
        more = scene.socket.events()
        await more.aclose()
        scene.line.event("b")
        assert len(more) == 0


@run_async
async def test_two_tasks_cannot_take_from_one_iteration() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        first = asyncio.ensure_future(within(anext(events)))
        await turns()
        with pytest.raises(RuntimeError, match="another task awaits the next event"):
            await anext(events)
        scene.line.event("a")
        assert (await first).name == "a"


@run_async
async def test_whoever_is_cancelled_loses_nothing() -> None:
    async with joined() as scene:
        events = scene.socket.events()
        for cancelled_late in (False, True):
            task = asyncio.ensure_future(_next(events))
            await turns()
            if cancelled_late:
                # The event is there, and the task has yet to wake up.
                scene.line.event("kept")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await within(anext(events))).name == "kept"


async def _next(events: Any) -> Event:
    event: Event = await anext(events)
    return event


@run_async
async def test_names_are_text() -> None:
    async with joined() as scene:
        wrong: Any = 5
        with pytest.raises(OptionError, match="events: names must be str, not 5"):
            scene.socket.events("a", wrong)


# Back-pressure.


@run_async
async def test_reading_pauses_while_too_many_wait_and_goes_on_at_half() -> None:
    async with joined(limits=ClientLimits(queued_events=4)) as scene:
        events = scene.socket.events()
        for value in range(4):
            assert scene.line.reading
            scene.line.event("e", value)
        assert not scene.line.reading
        await anext(events)
        assert not scene.line.reading
        await anext(events)
        await eventually(lambda: scene.line.reading)


@run_async
async def test_who_does_not_ask_for_an_event_is_not_behind_with_it() -> None:
    async with joined(limits=ClientLimits(queued_events=2)) as scene:
        events = scene.socket.events("other")
        for _ in range(10):
            scene.line.event("e")
        assert scene.line.reading
        assert len(events) == 0


@run_async
async def test_an_iteration_that_was_left_does_not_hold_up_the_connection() -> None:
    async with joined(limits=ClientLimits(queued_events=3)) as scene:
        scene.line.event("early")
        first = asyncio.ensure_future(_first(scene.socket))
        await turns()
        for _ in range(3):
            scene.line.event("e")
        assert (await within(first)).name == "e"
        del first
        gc.collect()
        await eventually(lambda: scene.line.reading)
        for _ in range(10):
            scene.line.event("e")
        assert scene.line.reading
        # As does one that is closed with too much waiting in it.
        events = scene.socket.events()
        for _ in range(3):
            scene.line.event("e")
        assert not scene.line.reading
        events.close()
        await eventually(lambda: scene.line.reading)


async def _first(socket: ClientSocket) -> Event:
    async for event in socket.events():
        return event
    raise AssertionError("it has ended")


@run_async
async def test_a_socket_that_has_ended_does_not_hold_up_the_others() -> None:
    async with joined(limits=ClientLimits(queued_events=4)) as scene:
        other = scene.socket.io.socket("/other")
        await scene.line.join(nsp="/other")
        events = other.events()
        for _ in range(4):
            scene.line.event("e", nsp="/other")
        assert not scene.line.reading
        other.disconnect()
        await eventually(lambda: scene.line.reading)
        # Taking what is left does not begin it again.
        await anext(events)
        assert scene.line.reading


@run_async
async def test_a_connection_that_is_lost_while_reading_is_paused_comes_back() -> None:
    async with joined(limits=ClientLimits(queued_events=4)) as scene:
        events = scene.socket.events()
        for _ in range(4):
            scene.line.event("e")
        assert not scene.line.reading
        scene.line.lose()
        line = await scene.world.joined()
        await within(scene.socket.wait_connected())
        assert line.reading
        # And it pauses with the next event, for as many wait as before.
        line.event("e")
        assert not line.reading
        for _ in range(5):
            await anext(events)
        await eventually(lambda: line.reading)


def test_an_iteration_that_is_dropped_when_its_loop_is_closed() -> None:
    async def leave() -> Any:
        world = World()
        manager = world.manager()
        socket = manager.socket("/")
        await world.joined()
        events = socket.events()
        await manager.close()
        return events

    loop = asyncio.new_event_loop()
    events = loop.run_until_complete(leave())
    loop.close()
    del events
    gc.collect()
