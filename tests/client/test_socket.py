from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from nuncio import ClientLimits, ClientSocket
from nuncio.client.inbox import EventStream
from nuncio.errors import (
    ConnectError,
    Disconnected,
    LimitExceeded,
    OptionError,
    TransportError,
)
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns


class Scene:
    """A Manager with one socket."""

    def __init__(self, nsp: str = "/", **options: Any) -> None:
        self.world = World()
        socket_options = {
            name: options.pop(name)
            for name in ("auth", "retries", "ack_timeout", "delivery")
            if name in options
        }
        self.manager = self.world.manager(**options)
        self.socket: ClientSocket = self.manager.socket(nsp, **socket_options)
        self.trace: list[Any] = []
        self.socket.on("connect", lambda: self.trace.append("connect"))
        self.socket.on("connect_error", lambda error: self.trace.append(f"error {error}"))
        self.socket.on("disconnect", lambda reason, description: self._left(reason, description))

    def _left(self, reason: str, description: str) -> None:
        self.trace.append(f"disconnect {reason} {description}".strip())

    async def joined(self, **admission: Any) -> Line:
        """Let the next connection in."""
        line = await self.world.joined(nsp="" if self.socket.nsp == "/" else self.socket.nsp)
        await within(self.socket.wait_connected())
        return line

    async def close(self) -> None:
        self.socket.disconnect()
        await within(self.manager.close())


# What it is.


@run_async
async def test_what_it_says_of_itself() -> None:
    scene = Scene("/chat")
    socket = scene.socket
    assert (socket.nsp, socket.id, socket.io) == ("/chat", "", scene.manager)
    assert (socket.connected, socket.disconnected, socket.active) == (False, True, True)
    assert repr(socket) == "<ClientSocket '' of '/chat' active>"
    line = await scene.world.opened()
    await line.join("public-name", "/chat")
    await within(socket.wait_connected())
    assert (socket.id, socket.connected, socket.disconnected) == ("public-name", True, False)
    assert repr(socket) == "<ClientSocket 'public-name' of '/chat' connected>"
    socket.disconnect()
    assert (socket.id, socket.connected, socket.active) == ("", False, False)
    assert repr(socket) == "<ClientSocket '' of '/chat' disconnected>"
    await scene.close()


@run_async
async def test_its_id_is_another_with_each_connection() -> None:
    scene = Scene()
    line = await scene.world.joined("first")
    await within(scene.socket.wait_connected())
    ids = [scene.socket.id]
    scene.socket.on("disconnect", lambda: ids.append(scene.socket.id))
    line.lose()
    await scene.world.joined("second")
    await within(scene.socket.wait_connected())
    assert [*ids, scene.socket.id] == ["first", "", "second"]
    await scene.close()


@run_async
async def test_connecting_what_is_connected_does_nothing() -> None:
    scene = Scene()
    line = await scene.joined()
    assert scene.socket.connect() is scene.socket
    assert scene.socket.open() is scene.socket
    assert line.take() == []
    assert scene.trace == ["connect"]
    await scene.close()


@run_async
async def test_leaving_what_was_left_does_nothing() -> None:
    scene = Scene()
    await scene.joined()
    scene.socket.disconnect()
    scene.socket.disconnect()
    assert scene.trace == ["connect", "disconnect io client disconnect"]
    await scene.close()


# Being let in.


@run_async
async def test_a_refusal_brings_the_server_s_words_and_data() -> None:
    for payload, message, data in (
        ('{"message":"not you","data":{"code":5}}', "not you", {"code": 5}),
        ('{"message":"not you"}', "not you", None),
        ("{}", "", None),
        ('"old words"', "old words", None),
    ):
        scene = Scene()
        errors: list[ConnectError] = []
        scene.socket.on("connect_error", errors.append)
        line = await scene.world.opened()
        await line.next()
        line.tell("4" + payload)
        (error,) = errors
        assert isinstance(error, ConnectError)
        assert not isinstance(error, TransportError)
        assert (error.message, error.data) == (message, data)
        assert not scene.socket.active
        await scene.close()


@run_async
async def test_a_refusal_of_one_namespace_lets_the_others_be() -> None:
    scene = Scene()
    other = scene.manager.socket("/other")
    line = await scene.world.opened()
    await line.join()
    assert await line.next() == "40/other,"
    line.tell('4/other,{"message":"no"}')
    assert (other.active, scene.socket.connected) == (False, True)
    assert line.ending == []
    other.connect()
    await line.join(nsp="/other")
    assert other.connected
    await scene.close()


@run_async
async def test_a_server_that_cannot_be_reached_is_tried_again() -> None:
    world = World()
    world.refuse("nobody")
    manager = world.manager()
    socket = manager.socket("/")
    errors: list[Exception] = []
    socket.on("connect_error", errors.append)
    await eventually(lambda: len(errors) >= 2)
    assert all(isinstance(error, TransportError) for error in errors)
    assert (socket.active, socket.connected) == (True, False)
    world.admit()
    await world.joined()
    await within(socket.wait_connected())
    await manager.close()


@pytest.mark.parametrize("answer", ["0", "0{}", '0{"sid":""}', '0{"sid":5}'])
@run_async
async def test_a_server_of_an_older_protocol(answer: str) -> None:
    scene = Scene()
    line = await scene.world.opened()
    assert await line.next() == "40"
    line.tell(answer)
    (told,) = scene.trace
    assert "the server speaks an older protocol, Socket.IO 2.x" in told
    # It would say the same again.
    assert (scene.socket.connected, scene.socket.active) == (False, False)
    assert line.ending == ["close"]
    await scene.close()


@run_async
async def test_a_server_that_refuses_what_it_has_let_in_ends_it() -> None:
    scene = Scene()
    line = await scene.joined()
    line.tell('4{"message":"changed my mind"}')
    assert scene.trace == ["connect", "disconnect io server disconnect", "error changed my mind"]
    assert (scene.socket.connected, scene.socket.active) == (False, False)
    scene.socket.connect()
    await scene.joined()
    await scene.close()


@run_async
async def test_a_server_that_leaves_before_it_has_let_in_has_refused() -> None:
    scene = Scene()
    waiting = scene.socket.wait_connected()
    line = await scene.world.opened()
    await line.next()
    line.tell("1")
    assert scene.trace == ["error the server left / before it was joined"]
    with pytest.raises(ConnectError, match="the server left"):
        await within(waiting)
    assert not scene.socket.active
    await scene.close()


@run_async
async def test_a_server_that_says_it_twice_is_heard_twice() -> None:
    scene = Scene()
    line = await scene.joined()
    line.admit("another")
    assert scene.trace == ["connect", "connect"]
    assert scene.socket.id == "sid"
    await scene.close()


@run_async
async def test_a_connection_that_ends_before_it_is_let_in() -> None:
    scene = Scene()
    line = await scene.world.opened()
    await line.next()
    line.lose()
    assert scene.trace == ["error the connection ended before / was joined: transport close"]
    await scene.joined()
    await scene.close()


# Credentials.


@run_async
async def test_credentials_go_with_each_connection_as_they_are_then() -> None:
    scene = Scene(auth={"token": 1})
    line = await scene.world.opened()
    assert await line.join() == '{"token":1}'
    assert scene.socket.auth == {"token": 1}
    scene.socket.auth = {"token": 2}
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == '{"token":2}'
    scene.socket.auth = None
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == ""
    await scene.close()


@run_async
async def test_a_function_is_asked_for_each_connection() -> None:
    asked: list[int] = []

    def give() -> dict[str, Any]:
        asked.append(1)
        return {"number": len(asked)}

    scene = Scene(auth=give)
    for number in (1, 2):
        line = await scene.world.opened()
        assert await line.join() == f'{{"number":{number}}}'
        line.lose()
    await scene.close()


@run_async
async def test_an_async_function_may_take_its_time() -> None:
    gate = asyncio.Event()

    async def give() -> dict[str, Any]:
        await gate.wait()
        return {"token": "late"}

    scene = Scene(auth=give)
    line = await scene.world.opened()
    await turns(10)
    assert line.take() == []
    gate.set()
    assert await line.join() == '{"token":"late"}'
    await scene.close()


@run_async
async def test_credentials_that_come_too_late_go_nowhere() -> None:
    gates: list[asyncio.Event] = []

    async def give() -> dict[str, Any]:
        gate = asyncio.Event()
        gates.append(gate)
        number = len(gates)
        await gate.wait()
        return {"number": number}

    scene = Scene(auth=give)
    first = await scene.world.opened()
    await eventually(lambda: len(gates) == 1)
    first.lose()
    second = await scene.world.opened()
    await eventually(lambda: len(gates) == 2)
    gates[0].set()
    await turns(10)
    assert second.take() == []
    gates[1].set()
    assert await second.join() == '{"number":2}'
    second.lose()
    # Nor do they when it has left meanwhile.
    third = await scene.world.opened()
    await eventually(lambda: len(gates) == 3)
    scene.socket.disconnect()
    gates[2].set()
    await turns(10)
    assert third.take() == []
    await scene.close()


@run_async
async def test_functions_that_never_answer_do_not_gather() -> None:
    running: set[int] = set()

    async def never() -> dict[str, Any]:
        number = len(running)
        running.add(id(asyncio.current_task()))
        try:
            await asyncio.Event().wait()
        finally:
            running.discard(id(asyncio.current_task()))
        return {"number": number}

    scene = Scene(auth=never)
    for _ in range(5):
        line = await scene.world.opened()
        await eventually(lambda: len(running) == 1)
        line.lose()
        await turns()
    assert len(running) <= 1
    scene.socket.disconnect()
    await eventually(lambda: not running)
    await scene.close()


async def _give_wrong() -> Any:
    return ["token"]


async def _fail_later() -> Any:
    await asyncio.sleep(0)
    raise ValueError("no token")


def _fail() -> Any:
    raise ValueError("no token")


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (_fail, "auth failed: ValueError('no token')"),
        (_fail_later, "auth failed: ValueError('no token')"),
        (lambda: "token", "auth must be or give a mapping, not 'token'"),
        (_give_wrong, "auth must be or give a mapping, not ['token']"),
        (lambda: {"a": object()}, "auth failed: TypeError"),
    ],
)
@run_async
async def test_credentials_that_cannot_be_given(
    auth: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(auth=auth)
    told: list[Any] = []
    scene.manager.on_error(lambda error, socket, event: told.append((socket, event)))
    line = await scene.world.opened()
    await eventually(lambda: scene.trace)
    assert words in scene.trace[0]
    assert told == [(scene.socket, "auth")]
    assert line.take() == []
    # Whoever knows better says so.
    assert not scene.socket.active
    scene.socket.auth = {"token": "right"}
    scene.socket.connect()
    line = await scene.world.opened()
    assert await line.join() == '{"token":"right"}'
    await scene.close()


@run_async
async def test_what_is_assigned_and_cannot_be_credentials_is_told_too() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.socket.auth = "token"
    line.lose()
    await scene.world.opened()
    await eventually(lambda: len(scene.trace) == 3)
    assert "auth must be or give a mapping, not 'token'" in scene.trace[2]
    await scene.close()


@run_async
async def test_a_function_that_gives_nothing_or_leaves() -> None:
    scene = Scene(auth=lambda: None)
    line = await scene.world.opened()
    assert await line.join() == ""
    line.lose()
    scene.socket.auth = lambda: None if scene.socket.disconnect().active else {"left": True}
    line = await scene.world.opened()
    await turns(10)
    assert line.take() == []
    assert not scene.socket.active
    await scene.close()


# Recovery.


@run_async
async def test_it_tells_the_server_where_to_go_on() -> None:
    scene = Scene(auth={"token": "x"})
    line = await scene.world.opened()
    assert await line.join(pid="secret") == '{"token":"x"}'
    assert not scene.socket.recovered
    seen: list[Any] = []
    scene.socket.on("e", lambda *args: seen.append(args))
    line.event("e", 1, "offset-1")
    line.event("e", 5)
    line.event("nobody", "offset-2")
    line.lose()
    line = await scene.world.opened()
    said = await line.next()
    assert said == '40{"pid":"secret","offset":"offset-2","token":"x"}'
    # What was missed comes before the namespace is joined.
    line.event("e", 2, "offset-3")
    assert len(seen) == 2
    line.admit(pid="secret")
    assert scene.socket.recovered
    assert seen == [(1, "offset-1"), (5,), (2, "offset-3")]
    line.lose()
    line = await scene.world.opened()
    assert await line.join("new", pid="other") == (
        '{"pid":"secret","offset":"offset-3","token":"x"}'
    )
    assert not scene.socket.recovered
    line.lose()
    # The offset of the old session is still there, as in the reference.
    line = await scene.world.opened()
    assert await line.join() == '{"pid":"other","offset":"offset-3","token":"x"}'
    # A server that does not recover any more is not asked to.
    assert not scene.socket.recovered
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == '{"token":"x"}'
    await scene.close()


@run_async
async def test_the_application_may_say_otherwise() -> None:
    scene = Scene(auth={"pid": "mine", "offset": "own"})
    line = await scene.world.opened()
    await line.join(pid="secret")
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == '{"pid":"mine","offset":"own"}'
    await scene.close()


@run_async
async def test_without_a_session_to_recover_no_offset_is_kept() -> None:
    scene = Scene()
    line = await scene.joined()
    line.event("e", "offset")
    line.lose()
    line = await scene.world.opened()
    assert await line.join(pid="secret") == ""
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == '{"pid":"secret","offset":""}'
    await scene.close()


@run_async
async def test_an_offset_is_no_argument_that_the_server_left_out() -> None:
    scene = Scene()
    line = await scene.world.opened()
    await line.join(pid="secret")
    seen: list[Any] = []
    scene.socket.on("e", lambda value, extra=None: seen.append((value, extra)))

    @scene.socket.on("checked")
    def checked(value: int, count: int = 7) -> None:
        seen.append((value, count))

    line.event("e", 1, "abcdefgh.1")
    line.event("e", 2, "said", "abcdefgh.2")
    line.event("checked", 3, "abcdefgh.3")
    line.event("checked", 4, 5, "abcdefgh.4")
    assert seen == [(1, None), (2, "said"), (3, 7), (4, 5)]
    scene.socket.on("e", lambda value, offset: seen.append(offset))
    line.event("e", 5, "abcdefgh.5")
    assert seen[4:] == [(5, "abcdefgh.5"), "abcdefgh.5"]
    await scene.close()


@run_async
async def test_the_last_text_of_an_event_without_an_offset_is_none() -> None:
    scene = Scene()
    line = await scene.world.opened()
    await line.join(pid="secret")
    seen: list[Any] = []
    scene.socket.on("e", lambda value, extra=None: seen.append((value, extra)))
    line.event("e", 1, "abcdefgh.1")
    line.event("e", 2, "volatile")
    line.event("tick")
    assert seen == [(1, None), (2, "volatile")]
    line.lose()
    line = await scene.world.opened()
    assert await line.join() == '{"pid":"secret","offset":"abcdefgh.1"}'
    # Nor has anything an offset where nothing is recovered.
    line.event("e", 3, "abcdefgh.2")
    assert seen[2:] == [(3, "abcdefgh.2")]
    await scene.close()


@run_async
async def test_events_that_wait_for_handlers_are_not_asked_for_again() -> None:
    """They have arrived, and will be handled."""
    scene = Scene(concurrency=1)
    gate = asyncio.Event()
    seen: list[int] = []

    @scene.socket.on("e")
    async def handle(value: int, offset: str) -> None:
        await gate.wait()
        seen.append(value)

    line = await scene.world.opened()
    await line.join(pid="secret")
    for value in range(3):
        line.event("e", value, f"offset-{value}")
    line.lose()
    line = await scene.world.opened()
    assert await line.next() == '40{"pid":"secret","offset":"offset-2"}'
    line.event("e", 3, "offset-3")
    line.admit(pid="secret")
    gate.set()
    await eventually(lambda: seen == [0, 1, 2, 3])
    await scene.close()


# Ending.


@pytest.mark.parametrize(
    ("reason", "packet"),
    [
        ("io server disconnect", "1"),
        ("transport close", None),
        ("parse error unknown packet type 9", "9"),
    ],
)
@run_async
async def test_reasons_and_whether_it_comes_back(reason: str, packet: str | None) -> None:
    scene = Scene()
    line = await scene.joined()
    if packet is None:
        line.lose()
    else:
        line.tell(packet)
    assert scene.trace == ["connect", f"disconnect {reason}"]
    assert scene.socket.active == (packet != "1")
    if scene.socket.active:
        await scene.joined()
    await scene.close()


@run_async
async def test_a_silent_server_s_connection_is_given_up_and_made_anew() -> None:
    scene = Scene()
    line = await scene.world.opened(interval=0.01, timeout=0.01)
    await line.join()
    await eventually(lambda: "disconnect ping timeout" in scene.trace)
    await scene.joined()
    await scene.close()


@run_async
async def test_details_of_a_lost_connection_are_told() -> None:
    scene = Scene()
    line = await scene.joined()
    line.lose("transport error", "reset by peer")
    assert scene.trace[-1] == "disconnect transport error reset by peer"
    await scene.close()


@run_async
async def test_leaving_and_joining_need_no_room_in_the_buffer() -> None:
    scene = Scene(limits=ClientLimits(outgoing_bytes=1000))
    line = await scene.joined()
    line.stall()
    with pytest.raises(LimitExceeded):
        for _ in range(100):
            scene.socket.emit("e")
    other = scene.manager.socket("/other", auth={"token": "x" * 200})
    scene.socket.disconnect()
    assert scene.trace == ["connect", "disconnect io client disconnect"]
    line.drain()
    assert line.take()[-2:] == ['40/other,{"token":"' + "x" * 200 + '"}', "41"]
    other.disconnect()
    await scene.close()


@run_async
async def test_closing_happens_also_when_nobody_awaits_it() -> None:
    scene = Scene()
    line = await scene.joined()
    line.stall()
    scene.socket.emit("last")
    scene.socket.close()
    await turns(10)
    assert scene.socket.connected
    line.drain()
    await eventually(lambda: line.ending == ["close"])
    assert line.take() == ['42["last"]', "41"]
    await scene.close()


@run_async
async def test_closing_one_of_several_leaves_the_connection() -> None:
    scene = Scene()
    other = scene.manager.socket("/other")
    line = await scene.world.opened()
    await line.join()
    await line.join(nsp="/other")
    await within(scene.socket.close())
    assert (line.take(), line.ending) == (["41"], [])
    assert other.connected
    await within(other.close())
    assert (line.take(), line.ending) == (["41/other,"], ["close"])


@run_async
async def test_closing_what_is_lost_meanwhile_does_not_hang() -> None:
    scene = Scene()
    line = await scene.joined()
    line.stall()
    scene.socket.emit("last")
    closing = asyncio.ensure_future(_await(scene.socket.close()))
    await turns()
    line.lose()
    await within(closing)
    assert not scene.socket.active


async def _await(awaitable: Any) -> Any:
    return await awaitable


# Waiting.


@run_async
async def test_waiting_for_the_end() -> None:
    scene = Scene()
    waits = [asyncio.ensure_future(_await(scene.socket.wait())) for _ in range(2)]
    line = await scene.joined()
    waits.append(asyncio.ensure_future(_await(scene.socket.wait())))
    await turns()
    # One that is cancelled takes nobody with it.
    waits[0].cancel()
    line.lose()
    line = await scene.joined()
    assert not waits[1].done()
    line.tell("1")
    await within(asyncio.gather(*waits[1:]))
    # It has ended.
    await within(scene.socket.wait())
    scene.socket.connect()
    again = asyncio.ensure_future(_await(scene.socket.wait()))
    await scene.joined()
    assert not again.done()
    scene.socket.disconnect()
    await within(again)
    await scene.close()


@run_async
async def test_waiting_for_what_was_never_begun_ends_at_once() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    await within(socket.wait())
    with pytest.raises(ConnectError, match=r"does not connect: call connect\(\) first"):
        await within(socket.wait_connected())


@run_async
async def test_waiting_to_be_let_in() -> None:
    scene = Scene()
    waiting = [asyncio.ensure_future(_await(scene.socket.wait_connected())) for _ in range(3)]
    await turns()
    waiting[0].cancel()
    # Listeners are the application's, and it may remove them all.
    scene.socket.off()
    line = await scene.world.opened()
    await line.next()
    assert not waiting[1].done()
    line.admit()
    await within(asyncio.gather(*waiting[1:]))
    await within(scene.socket.wait_connected())
    await scene.close()


@run_async
async def test_waiting_to_be_let_in_fails_with_the_refusal() -> None:
    scene = Scene()
    waiting = asyncio.ensure_future(_await(scene.socket.wait_connected()))
    # One that nobody awaits complains to nobody.
    scene.socket.wait_connected()
    line = await scene.world.opened()
    await line.next()
    line.tell('4{"message":"no"}')
    with pytest.raises(ConnectError, match=r"^no$"):
        await within(waiting)
    await scene.close()


@run_async
async def test_waiting_to_be_let_in_goes_on_while_there_is_hope() -> None:
    world = World()
    world.refuse("nobody")
    manager = world.manager(reconnection_attempts=2)
    socket = manager.socket("/")
    errors: list[Exception] = []
    socket.on("connect_error", errors.append)
    with pytest.raises(TransportError, match="nobody"):
        await within(socket.wait_connected())
    # The first one and both of the others.
    assert len(errors) == 3
    with pytest.raises(ConnectError, match="does not connect"):
        await within(socket.wait_connected())
    await manager.close()


@run_async
async def test_who_connects_again_in_a_handler_lets_others_wait_on() -> None:
    scene = Scene()
    waiting = asyncio.ensure_future(_await(scene.socket.wait_connected()))
    events = scene.socket.events()
    ended = asyncio.ensure_future(_await(scene.socket.wait()))
    scene.socket.once("connect_error", lambda: scene.socket.connect())
    line = await scene.world.opened()
    await line.next()
    line.tell('4{"message":"not yet"}')
    line = await scene.world.joined()
    await within(waiting)
    line.event("e")
    assert (await within(anext(events))).name == "e"
    assert not ended.done()
    scene.socket.disconnect()
    await within(ended)
    await scene.close()


@run_async
async def test_a_handler_of_connect_that_leaves() -> None:
    scene = Scene()
    scene.socket.on("connect", lambda: scene.socket.disconnect())
    waiting = asyncio.ensure_future(_await(scene.socket.wait_connected()))
    await scene.world.joined()
    with pytest.raises(ConnectError, match="the socket has ended"):
        await within(waiting)
    assert scene.trace == ["connect", "disconnect io client disconnect"]
    await scene.close()


# Listening.


@run_async
async def test_lifecycle_handlers_get_what_they_declare() -> None:
    scene = Scene()
    seen: list[Any] = []
    scene.socket.on("disconnect", lambda: seen.append(()))
    scene.socket.on("disconnect", lambda reason: seen.append((reason,)))
    scene.socket.on("disconnect", lambda *args: seen.append(args))
    scene.socket.once("connect", lambda: seen.append("once"))
    line = await scene.joined()
    line.lose("transport close", "details")
    assert seen == ["once", (), ("transport close",), ("transport close", "details")]
    await scene.joined()
    assert seen[4:] == []
    await scene.close()


@run_async
async def test_async_lifecycle_handlers_run() -> None:
    scene = Scene()
    done: list[str] = []

    @scene.socket.on("connect")
    async def connect() -> None:
        await asyncio.sleep(0)
        done.append("connect")

    await scene.joined()
    await eventually(lambda: done == ["connect"])
    await scene.close()


@run_async
async def test_registrations_that_cannot_be() -> None:
    scene = Scene()
    wrong: Any = 5
    with pytest.raises(OptionError, match="must be callable"):
        scene.socket.on("e", wrong)
    with pytest.raises(OptionError, match="event must be a non-empty str"):
        scene.socket.on("")
    with pytest.raises(OptionError, match="on_any"):
        scene.socket.on("*")
    with pytest.raises(OptionError, match="did you mean 'thread'"):
        scene.socket.on("e", lambda: None, threads=True)
    with pytest.raises(OptionError, match="listener must be callable"):
        scene.socket.on_any(wrong)
    await scene.close()


@run_async
async def test_listeners_can_be_asked_for() -> None:
    scene = Scene()

    def listener() -> None:
        pass

    socket = scene.socket
    socket.on("e", listener)
    socket.on_any(listener)
    socket.on_any_outgoing(listener)
    assert socket.listeners("e") == [listener]
    assert socket.listeners("none") == []
    assert socket.listeners_any() == [listener]
    assert socket.listeners_any_outgoing() == [listener]
    assert isinstance(socket.events(), EventStream)
    # Nothing of the client's own is among them.
    waiting = asyncio.ensure_future(_await(socket.wait_connected()))
    await turns()
    assert len(socket.listeners("connect")) == 1
    waiting.cancel()
    await scene.close()


# Everything that waits is let go.


@run_async
async def test_a_socket_that_has_ended_leaves_nothing_that_waits() -> None:
    scene = Scene(limits=ClientLimits(queued_events=1), retries=1)
    line = await scene.joined()
    waits = [
        asyncio.ensure_future(_await(one))
        for one in (scene.socket.wait(), scene.socket.emit_with_ack("e"))
    ]
    line.stall()
    closing = asyncio.ensure_future(_await(scene.socket.close()))
    await turns()
    line.lose()
    await within(closing)
    with pytest.raises(Disconnected):
        await within(waits[1])
    await within(waits[0])
    await within(scene.manager.close())
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks


@run_async
async def test_a_manager_that_nobody_has_any_longer_is_freed() -> None:
    scene = Scene()
    await scene.joined()
    await scene.close()
    await within(scene.manager.wait_closed())
    references: list[weakref.ref[Any]] = [
        weakref.ref(scene.manager),
        weakref.ref(scene.manager.engine),
    ]
    scene.world.lines.clear()
    scene.world.dials.clear()
    del scene
    await turns()
    gc.collect()
    assert [one() for one in references] == [None, None]
