from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

import nuncio
from nuncio import ClientSocket, Manager
from nuncio.errors import ConnectError, OptionError, TransportError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns


class Trace:
    """Writes down what a Manager and its sockets tell, in one list."""

    def __init__(self, manager: Manager) -> None:
        self.lines: list[str] = []
        self.manager = manager
        manager.on("open", lambda: self.add("M open"))
        manager.on("error", lambda error: self.add(f"M error {error}"))
        manager.on("close", lambda reason: self.add(f"M close {reason}"))
        manager.on("reconnect_attempt", lambda number: self.add(f"M reconnect_attempt {number}"))
        manager.on("reconnect", lambda number: self.add(f"M reconnect {number}"))
        manager.on("reconnect_error", lambda error: self.add(f"M reconnect_error {error}"))
        manager.on("reconnect_failed", lambda: self.add("M reconnect_failed"))

    def add(self, line: str) -> None:
        self.lines.append(line)

    def socket(self, nsp: str = "/", **options: Any) -> ClientSocket:
        """A socket whose events are written down, too."""
        socket = self.manager.socket(nsp, **options)
        name = "S" if nsp == "/" else nsp
        socket.on("connect", lambda: self.add(f"{name} connect"))
        socket.on("connect_error", lambda error: self.add(f"{name} connect_error {error}"))
        socket.on("disconnect", lambda reason: self.add(f"{name} disconnect {reason}"))
        return socket

    def take(self) -> list[str]:
        """What was told since the last time."""
        taken, self.lines = self.lines, []
        return taken


class Scene:
    """A Manager with one socket."""

    def __init__(self, **options: Any) -> None:
        self.world = World()
        self.manager = self.world.manager(**options)
        self.trace = Trace(self.manager)
        self.socket = self.trace.socket()

    async def joined(self) -> Line:
        """Let the next connection in."""
        line = await self.world.joined()
        await within(self.socket.wait_connected())
        return line


# The orders of events.


@run_async
async def test_order_connecting() -> None:
    scene = Scene()
    line = await scene.world.opened()
    assert scene.trace.take() == ["M open"]
    assert await line.next() == "40"
    assert scene.trace.take() == []
    line.admit()
    assert scene.trace.take() == ["S connect"]
    await scene.manager.close()


@run_async
async def test_order_coming_back() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.trace.take()
    line.lose()
    assert scene.trace.take() == ["M close transport close", "S disconnect transport close"]
    line = await scene.world.accept()
    assert scene.trace.take() == ["M reconnect_attempt 1"]
    line.open()
    assert scene.trace.take() == ["M open", "M reconnect 1"]
    await line.join()
    assert scene.trace.take() == ["S connect"]
    await scene.manager.close()


@run_async
async def test_order_of_attempts_that_fail() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.trace.take()
    scene.world.refuse("no")
    line.lose()
    await eventually(lambda: scene.trace.lines.count("M reconnect_error no") >= 2)
    assert scene.trace.lines[:10] == [
        "M close transport close",
        "S disconnect transport close",
        "M reconnect_attempt 1",
        "M error no",
        "S connect_error no",
        "M reconnect_error no",
        "M reconnect_attempt 2",
        "M error no",
        "S connect_error no",
        "M reconnect_error no",
    ]
    scene.world.admit()
    await scene.joined()
    assert scene.trace.lines[-3] == "M open"
    assert scene.trace.lines[-2].startswith("M reconnect ")
    await scene.manager.close()


@run_async
async def test_order_of_a_first_attempt_that_fails() -> None:
    world = World()
    world.refuse("no")
    manager = world.manager(reconnection_delay=0.03, reconnection_delay_max=0.03)
    trace = Trace(manager)
    socket = trace.socket()
    await eventually(lambda: len(trace.lines) >= 2)
    assert trace.take() == ["M error no", "S connect_error no"]
    assert socket.active
    await eventually(lambda: len(trace.lines) >= 4)
    assert trace.take()[0] == "M reconnect_attempt 1"
    await manager.close()


@run_async
async def test_order_of_giving_up() -> None:
    world = World()
    world.refuse("no")
    manager = world.manager(reconnection_attempts=2)
    trace = Trace(manager)
    socket = trace.socket()
    waiting = asyncio.ensure_future(socket.wait())
    await eventually(lambda: len(trace.lines) >= 11)
    assert trace.take() == [
        "M error no",
        "S connect_error no",
        "M reconnect_attempt 1",
        "M error no",
        "S connect_error no",
        "M reconnect_error no",
        "M reconnect_attempt 2",
        "M error no",
        "S connect_error no",
        "M reconnect_failed",
        "M reconnect_error no",
    ]
    await within(waiting)
    # As in the reference: whoever does not want it any more says so.
    assert socket.active
    assert len(world.dials) == 3
    await manager.close()


@run_async
async def test_order_of_leaving() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.trace.take()
    scene.socket.disconnect()
    assert scene.trace.take() == ["M close forced close", "S disconnect io client disconnect"]
    assert line.take() == ["41"]
    assert line.ending == ["close"]
    await within(scene.manager.wait_closed())


@run_async
async def test_order_of_being_sent_away() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.trace.take()
    line.tell("1")
    assert scene.trace.take() == ["M close forced close", "S disconnect io server disconnect"]
    assert line.ending == ["close"]
    assert not scene.socket.active
    await turns(20)
    # It does not come back.
    assert len(scene.world.dials) == 1


@run_async
async def test_order_with_several_namespaces() -> None:
    scene = Scene()
    other = scene.trace.socket("/other")
    line = await scene.world.opened()
    await line.join("a")
    await line.join("b", "/other")
    assert scene.trace.take() == ["M open", "S connect", "/other connect"]
    # One that leaves lets the other be.
    scene.socket.disconnect()
    assert scene.trace.take() == ["S disconnect io client disconnect"]
    assert line.take() == ["41"]
    assert (line.ending, other.connected) == ([], True)
    scene.socket.connect()
    await line.join("c")
    line.lose()
    assert scene.trace.take() == [
        "S connect",
        "M close transport close",
        "S disconnect transport close",
        "/other disconnect transport close",
    ]
    line = await scene.world.opened()
    await line.join("d")
    await line.join("e", "/other")
    line.tell("1/other,")
    assert scene.trace.take()[-3:] == [
        "S connect",
        "/other connect",
        "/other disconnect io server disconnect",
    ]
    assert scene.socket.connected
    await scene.manager.close()


@run_async
async def test_order_of_a_refusal() -> None:
    scene = Scene()
    line = await scene.world.opened()
    assert await line.next() == "40"
    line.tell('4{"message":"not you","data":{"why":1}}')
    assert scene.trace.take() == ["M open", "M close forced close", "S connect_error not you"]
    assert not scene.socket.active
    await turns(20)
    assert len(scene.world.dials) == 1
    # Until it is told to.
    scene.socket.connect()
    await scene.joined()
    await scene.manager.close()


# Opening.


@run_async
async def test_it_opens_by_itself_unless_told_otherwise() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    await turns(10)
    assert (world.dials, manager.ready_state, manager.engine) == ([], "closed", None)
    assert (socket.active, socket.connected, socket.disconnected) == (False, False, True)
    assert manager.open() is manager
    assert manager.ready_state == "opening"
    line = await world.opened()
    assert manager.ready_state == "open"
    await turns(10)
    # A socket that does not want to connect is not connected.
    assert line.take() == []
    socket.connect()
    await line.join()
    await manager.close()
    assert manager.ready_state == "closed"


@run_async
async def test_a_socket_opens_its_manager() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/").open()
    assert socket.active
    await world.joined()
    await within(socket.wait_connected())
    await manager.close()


@run_async
async def test_a_socket_that_a_listener_of_open_connects_joins_once() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    manager.on("open", lambda: socket.connect())
    manager.open()
    line = await world.joined()
    await within(socket.wait_connected())
    assert line.take() == []
    await manager.close()


@run_async
async def test_opening_twice_connects_once() -> None:
    world = World()
    manager = world.manager()
    manager.open()
    manager.connect()
    await world.opened()
    manager.open()
    await turns(10)
    assert len(world.dials) == 1
    await manager.close()


@run_async
async def test_a_callback_is_told_what_came_of_it() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    outcomes: list[Exception | None] = []
    manager.open(outcomes.append)
    await world.opened()
    assert outcomes == [None]
    manager.disconnect()
    world.refuse("no")
    manager.open(outcomes.append)
    await eventually(lambda: len(outcomes) == 2)
    assert isinstance(outcomes[1], TransportError)
    await turns(20)
    # With a callback a failure is only told.
    assert len(world.dials) == 2
    world.admit()
    manager.open(outcomes.append)
    manager.disconnect()
    assert isinstance(outcomes[2], ConnectError)
    await within(manager.wait_closed())


@run_async
async def test_who_waits_for_a_socket_is_told_that_nothing_follows() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    world.refuse("no")
    world.hold()
    manager.open(lambda error: None)
    socket.connect()
    waiting = asyncio.ensure_future(socket.wait_connected())
    await turns()
    world.go_on()
    with pytest.raises(ConnectError):
        await within(waiting)
    await manager.close()


@run_async
async def test_a_time_out_is_an_error_like_another() -> None:
    world = World()
    world.hold()
    manager = world.manager(timeout=0.02)
    errors: list[Exception] = []
    manager.on("error", errors.append)
    await eventually(lambda: errors)
    assert str(errors[0]) == "timeout"
    assert isinstance(errors[0], nuncio.ConnectTimeout)
    assert isinstance(errors[0], TimeoutError)
    manager.disconnect()


@run_async
async def test_what_the_server_never_says_is_a_time_out_too() -> None:
    world = World()
    manager = world.manager(timeout=0.02, reconnection=False)
    errors: list[Exception] = []
    manager.on("error", errors.append)
    line = await world.accept()
    await eventually(lambda: errors)
    assert isinstance(errors[0], nuncio.ConnectTimeout)
    assert line.ending == ["abort"]
    # It comes too late.
    line.open()
    assert manager.ready_state == "closed"


@run_async
async def test_without_transports_there_is_an_error() -> None:
    world = World()
    manager = world.manager(transports=[], reconnection=False)
    errors: list[Exception] = []
    manager.on("error", errors.append)
    await eventually(lambda: errors)
    assert str(errors[0]) == "No transports available"


# Coming back.


@run_async
async def test_delays_double_and_start_anew_once_it_was_open() -> None:
    world = World()
    world.refuse()
    manager = world.manager(reconnection_delay=0.001, reconnection_delay_max=0.005)
    attempts: list[int] = []
    manager.on("reconnect_attempt", attempts.append)
    await eventually(lambda: len(attempts) >= 4)
    assert attempts[:4] == [1, 2, 3, 4]
    world.admit()
    line = await world.opened()
    attempts.clear()
    line.lose()
    await world.opened()
    assert attempts == [1]
    await manager.close()


@run_async
async def test_it_does_not_come_back_when_told_not_to() -> None:
    scene = Scene(reconnection=False)
    line = await scene.joined()
    ended = asyncio.ensure_future(scene.socket.wait())
    line.lose()
    await within(ended)
    await turns(20)
    assert len(scene.world.dials) == 1
    # The socket would still like to, and may.
    assert scene.socket.active
    scene.socket.connect()
    await scene.joined()
    await scene.manager.close()


@pytest.mark.parametrize("how", ["reconnection", "manager", "socket"])
@run_async
async def test_waiting_to_come_back_ends(how: str) -> None:
    scene = Scene(reconnection_delay=3600, reconnection_delay_max=3600)
    line = await scene.joined()
    ended = asyncio.ensure_future(scene.socket.wait())
    line.lose()
    await turns()
    assert not ended.done()
    if how == "reconnection":
        scene.manager.reconnection = False
    elif how == "manager":
        scene.manager.disconnect()
    else:
        scene.socket.disconnect()
    await within(ended)
    assert len(scene.world.dials) == 1
    # None of it forbids to begin anew.
    scene.socket.connect()
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_opening_while_it_waits_is_the_attempt_that_is_due() -> None:
    scene = Scene(reconnection_delay=3600, reconnection_delay_max=3600)
    line = await scene.joined()
    line.lose()
    scene.trace.take()
    outcomes: list[Exception | None] = []
    scene.manager.open(outcomes.append)
    line = await scene.joined()
    assert scene.trace.take() == [
        "M reconnect_attempt 1",
        "M open",
        "M reconnect 1",
        "S connect",
    ]
    assert outcomes == [None]
    # And the next loss is followed by another attempt.
    line.lose()
    scene.manager.open()
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_opening_while_it_waits_and_failing_goes_on_waiting() -> None:
    scene = Scene(reconnection_delay=3600, reconnection_delay_max=3600)
    line = await scene.joined()
    line.lose()
    scene.world.refuse("no")
    outcomes: list[Exception | None] = []
    scene.manager.open(outcomes.append)
    await eventually(lambda: outcomes)
    assert scene.trace.lines[-1] == "M reconnect_error no"
    scene.world.admit()
    scene.manager.open()
    await scene.joined()
    await scene.manager.close()


@pytest.mark.parametrize("where", ["close", "error", "reconnect_attempt"])
@run_async
async def test_a_listener_may_open_it_at_once(where: str) -> None:
    """Whatever is opened by hand meanwhile, the next loss is followed by another attempt."""
    scene = Scene()
    line = await scene.joined()
    opened: list[int] = []

    @scene.manager.once(where)
    def open_it(*_: object) -> None:
        opened.append(1)
        scene.world.admit()
        scene.manager.open()

    if where == "error":
        scene.world.refuse()
    line.lose()
    for _ in range(3):
        line = await scene.joined()
        line.lose()
    assert opened == [1]
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_a_handler_of_disconnect_may_connect_again() -> None:
    scene = Scene()
    line = await scene.joined()

    @scene.socket.on("disconnect")
    def again(reason: str) -> None:
        scene.socket.connect()

    line.tell("1")
    line = await scene.joined()
    # Sent away, and back; then lost, and back.
    line.lose()
    await scene.joined()
    scene.socket.off("disconnect")
    await scene.manager.close()


@run_async
async def test_attempts_do_not_overlap() -> None:
    scene = Scene(reconnection_delay=0.001, reconnection_delay_max=0.001)
    line = await scene.joined()
    scene.world.hold()
    line.lose()
    await eventually(lambda: len(scene.world.dials) == 2)
    await asyncio.sleep(0.05)
    assert len(scene.world.dials) == 2
    scene.world.go_on()
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_after_giving_up_another_try_has_all_its_attempts() -> None:
    world = World()
    world.refuse()
    manager = world.manager(reconnection_attempts=1)
    trace = Trace(manager)
    socket = trace.socket()
    await eventually(lambda: "M reconnect_failed" in trace.lines)
    assert len(world.dials) == 2
    await turns(20)
    trace.take()
    socket.connect()
    await eventually(lambda: "M reconnect_failed" in trace.lines)
    assert len(world.dials) == 4
    await manager.close()


@run_async
async def test_settings_may_change_while_it_lives() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    manager.reconnection = False
    manager.reconnection_attempts = 0
    manager.reconnection_delay = 0.5
    manager.reconnection_delay_max = 2
    manager.randomization_factor = 0
    manager.timeout = None
    assert manager.reconnection is False
    assert manager.reconnection_attempts == math.inf
    assert (manager.reconnection_delay, manager.reconnection_delay_max) == (0.5, 2.0)
    assert (manager.randomization_factor, manager.timeout) == (0.0, None)
    wrong: Any
    for name, wrong in {
        "reconnection": "yes",
        "reconnection_attempts": -1,
        "reconnection_delay": -1,
        "reconnection_delay_max": "5",
        "randomization_factor": 2,
        "timeout": 0,
    }.items():
        with pytest.raises(OptionError, match=name):
            setattr(manager, name, wrong)


@run_async
async def test_a_time_out_that_changes_holds_for_the_next_attempt() -> None:
    world = World()
    world.hold()
    manager = world.manager(auto_connect=False, timeout=3600, reconnection=False)
    manager.timeout = 0.02
    errors: list[Exception] = []
    manager.on("error", errors.append)
    manager.open()
    await eventually(lambda: errors)
    assert isinstance(errors[0], nuncio.ConnectTimeout)


# Losing and ending.


@run_async
async def test_garbage_of_the_server_s_is_a_parse_error_and_it_comes_back() -> None:
    for packets in (
        ["49"],
        ["42[]"],
        ['42["connect"]'],
        ["451-[]", b"x"],
        [b"x"],
        ['451-["a",{"_placeholder":true,"num":0}]', '42["b"]'],
        ["4x"],
        ["4"],
        ["43[]"],
        ["42{"],
        ['4511-["e"]'],
    ):
        scene = Scene()
        line = await scene.joined()
        seen: list[Any] = []
        scene.socket.on_any(lambda *args, seen=seen: seen.append(args))
        scene.trace.take()
        line.say(*packets)
        assert scene.trace.take() == ["M close parse error", "S disconnect parse error"], packets
        assert line.ending == ["close"]
        # What comes behind it is nobody's any more.
        line.event("late")
        assert seen == []
        await scene.joined()
        await scene.manager.close()


@run_async
async def test_being_let_in_and_garbage_in_one_read_are_told_in_their_order() -> None:
    scene = Scene()
    line = await scene.world.opened()
    await line.next()
    scene.trace.take()
    line.say('40{"sid":"a"}', "49", '42["late"]')
    assert scene.trace.take() == [
        "S connect",
        "M close parse error",
        "S disconnect parse error",
    ]
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_what_a_handler_of_disconnect_emits_waits_for_the_next_connection() -> None:
    scene = Scene()
    line = await scene.joined()
    scene.socket.once("disconnect", lambda reason: scene.socket.emit("lost", reason))
    line.lose()
    line = await scene.joined()
    assert line.take() == ['42["lost","transport close"]']
    await scene.manager.close()


@run_async
async def test_headers_that_cannot_be_given_for_a_while_do_not_end_it() -> None:
    asked: list[int] = []

    async def headers() -> dict[str, str]:
        asked.append(1)
        if 1 < len(asked) < 4:
            raise OSError("the network is down")
        return {"X-Number": str(len(asked))}

    scene = Scene(extra_headers=headers)
    line = await scene.joined()
    scene.trace.take()
    line.lose()
    line = await scene.joined()
    assert line.dial.headers("websocket") == {"X-Number": "4"}
    words = "extra_headers failed: OSError('the network is down')"
    assert scene.trace.take()[2:6] == [
        "M reconnect_attempt 1",
        f"M error {words}",
        f"S connect_error {words}",
        f"M reconnect_error {words}",
    ]
    await scene.manager.close()


@run_async
async def test_half_a_binary_packet_does_not_harm_the_next_connection() -> None:
    scene = Scene()
    line = await scene.joined()
    line.say('451-["a",{"_placeholder":true,"num":0}]')
    line.lose()
    line = await scene.joined()
    seen: list[Any] = []
    scene.socket.on("b", lambda value: seen.append(value))
    line.event("b", 1)
    assert seen == [1]
    await scene.manager.close()


@run_async
async def test_packets_for_namespaces_that_nobody_has_are_ignored() -> None:
    scene = Scene()
    line = await scene.joined()
    line.tell('0/other,{"sid":"x"}', '2/other,["e"]', "1/other,", "3/other,5[]")
    assert scene.socket.connected
    await scene.manager.close()


@run_async
async def test_closing_the_engine_by_hand_is_followed_by_another_connection() -> None:
    scene = Scene()
    await scene.joined()
    scene.trace.take()
    assert scene.manager.engine is not None
    scene.manager.engine.close()
    assert scene.trace.take() == ["M close forced close", "S disconnect forced close"]
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_disconnect_ends_all_namespaces() -> None:
    scene = Scene()
    other = scene.trace.socket("/other")
    line = await scene.world.opened()
    await line.join("a")
    await line.join("b", "/other")
    scene.trace.take()
    scene.manager.disconnect()
    assert scene.trace.take() == [
        "M close forced close",
        "S disconnect forced close",
        "/other disconnect forced close",
    ]
    assert scene.manager.ready_state == "closed"
    assert (scene.socket.active, other.active) == (True, True)
    await within(scene.manager.wait_closed())
    await turns(20)
    assert len(scene.world.dials) == 1


@run_async
async def test_disconnect_while_it_opens() -> None:
    scene = Scene()
    scene.world.hold()
    await eventually(lambda: scene.world.dials)
    waiting = asyncio.ensure_future(scene.socket.wait_connected())
    await turns()
    scene.socket.disconnect()
    assert scene.trace.take() == ["M close forced close"]
    assert scene.manager.ready_state == "closed"
    with pytest.raises(ConnectError):
        await within(waiting)
    scene.world.go_on()
    await within(scene.manager.wait_closed())
    await turns(20)
    assert (scene.world.lines, scene.trace.take()) == ([], [])


@run_async
async def test_leaving_and_coming_at_once_is_another_session() -> None:
    scene = Scene()
    first = await scene.joined()
    assert scene.socket.disconnect().connect() is scene.socket
    assert scene.socket.active
    second = await scene.joined()
    assert second is not first
    assert first.ending == ["close"]
    assert first.take() == ["41"]
    # Also where it has not come far.
    scene.socket.disconnect().connect()
    await scene.world.accept()
    scene.socket.disconnect().connect()
    third = await scene.joined()
    assert scene.socket.connected
    third.lose()
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_closing_sends_what_was_emitted() -> None:
    scene = Scene()
    line = await scene.joined()
    line.stall()
    for value in range(3):
        scene.socket.emit("e", value)
    closing = asyncio.ensure_future(scene.manager.close())
    await turns(10)
    assert (closing.done(), line.ending) == (False, [])
    line.drain()
    await within(closing)
    assert line.take() == ['42["e",0]', '42["e",1]', '42["e",2]', "41"]
    assert line.ending == ["close"]


@run_async
async def test_closing_waits_for_the_goodbye() -> None:
    scene = Scene()
    line = await scene.joined()
    line.polite = False
    closing = asyncio.ensure_future(scene.manager.close())
    await turns(20)
    assert (line.ending, closing.done()) == (["close"], False)
    line.lose()
    await within(closing)


@run_async
async def test_closing_what_was_never_opened() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    await within(manager.close())
    manager.socket("/")
    await within(manager.close())
    manager.disconnect()
    assert world.dials == []


# Sockets.


@run_async
async def test_the_socket_of_a_namespace_is_the_same_each_time() -> None:
    scene = Scene()
    assert scene.manager.socket("/") is scene.socket
    assert scene.manager.socket("/a") is scene.manager.socket("a")
    assert scene.manager.socket("/a") is not scene.socket
    assert scene.manager.socket("/a").nsp == "/a"
    scene.manager.disconnect()


@run_async
async def test_asking_for_a_socket_that_has_left_connects_it() -> None:
    scene = Scene()
    await scene.joined()
    scene.socket.disconnect()
    assert scene.manager.socket("/") is scene.socket
    assert scene.socket.active
    await scene.joined()
    await scene.manager.close()


@run_async
async def test_wrong_options_of_a_socket_are_told() -> None:
    manager = World().manager(auto_connect=False)
    with pytest.raises(OptionError, match="path is an option of the Manager"):
        manager.socket("/", path="/x")
    with pytest.raises(OptionError, match="did you mean 'retries'"):
        manager.socket("/", retry=5)
    wrong: Any = 5
    with pytest.raises(OptionError, match="nsp must be a str"):
        manager.socket(wrong)
    with pytest.raises(OptionError, match=r"nsp: '/a,b' .*comma"):
        manager.socket("/a,b")


@run_async
async def test_options_of_sockets_given_to_the_manager_are_their_defaults() -> None:
    world = World()
    manager = world.manager(auth={"token": "x"}, auto_connect=False)
    manager.socket("/").connect()
    line = await world.opened()
    assert await line.join() == '{"token":"x"}'
    manager.socket("/other", auth={"token": "y"}).connect()
    assert await line.join(nsp="/other") == '{"token":"y"}'
    await manager.close()


@run_async
async def test_a_namespace_that_is_let_in_when_nobody_wants_it_any_more_is_left() -> None:
    scene = Scene()
    line = await scene.joined()
    other = scene.trace.socket("/other")
    assert await line.next() == "40/other,"
    scene.trace.take()
    other.disconnect()
    # The server lets it in all the same, and would keep it as long as the connection.
    line.admit(nsp="/other")
    assert line.take() == ["41/other,"]
    assert scene.trace.take() == []
    assert scene.socket.connected
    await scene.manager.close()


# Listening to it.


@run_async
async def test_pings_and_packets_are_told() -> None:
    scene = Scene()
    line = await scene.joined()
    packets: list[tuple[int, Any]] = []
    pings: list[int] = []
    scene.manager.on("packet", lambda packet: packets.append((packet.type, packet.data)))
    scene.manager.on("ping", lambda: pings.append(1))
    line.event("e", 5)
    line.tell('51-["b",{"_placeholder":true,"num":0}]', b"x")
    line.say("2")
    assert packets == [(2, ["e", 5]), (2, ["b", b"x"])]
    assert pings == [1]
    assert line.take() == ["3"]
    line.lose()
    line = await scene.joined()
    # They are told of the next connection, too.
    assert packets[2:] == [(0, {"sid": "sid"})]
    await scene.manager.close()


@run_async
async def test_once_and_off() -> None:
    manager = World().manager(auto_connect=False)
    heard: list[str] = []

    @manager.on("close")
    def listener() -> None:
        heard.append("listener")

    manager.once("close", lambda reason: heard.append(reason))
    manager.open()
    manager.disconnect()
    manager.open()
    manager.disconnect()
    assert heard == ["listener", "forced close", "listener"]
    manager.off("close", listener)
    manager.open()
    manager.disconnect()
    assert len(heard) == 3
    await within(manager.wait_closed())


@run_async
async def test_events_that_do_not_exist_are_told() -> None:
    manager = World().manager(auto_connect=False)
    with pytest.raises(OptionError, match="sockets have it"):
        manager.on("connect")
    with pytest.raises(OptionError, match="it is called reconnect_attempt"):
        manager.once("reconnecting")
    with pytest.raises(OptionError, match="did you mean 'reconnect_failed'"):
        manager.off("reconnect_fail")
    wrong: Any = 5
    with pytest.raises(TypeError, match="must be callable"):
        manager.on("open", wrong)


@run_async
async def test_listeners_that_fail_or_are_async_stop_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    socket = manager.socket("/")
    done: list[str] = []

    @manager.on("open")
    def fails() -> None:
        raise ValueError("mine")

    @manager.on("open")
    async def later() -> None:
        await asyncio.sleep(0)
        done.append("later")

    socket.connect()
    await world.joined()
    await within(socket.wait_connected())
    await eventually(lambda: done == ["later"])
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    await manager.close()


@run_async
async def test_it_says_what_it_is() -> None:
    world = World()
    manager = world.manager("http://user:secret@localhost:3000/chat?token=secret")
    assert repr(manager) == "<Manager of http://localhost:3000 opening>"
    manager.disconnect()
    assert repr(manager) == "<Manager of http://localhost:3000 closed>"
    await within(manager.wait_closed())


@run_async
async def test_what_is_wrong_is_told_when_it_is_made() -> None:
    with pytest.raises(OptionError, match="url"):
        Manager("ftp://localhost")
    with pytest.raises(OptionError, match="there is no 'websockets'; did you mean 'websocket'"):
        Manager("http://localhost", transports=["websockets"])
    with pytest.raises(OptionError, match="transports: there is no 5"):
        Manager("http://localhost", transports=[5])


def test_it_needs_a_loop() -> None:
    with pytest.raises(RuntimeError, match="a client needs a running event loop"):
        Manager("http://localhost")
