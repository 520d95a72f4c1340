from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio.client.engine as engines
from nuncio import ClientLimits
from nuncio.client import ClientTransport, Dial, EngineClient
from nuncio.errors import ConnectTimeout, LimitExceeded, NuncioError, OptionError, TransportError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import LeavableLine, Line, World, turns


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Whether WebSocket has worked is remembered for the whole process."""
    before = engines._remembered
    engines._remembered = False
    yield
    engines._remembered = before


class Trace:
    """Writes down what an engine tells."""

    EVENTS = (
        "open",
        "message",
        "ping",
        "upgrading",
        "upgrade",
        "upgrade_error",
        "error",
        "close",
    )

    def __init__(self, engine: EngineClient) -> None:
        self.lines: list[Any] = []
        for event in self.EVENTS:
            engine.on(event, self._listener(event))

    def _listener(self, event: str) -> Any:
        def listener(*args: Any) -> None:
            texts = [getattr(one, "name", one) for one in args]
            texts = [str(one) if isinstance(one, Exception) else one for one in texts]
            self.lines.append(" ".join([event, *map(str, texts)]).strip())

        return listener

    def take(self) -> list[str]:
        """What was told since the last time."""
        taken, self.lines = self.lines, []
        return taken


class Scene:
    """An engine on its own."""

    def __init__(self, **options: Any) -> None:
        self.world = World()
        self.engine = self.world.engine(**options)
        self.trace = Trace(self.engine)

    async def opened(self, **handshake: Any) -> Line:
        """Open it."""
        self.engine.open()
        line = await self.world.opened(**handshake)
        await eventually(lambda: self.engine.is_open)
        await turns()
        return line

    def told(self) -> bool:
        return bool(self.trace.lines)

    async def close(self) -> None:
        self.engine.close()
        await within(self.engine.wait_closed())


# Opening.


@run_async
async def test_it_opens_with_the_server_s_handshake() -> None:
    scene = Scene()
    engine = scene.engine
    told: list[Any] = []
    engine.on("handshake", told.append)
    assert (engine.ready_state, engine.id, engine.transport) == ("closed", "", None)
    assert repr(engine) == "<EngineClient closed over no transport>"
    engine.open()
    engine.open()
    assert engine.ready_state == "opening"
    line = await scene.world.accept()
    line.open("the-sid", interval=10, timeout=5, payload=1234)
    assert scene.trace.take() == ["open"]
    assert (engine.ready_state, engine.is_open, engine.id) == ("open", True, "the-sid")
    assert line.dial.sid == "the-sid"
    assert line.dial.max_payload == 1234
    assert engine.transport is not None
    assert engine.transport.name == "websocket"
    assert repr(engine) == "<EngineClient open over websocket>"
    (handshake,) = told
    assert (handshake.sid, handshake.upgrades) == ("the-sid", [])
    assert (handshake.ping_interval, handshake.ping_timeout) == (10_000, 5000)
    assert len(scene.world.dials) == 1
    await scene.close()
    assert engine.ready_state == "closed"
    assert engine.over


@run_async
async def test_what_comes_with_the_handshake_is_not_missed() -> None:
    scene = Scene()
    scene.engine.open()
    line = await scene.world.accept()
    line.say('0{"sid":"a","pingInterval":1000}', "4early", b"\x01", "2")
    assert scene.trace.take() == ["open", "message early", "message b'\\x01'", "ping"]
    assert line.take() == ["3"]
    await scene.close()


@pytest.mark.parametrize(
    "handshake",
    [
        "0",
        "0{",
        "0[]",
        "0null",
        "0{}",
        '0{"sid":""}',
        '0{"sid":5}',
        '0{"sid":"a","upgrades":5}',
        '0{"sid":"a","pingInterval":-1}',
        '0{"sid":"a","pingTimeout":1e300}',
        '0{"sid":"a","pingTimeout":"x"}',
    ],
)
@run_async
async def test_handshakes_that_are_wrong(handshake: str) -> None:
    scene = Scene()
    scene.engine.open()
    line = await scene.world.accept()
    line.say(handshake)
    await eventually(lambda: scene.trace.lines)
    (told,) = scene.trace.take()
    assert told.startswith("error the server's handshake cannot be read: ")
    assert line.ending == ["abort"]
    assert scene.engine.ready_state == "closed"
    await within(scene.engine.wait_closed())


@pytest.mark.parametrize(
    "handshake",
    [
        '0{"sid":"a"}',
        '0{"sid":"a","upgrades":["nothing-known"],"more":{"x":1},"maxPayload":1000000.0}',
        '0{"sid":"a","pingInterval":25000.5,"pingTimeout":20000}',
    ],
)
@run_async
async def test_handshakes_with_more_or_less_in_them(handshake: str) -> None:
    scene = Scene()
    scene.engine.open()
    line = await scene.world.accept()
    line.say(handshake)
    assert scene.trace.take() == ["open"]
    await scene.close()


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        (["hello"], "websocket: the server sent what is no Engine.IO packet"),
        ([""], "websocket: the server sent what is no Engine.IO packet"),
    ],
)
@run_async
async def test_garbage_in_place_of_the_handshake(packets: list[str], words: str) -> None:
    scene = Scene()
    scene.engine.open()
    line = await scene.world.accept()
    line.say(*packets)
    await eventually(lambda: scene.trace.lines)
    assert scene.trace.take() == [f"error {words}"]
    assert line.ending == ["abort"]


@run_async
async def test_a_connection_that_ends_before_the_handshake() -> None:
    for reason, description, words in (
        ("transport close", "", "the connection was closed before the handshake"),
        ("transport error", "reset by peer", "reset by peer"),
    ):
        scene = Scene()
        scene.engine.open()
        line = await scene.world.accept()
        line.lose(reason, description)
        await eventually(scene.told)
        assert scene.trace.take() == [f"error websocket: {words}"]
        await within(scene.engine.wait_closed())


@run_async
async def test_a_transport_that_cannot_connect() -> None:
    scene = Scene()
    scene.world.refuse("nobody is there")
    errors: list[NuncioError] = []
    scene.engine.on("error", errors.append)
    scene.engine.open()
    await eventually(lambda: errors)
    assert scene.trace.take() == ["error nobody is there"]
    assert isinstance(errors[0], TransportError)
    assert (scene.engine.ready_state, scene.engine.over) == ("closed", True)
    # It can be opened once.
    scene.engine.open()
    await turns(10)
    assert len(scene.world.dials) == 1


@run_async
async def test_a_transport_of_somebody_s_own_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.world.refusing = KeyError("mine")
    scene.engine.open()
    await eventually(lambda: scene.trace.lines)
    assert scene.trace.take() == ["error a transport failed: KeyError('mine')"]
    assert "unexpected" in caplog.text


@run_async
async def test_it_may_take_no_longer_than_it_may() -> None:
    scene = Scene(timeout=0.02)
    errors: list[Exception] = []
    scene.engine.on("error", errors.append)
    scene.world.hold()
    scene.engine.open()
    await eventually(lambda: errors)
    assert isinstance(errors[0], ConnectTimeout)
    assert errors[0].seconds == 0.02
    assert str(errors[0]) == "timeout"
    await within(scene.engine.wait_closed())


@run_async
async def test_once_it_is_open_the_time_does_not_matter_any_more() -> None:
    scene = Scene(timeout=0.03)
    await scene.opened()
    await asyncio.sleep(0.06)
    assert scene.engine.is_open
    assert scene.trace.take() == ["open"]
    await scene.close()


@run_async
async def test_headers_are_asked_for_once_and_may_take_their_time() -> None:
    asked: list[int] = []

    async def headers() -> dict[str, str]:
        asked.append(1)
        await asyncio.sleep(0)
        return {"X-Token": "secret"}

    scene = Scene(extra_headers=headers)
    line = await scene.opened()
    assert line.dial.headers("websocket")["X-Token"] == "secret"
    assert asked == [1]
    await scene.close()


@run_async
async def test_headers_that_cannot_be_given() -> None:
    def fails() -> dict[str, str]:
        raise ValueError("no token")

    for given, words in (
        (fails, "extra_headers failed: ValueError('no token')"),
        (lambda: {"X": "a\nb"}, "extra_headers: 'X' cannot be a header"),
        (lambda: "text", "extra_headers must be a mapping"),
    ):
        scene = Scene(extra_headers=given)
        scene.engine.open()
        await eventually(scene.told)
        assert words in scene.trace.take()[0]
        assert scene.world.dials == []


@run_async
async def test_without_transports() -> None:
    engine = EngineClient("http://localhost", transports=[])
    errors: list[Exception] = []
    engine.on("error", errors.append)
    engine.open()
    await eventually(lambda: errors)
    assert str(errors[0]) == "No transports available"


def test_options_of_sockets_are_not_its_own() -> None:
    with pytest.raises(OptionError, match="auth is an option of sockets"):
        EngineClient("http://localhost", auth={})
    with pytest.raises(OptionError, match="did you mean 'timeout'"):
        EngineClient("http://localhost", tiemout=5)


# Which transport.


def ways(world: World) -> list[Any]:
    return [world.transport("polling", leavable=True), world.transport("websocket")]


@run_async
async def test_only_the_first_transport_is_tried_unless_told_otherwise() -> None:
    world = World()
    world.refuse("no")
    engine = world.engine(transports=ways(world))
    trace = Trace(engine)
    engine.open()
    await eventually(lambda: trace.lines)
    assert trace.take() == ["error no"]
    assert [name for name, _ in world.dials] == ["polling"]


@run_async
async def test_all_may_be_tried_in_their_order() -> None:
    world = World()
    world.refuse("no")
    engine = world.engine(transports=ways(world), try_all_transports=True)
    trace = Trace(engine)
    engine.open()
    await eventually(lambda: trace.lines)
    assert trace.take() == ["error no"]
    assert [name for name, _ in world.dials] == ["polling", "websocket"]


@run_async
async def test_the_next_one_is_also_tried_when_the_first_brings_no_session() -> None:
    world = World()
    engine = world.engine(transports=ways(world), try_all_transports=True)
    trace = Trace(engine)
    engine.open()
    line = await world.accept()
    line.say("garbage")
    line = await world.opened()
    assert line.name == "websocket"
    await turns()
    assert trace.take() == ["open"]
    engine.close()
    await within(engine.wait_closed())


@run_async
async def test_that_websocket_has_worked_may_be_remembered() -> None:
    world = World()

    async def first(**options: Any) -> str:
        engine = world.engine(transports=ways(world), **options)
        engine.open()
        line = await world.opened()
        await turns()
        name = line.name
        engine.close()
        await within(engine.wait_closed())
        return name

    assert await first(remember_upgrade=True) == "polling"
    engines._remembered = True
    assert await first() == "polling"
    engines._remembered = True
    assert await first(remember_upgrade=True) == "websocket"
    # So it stays, also when such a connection is lost,
    engine = world.engine(transports=ways(world), remember_upgrade=True)
    engine.open()
    line = await world.opened()
    assert line.name == "websocket"
    await turns()
    line.lose("transport close")
    assert await first(remember_upgrade=True) == "websocket"
    # until it fails.
    engine = world.engine(transports=ways(world), remember_upgrade=True)
    engine.open()
    line = await world.opened()
    await turns()
    line.lose("transport error")
    assert await first(remember_upgrade=True) == "polling"


@run_async
async def test_a_connection_that_cannot_be_made_is_forgotten_too() -> None:
    world = World()
    world.refuse()
    engines._remembered = True
    engine = world.engine(transports=ways(world), remember_upgrade=True)
    trace = Trace(engine)
    engine.open()
    await eventually(lambda: trace.lines)
    assert [name for name, _ in world.dials] == ["websocket"]
    assert not engines._remembered


# Messages.


@run_async
async def test_messages_go_both_ways() -> None:
    scene = Scene()
    line = await scene.opened()
    scene.trace.take()
    scene.engine.send("text ü")
    scene.engine.send(b"\x01")
    scene.engine.send(bytearray(b"\x02"), compress=False)
    scene.engine.send("")
    assert line.take() == ["4text ü", b"\x01", b"\x02", "4"]
    line.say("4text ü", b"\x03", "4")
    assert scene.trace.take() == ["message text ü", "message b'\\x03'", "message"]
    await scene.close()


@run_async
async def test_what_cannot_be_sent_is_told() -> None:
    scene = Scene(limits=ClientLimits(outgoing_bytes=500))
    wrong: Any
    with pytest.raises(RuntimeError, match="it is not open; call open"):
        scene.engine.send("early")
    line = await scene.opened()
    for wrong in (5, None, ["a"]):
        with pytest.raises(TypeError, match="data must be str or bytes, not"):
            scene.engine.send(wrong)
    line.stall()
    with pytest.raises(LimitExceeded):
        for _ in range(10):
            scene.engine.send("x" * 100)
    line.drain()
    scene.engine.send("a\x1eb")
    assert line.take()[-1] == "4a\x1eb"
    await scene.close()


@run_async
async def test_what_separates_packets_cannot_be_sent_by_long_polling() -> None:
    world = World()
    engine = world.engine(transports=ways(world))
    engine.open()
    line = await world.opened()
    await turns()
    with pytest.raises(ValueError, match=r"U\+001E separates packets of long-polling"):
        engine.send("a\x1e1")
    engine.send(b"a\x1e1")
    assert line.take() == [b"a\x1e1"]
    engine.close()
    await within(engine.wait_closed())


@run_async
async def test_back_pressure() -> None:
    scene = Scene()
    line = await scene.opened()
    await within(_wait(scene.engine.send("at once")))
    line.stall()
    waiting = asyncio.ensure_future(_wait(scene.engine.send("later")))
    await turns()
    assert not waiting.done()
    line.drain()
    await within(waiting)
    await scene.close()


async def _wait(sent: Any) -> None:
    await sent


@run_async
async def test_packets_and_drains_are_told_to_whoever_listens_whenever_they_begin() -> None:
    for when in ("before", "opening", "open"):
        scene = Scene()
        packets: list[bytes] = []
        drains: list[int] = []

        def listen(
            scene: Scene = scene, packets: list[bytes] = packets, drains: list[int] = drains
        ) -> None:
            scene.engine.on("packet", packets.append)
            scene.engine.once("drain", lambda: drains.append(1))

        if when == "before":
            listen()
        scene.world.hold()
        scene.engine.open()
        await turns()
        if when == "opening":
            listen()
        scene.world.go_on()
        line = await scene.world.opened()
        if when == "open":
            listen()
        line.say("4a", "2", b"\x01")
        assert packets[-3:] == [b"4a", b"2", b"\x01"]
        line.stall()
        scene.engine.send("x")
        line.drain()
        line.drain()
        assert drains == [1]
        await scene.close()


@run_async
async def test_a_connection_that_must_be_over_takes_nothing_more() -> None:
    scene = Scene()
    line = await scene.opened(interval=0.01, timeout=0.01)
    end = asyncio.get_running_loop().time() + 0.05
    while asyncio.get_running_loop().time() < end:
        pass
    scene.engine.send("lost")
    assert line.take() == []
    assert scene.trace.take() == ["open", "close ping timeout"]


# Ending.


@run_async
async def test_closing_says_goodbye_and_waits_for_it() -> None:
    scene = Scene()
    line = await scene.opened()
    line.polite = False
    scene.engine.close()
    assert scene.trace.take() == ["open", "close forced close"]
    assert line.ending == ["close"]
    waiting = asyncio.ensure_future(scene.engine.wait_closed())
    await turns(10)
    assert not waiting.done()
    assert not scene.engine.over
    line.lose()
    await within(waiting)
    assert scene.engine.over
    # Told once.
    scene.engine.close()
    assert scene.trace.take() == []


@run_async
async def test_closing_sends_what_is_buffered_first() -> None:
    scene = Scene()
    line = await scene.opened()
    line.stall()
    scene.engine.send("a")
    scene.engine.close()
    assert scene.engine.ready_state == "closing"
    line.drain()
    assert line.take() == ["4a"]
    assert scene.trace.take() == ["open", "close forced close"]
    await within(scene.engine.wait_closed())


@run_async
async def test_cutting_does_not_wait() -> None:
    scene = Scene()
    line = await scene.opened()
    line.stall()
    scene.engine.send("a")
    scene.engine.cut("parse error", "what it was")
    assert scene.trace.take() == ["open", "close parse error what it was"]
    assert line.take() == []
    await within(scene.engine.wait_closed())


@pytest.mark.parametrize("how", ["close", "cut"])
@pytest.mark.parametrize("when", ["at once", "dialling", "before the handshake"])
@run_async
async def test_closing_while_it_opens(how: str, when: str) -> None:
    scene = Scene()
    scene.world.hold()
    scene.engine.open()
    line: Line | None = None
    if when != "at once":
        await eventually(lambda: scene.world.dials)
    if when == "before the handshake":
        scene.world.go_on()
        line = await scene.world.accept()
        await turns()
    if how == "close":
        scene.engine.close()
    else:
        scene.engine.cut("parse error", "")
    assert scene.trace.take() == ["close forced close"]
    assert scene.engine.ready_state == "closed"
    await within(scene.engine.wait_closed())
    scene.world.go_on()
    await turns(10)
    assert scene.trace.take() == []
    if line is not None:
        assert line.ending == ["abort"]
        line.open()
        assert scene.trace.take() == []


@run_async
async def test_a_listener_of_open_may_close_it() -> None:
    scene = Scene()
    scene.engine.on("open", scene.engine.close)
    scene.engine.open()
    line = await scene.world.opened()
    await within(scene.engine.wait_closed())
    assert scene.trace.take() == ["open", "close forced close"]
    assert line.ending == ["close"]


@run_async
async def test_what_was_never_opened_can_be_closed() -> None:
    scene = Scene()
    scene.engine.close()
    await within(scene.engine.wait_closed())
    assert scene.trace.take() == []
    assert not scene.engine.over


@pytest.mark.parametrize("reason", ["transport close", "transport error"])
@run_async
async def test_a_lost_connection_is_told_with_its_words(reason: str) -> None:
    scene = Scene()
    line = await scene.opened()
    line.lose(reason, "details")
    assert scene.trace.take() == ["open", f"close {reason} details"]
    await within(scene.engine.wait_closed())


@run_async
async def test_a_silent_server_is_given_up() -> None:
    scene = Scene()
    line = await scene.opened(interval=0.02, timeout=0.02)
    for _ in range(3):
        await asyncio.sleep(0.01)
        line.say("2")
    await eventually(lambda: "close ping timeout" in scene.trace.lines)
    assert scene.trace.take() == ["open", "ping", "ping", "ping", "close ping timeout"]
    assert line.ending == ["abort"]
    await within(scene.engine.wait_closed())


@run_async
async def test_listeners_that_are_async_or_fail(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    done: list[str] = []

    @scene.engine.on("message")
    async def later(data: str) -> None:
        await asyncio.sleep(0)
        done.append(data)

    @scene.engine.on("message")
    async def fails(data: str) -> None:
        await asyncio.sleep(0)
        raise ValueError("mine")

    line = await scene.opened()
    line.say("4a")
    await eventually(lambda: done == ["a"])
    await eventually(lambda: "a listener of the client failed" in caplog.text)
    scene.engine.off("message", fails)
    scene.engine.off("message")
    line.say("4b")
    await turns()
    assert done == ["a"]
    await scene.close()


def test_events_that_do_not_exist() -> None:
    engine = EngineClient("http://localhost")
    with pytest.raises(OptionError, match="it is called message"):
        engine.on("data")
    with pytest.raises(OptionError, match="write upgrade_error"):
        engine.once("upgradeError")
    engine.off()


@run_async
async def test_a_loop_that_ends_while_it_opens_leaves_nothing_open() -> None:
    """As with asyncio.run, which cancels what still runs."""
    scene = Scene()
    scene.world.hold()
    scene.engine.open()
    await eventually(lambda: scene.world.dials)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await within(scene.engine.wait_closed())
    assert scene.engine.ready_state == "closed"


# Moving to a better transport.


class Upgrade(Scene):
    """An engine on long-polling that may move."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.engine = self.world.engine(transports=ways(self.world), **options)
        self.trace = Trace(self.engine)

    async def probed(self) -> tuple[LeavableLine, Line]:
        """Open it, and bring it as far as the probe."""
        old = await self.opened(upgrades=("websocket",))
        assert isinstance(old, LeavableLine)
        new = await self.world.accept()
        assert await new.next() == "2probe"
        return old, new


@run_async
async def test_it_moves_to_what_the_server_offers() -> None:
    scene = Upgrade()
    old, new = await scene.probed()
    assert new.dial.sid == "session"
    assert scene.trace.take() == ["open"]
    new.say("3probe")
    await eventually(lambda: scene.engine.upgraded)
    assert scene.trace.take() == ["upgrading websocket", "upgrade websocket"]
    assert new.take() == ["5"]
    assert old.ending == ["abort"]
    assert scene.engine.transport is new
    scene.engine.send("a")
    assert new.take() == ["4a"]
    new.say("4b")
    assert scene.trace.take() == ["message b"]
    assert engines._remembered
    await scene.close()


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({"upgrade": False}, ("websocket",)),
        ({}, ()),
        ({}, ("webtransport", "polling")),
    ],
)
@run_async
async def test_it_stays_where_it_is(options: dict[str, Any], offered: tuple[str, ...]) -> None:
    scene = Upgrade(**options)
    await scene.opened(upgrades=offered)
    await turns(10)
    assert [name for name, _ in scene.world.dials] == ["polling"]
    await scene.close()


@run_async
async def test_from_websocket_there_is_nowhere_to_go() -> None:
    world = World()
    engine = world.engine(transports=list(reversed(ways(world))))
    engine.open()
    await world.opened(upgrades=("polling",))
    await turns(10)
    assert [name for name, _ in world.dials] == ["websocket"]
    engine.close()
    await within(engine.wait_closed())


@run_async
async def test_a_probe_that_cannot_connect_changes_nothing() -> None:
    scene = Upgrade()
    scene.engine.open()
    old = await scene.world.accept()
    scene.world.refuse("blocked")
    old.open(upgrades=("websocket",))
    await eventually(lambda: len(scene.trace.lines) == 2)
    assert scene.trace.take() == ["open", "upgrade_error blocked"]
    scene.engine.send("a")
    assert old.take() == ["4a"]
    assert not scene.engine.upgraded
    await scene.close()


@run_async
async def test_a_probe_that_fails_as_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    scene = Upgrade()
    scene.engine.open()
    old = await scene.world.accept()
    scene.world.refusing = KeyError("mine")
    old.open(upgrades=("websocket",))
    await eventually(lambda: len(scene.trace.lines) == 2)
    assert scene.trace.take()[1] == "upgrade_error probe error: it failed: KeyError('mine')"
    scene.engine.send("a")
    assert old.take() == ["4a"]
    await scene.close()
    assert "unexpected" in caplog.text


@run_async
async def test_the_next_better_one_is_tried() -> None:
    world = World()
    third = [*ways(world), world.transport("stream")]
    engine = world.engine(transports=third)
    trace = Trace(engine)
    engine.open()
    await world.opened(upgrades=("websocket", "stream"))
    first = await world.accept()
    assert first.name == "websocket"
    assert await first.next() == "2probe"
    first.say("wrong")
    second = await world.accept()
    assert second.name == "stream"
    assert await second.next() == "2probe"
    second.say("3probe")
    await eventually(lambda: engine.upgraded)
    assert trace.take() == [
        "open",
        "upgrade_error probe error: a wrong answer",
        "upgrading stream",
        "upgrade stream",
    ]
    engine.close()
    await within(engine.wait_closed())


@run_async
async def test_closing_while_it_probes_does_not_wait_for_the_probe() -> None:
    scene = Upgrade()
    old, new = await scene.probed()
    scene.engine.close()
    await within(scene.engine.wait_closed())
    assert scene.trace.take() == [
        "open",
        "close forced close",
        "upgrade_error probe error: socket closed",
    ]
    assert old.ending == ["close"]
    assert new.ending == ["abort"]


@pytest.mark.parametrize("moving", [False, True])
@run_async
async def test_losing_the_connection_while_it_probes_or_moves_ends_the_probe(
    moving: bool,
) -> None:
    scene = Upgrade()
    old, new = await scene.probed()
    old.may_leave.clear()
    if moving:
        new.say("3probe")
        await eventually(lambda: old.left)
    old.lose()
    await within(scene.engine.wait_closed())
    await turns()
    assert "close transport close" in scene.trace.lines
    assert scene.trace.lines[-1] == "upgrade_error probe error: socket closed"
    assert new.ending == ["abort"]


@run_async
async def test_messages_in_flight_both_ways_keep_their_order_over_a_move() -> None:
    scene = Upgrade()
    old, new = await scene.probed()
    scene.engine.send("1")
    old.say("4a")
    old.may_leave.clear()
    new.say("3probe")
    await eventually(lambda: old.left)
    scene.engine.send("2")
    old.say("4b", "2")
    scene.engine.send("3")
    # The server may send on the new one as soon as it has our 5, which it has not.
    old.say("4c")
    old.may_leave.set()
    assert await new.next() == "5"
    assert [await new.next() for _ in range(3)] == ["42", "3", "43"]
    new.say("4d")
    scene.engine.send("4")
    assert old.take() == ["41"]
    assert new.take() == ["44"]
    assert [line for line in scene.trace.take() if line.startswith("message")] == [
        "message a",
        "message b",
        "message c",
        "message d",
    ]
    await scene.close()


@run_async
async def test_what_is_read_while_it_moves_may_be_paused() -> None:
    scene = Upgrade()
    _, new = await scene.probed()
    assert scene.engine.session is not None
    scene.engine.session.pause_reading()
    new.say("3probe")
    await eventually(lambda: scene.engine.upgraded)
    new.say("4late")
    assert not new.reading
    assert "message late" not in scene.trace.lines
    scene.engine.session.resume_reading()
    await eventually(lambda: "message late" in scene.trace.lines)
    await scene.close()


@run_async
async def test_closing_while_it_moves_is_done_behind_the_move() -> None:
    scene = Upgrade()
    old, new = await scene.probed()
    old.may_leave.clear()
    new.say("3probe")
    await eventually(lambda: old.left)
    scene.engine.send("buffered")
    scene.engine.close()
    assert scene.engine.ready_state == "closing"
    assert old.ending == []
    old.may_leave.set()
    await within(scene.engine.wait_closed())
    assert new.take() == ["5", "4buffered"]
    assert new.ending == ["close"]
    assert "close forced close" in scene.trace.lines


@run_async
async def test_a_listener_of_upgrading_may_close_it() -> None:
    scene = Upgrade()
    scene.engine.on("upgrading", lambda: scene.engine.close())
    _, new = await scene.probed()
    new.say("3probe")
    await within(scene.engine.wait_closed())
    assert "close forced close" in scene.trace.lines
    assert new.ending == ["close"]


@run_async
async def test_a_transport_that_cannot_be_left_after_all(caplog: pytest.LogCaptureFixture) -> None:
    scene = Upgrade()
    old, new = await scene.probed()

    async def fails() -> None:
        raise KeyError("mine")

    old.leave = fails  # type: ignore[method-assign,assignment]
    new.say("3probe")
    await eventually(lambda: len(scene.trace.lines) == 3)
    assert scene.trace.take()[2] == "upgrade_error probe error: it failed: KeyError('mine')"
    # It goes on as before.
    scene.engine.send("a")
    assert old.take() == ["4a"]
    await scene.close()
    assert "unexpected" in caplog.text


def test_a_transport_class_of_one_s_own_must_define_how_it_opens() -> None:
    class Own(ClientTransport):
        name = "own"

    async def open_it() -> None:
        dial: Any = None
        await Own().open(dial)

    with pytest.raises(NotImplementedError, match="Own must define open"):
        asyncio.run(open_it())
    assert Dial is not None
