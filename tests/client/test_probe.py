from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio.client import ClientTransport, Dial
from nuncio.client.probe import Probe, probe
from nuncio.client.session import ClientSession
from nuncio.engine.transport import Transport
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import TransportError
from nuncio.protocol.engineio import Message
from tests.support.aio import eventually, run_async, within
from tests.support.fakes import FakeTransport, Recorder
from tests.support.lines import LeavableLine, Line, turns

NO_DIAL: Any = None


class Owner:
    """What a session tells its client; nothing here asks."""

    def ended(self, reason: str, description: str) -> None:
        """See `ClientSession`."""

    def gone(self) -> None:
        """See `ClientSession`."""

    def pinged(self) -> None:
        """See `ClientSession`."""


class Bench:
    """A session on a transport that can be left, and another one to move to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.old = LeavableLine("polling", NO_DIAL)
        self.new = Line("websocket", NO_DIAL)
        self.above = Recorder()
        self.session = ClientSession(Owner(), loop, TimerWheel(loop), 100_000)
        self.session.attach(self.old)
        self.session.listener = self.above
        self.session.begin(0.0)
        self.told: list[str] = []
        self.failing: Exception | None = None

    def start(self) -> asyncio.Future[None]:
        """Probe."""
        return asyncio.ensure_future(within(probe(self.session, _To(self), NO_DIAL, self)))

    def upgrading(self, transport: Transport) -> None:
        """See `nuncio.client.probe.Teller`."""
        self.told.append(transport.name)

    def upgraded_to(self, transport: Transport) -> None:
        """See `nuncio.client.probe.Teller`: only what was asked for has been sent by now."""
        self.told.append(f"moved to {transport.name}")

    async def asked(self) -> asyncio.Future[None]:
        """Probe, as far as the question."""
        probing = self.start()
        assert await self.new.next() == "2probe"
        return probing


class _To(ClientTransport):
    """The way to the other transport."""

    name = "websocket"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def open(self, dial: Dial) -> Transport:
        if self._bench.failing is not None:
            raise self._bench.failing
        return self._bench.new


def text(data: str) -> Message:
    return Message(b"4" + data.encode())


@run_async
async def test_it_asks_waits_for_the_old_one_and_moves() -> None:
    bench = Bench()
    bench.old.may_leave.clear()
    probing = await bench.asked()
    # Until the answer everything goes on as before.
    bench.session.push(text("a"))
    assert bench.old.take() == ["4a"]
    assert bench.told == []
    bench.new.say("3probe")
    await eventually(lambda: bench.old.left)
    assert bench.told == ["websocket"]
    # Nothing comes from the new one before the move.
    assert not bench.new.reading
    bench.session.push(text("b"))
    bench.old.unsent = [text("unsent")]
    bench.old.may_leave.set()
    await probing
    assert bench.new.take() == ["5", "4unsent", "4b"]
    assert bench.session.transport is bench.new
    assert bench.new.reading
    assert bench.old.ending == ["abort"]
    assert bench.told == ["websocket", "moved to websocket"]


@run_async
async def test_what_the_new_one_brings_behind_the_answer_is_for_the_session() -> None:
    bench = Bench()
    probing = await bench.asked()
    bench.new.say("3probe", "4early", b"\x01")
    await probing
    await turns()
    assert bench.above.heard == [b"4early", b"\x01"]


@run_async
async def test_a_transport_that_cannot_be_opened() -> None:
    bench = Bench()
    bench.failing = TransportError("blocked", "websocket")
    with pytest.raises(TransportError, match="blocked"):
        await bench.start()
    assert bench.session.writable
    assert (bench.old.left, bench.told) == (False, [])


@pytest.mark.parametrize("answer", ["3", "3probe ", "4a", "2probe", "6", "", b"3probe"])
@run_async
async def test_a_wrong_answer(answer: str | bytes) -> None:
    bench = Bench()
    probing = await bench.asked()
    bench.new.say(answer)
    with pytest.raises(TransportError, match="probe error: a wrong answer"):
        await probing
    assert bench.new.ending == ["abort"]
    assert bench.session.transport is bench.old
    bench.session.push(text("a"))
    assert bench.old.take() == ["4a"]


@run_async
async def test_a_transport_that_ends_in_place_of_an_answer() -> None:
    for reason, description, words in (
        ("transport close", "", "transport close"),
        ("transport error", "reset", "reset"),
    ):
        bench = Bench()
        probing = await bench.asked()
        bench.new.lose(reason, description)
        with pytest.raises(TransportError, match=f"probe error: {words}"):
            await probing
        assert bench.session.writable


@run_async
async def test_a_transport_that_ends_before_the_move() -> None:
    bench = Bench()
    bench.old.may_leave.clear()
    probing = await bench.asked()
    bench.new.say("3probe")
    await eventually(lambda: bench.old.left)
    bench.session.push(text("b"))
    bench.old.unsent = [text("unsent")]
    bench.new.lose()
    bench.old.may_leave.set()
    with pytest.raises(TransportError, match="it was closed before the move"):
        await probing
    # Nothing is lost, and in order.
    assert bench.old.take() == ["4unsent", "4b"]
    assert bench.session.writable


@run_async
async def test_a_session_that_ends_meanwhile() -> None:
    bench = Bench()
    probing = await bench.asked()
    bench.old.lose()
    bench.new.say("3probe")
    with pytest.raises(TransportError, match="probe error: socket closed"):
        await probing
    assert bench.new.ending == ["abort"]

    bench = Bench()
    bench.old.may_leave.clear()
    probing = await bench.asked()
    bench.new.say("3probe")
    await eventually(lambda: bench.old.left)
    bench.old.lose()
    bench.old.may_leave.set()
    with pytest.raises(TransportError, match="probe error: socket closed"):
        await probing
    assert bench.new.ending == ["abort"]


@run_async
async def test_an_old_one_that_cannot_be_left() -> None:
    bench = Bench()

    async def fails() -> Any:
        raise KeyError("mine")

    bench.old.leave = fails  # type: ignore[method-assign]
    probing = await bench.asked()
    bench.new.say("3probe")
    with pytest.raises(KeyError):
        await probing
    assert bench.session.writable
    assert bench.new.ending == ["abort"]


@run_async
async def test_who_gives_it_up_leaves_nothing_open() -> None:
    bench = Bench()
    probing = await bench.asked()
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    assert bench.new.ending == ["abort"]
    bench.session.push(text("a"))
    assert bench.old.take() == ["4a"]


@run_async
async def test_a_failure_behind_the_answer_complains_to_nobody() -> None:
    waiting = Probe()
    transport = FakeTransport()
    waiting.text(transport, b"3probe")
    waiting.text(transport, b"4late")
    waiting.binary(transport, b"late")
    waiting.ended(transport, "transport close", "")
    waiting.drained(transport)
    await within(waiting.answer)
    failing = Probe()
    failing.ended(transport, "transport close", "")
    failing.ended(transport, "transport close", "")
    failing.text(transport, b"3probe")
    assert isinstance(failing.answer.exception(), TransportError)


@run_async
async def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuncio.client.probe.ANSWER_SECONDS", 0.05)
    there = Bench()
    with pytest.raises(TransportError, match="no answer in time"):
        await there.start()
    assert there.session.transport is there.old
    assert there.told == []
