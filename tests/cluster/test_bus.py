"""Connections that adapters share: opened once, closed after the last; and all hear of a loss."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nuncio.cluster.bus import LineBus
from nuncio.cluster.line import Line
from tests.support.aio import eventually, run_async, within


class Member:
    """An adapter, which notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []

    def bus_changed(self, why: Exception | None) -> None:
        """See `Member`."""
        self.heard.append(None if why is None else str(why))


class Wire(Line):
    """A line that is connected as soon as it may be, and lost when the test says so."""

    engine = "The engine"

    def __init__(self, bus: Wires, name: str) -> None:
        super().__init__(bus._changed)
        self._bus = bus
        self._name = name
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """See `Line.connect`."""
        await self._bus.gate.wait()
        if self._bus.refusal is not None:
            raise ConnectionError(self._bus.refusal)
        self.cut = asyncio.get_running_loop().create_future()

    async def disconnect(self, connection: Any) -> None:
        """See `Line.disconnect`."""

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        await self.cut

    async def close(self) -> None:
        """See `Line.close`."""
        await super().close()
        self._bus.calls.append(f"close {self._name}")


class Wires(LineBus):
    """A bus of two lines.

    Attributes:
        calls: what happened to it.
        gate: lines are connected once it is set.
        leisure: what was said last has left once it is set.
        refusal: why they are not, then.
    """

    engine = "The engine"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.leisure = asyncio.Event()
        self.leisure.set()
        self.refusal: str | None = None
        self.lines: list[Wire] = []

    async def _connect(self) -> None:
        self.calls.append("connect")
        for name in ("one", "two"):
            line = Wire(self, name)
            self.lines.append(line)
            await line.open()

    async def _settle(self) -> None:
        self.calls.append("settle")
        await self.leisure.wait()

    def _lines(self) -> list[Wire]:
        return self.lines

    async def _close_lines(self) -> None:
        for line in list(self.lines):
            await self._discard(line)
        self._forget_lines()

    def _forget_lines(self) -> None:
        self.lines = []


@run_async
async def test_it_is_opened_for_the_first_and_closed_after_the_last() -> None:
    bus = Wires()
    one, two = Member(), Member()
    await asyncio.gather(bus.enter(one), bus.enter(two))
    assert bus.calls == ["connect"]
    await bus.leave(one)
    # Once more changes nothing.
    await bus.leave(one)
    assert bus.calls == ["connect"]
    await bus.leave(two)
    assert bus.calls == ["connect", "settle", "close one", "close two"]
    await bus.enter(one)
    assert bus.calls[4:] == ["connect"]
    await bus.leave(one)


@run_async
async def test_who_waits_no_longer_takes_it_from_nobody() -> None:
    bus = Wires()
    bus.gate.clear()
    one, two = Member(), Member()
    impatient = asyncio.ensure_future(bus.enter(one))
    patient = asyncio.ensure_future(bus.enter(two))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait((impatient,))
    bus.gate.set()
    await within(patient)
    assert bus.calls == ["connect"]
    await bus.leave(two)
    # It has never left.
    assert bus.calls == ["connect"]
    await bus.leave(one)


@run_async
async def test_it_is_closed_while_it_is_opened() -> None:
    bus = Wires()
    bus.gate.clear()
    member = Member()
    entering = asyncio.ensure_future(bus.enter(member))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait((entering,))
    await within(bus.leave(member))
    assert bus.calls == ["connect", "close one", "settle"]
    assert not bus.lines


@run_async
async def test_after_a_failure_it_is_opened_anew() -> None:
    bus = Wires()
    bus.refusal = "nobody there"
    one, two = Member(), Member()
    told = await asyncio.gather(bus.enter(one), bus.enter(two), return_exceptions=True)
    assert [type(error) for error in told] == [ConnectionError, ConnectionError]
    assert bus.calls == ["connect", "close one"]
    assert bus.healthy
    bus.refusal = None
    await bus.enter(one)
    assert bus.calls[2:] == ["connect"]
    assert bus.stats()["losses"] == 1
    await bus.leave(one)
    await bus.leave(two)


def test_what_a_former_event_loop_has_opened_is_opened_anew() -> None:
    async def enter() -> None:
        await bus.enter(member)
        assert bus.healthy

    async def leave() -> None:
        await bus.leave(member)

    bus, member = Wires(), Member()
    for _ in range(2):
        asyncio.run(enter())
        assert [line._name for line in bus.lines] == ["one", "two"]
    assert bus.calls == ["connect", "connect"]
    asyncio.run(leave())
    # It ended with its loop, and cannot be closed in another one.
    assert bus.calls == ["connect", "connect", "settle"]
    assert not bus.lines


@run_async
async def test_who_enters_while_the_last_one_leaves_has_connections_of_his_own() -> None:
    bus = Wires()
    one, two = Member(), Member()
    await bus.enter(one)
    bus.leisure.clear()
    leaving = asyncio.ensure_future(bus.leave(one))
    await eventually(lambda: bus.calls == ["connect", "settle"])
    entering = asyncio.ensure_future(bus.enter(two))
    for _ in range(5):
        await asyncio.sleep(0)
    bus.leisure.set()
    await within(asyncio.gather(leaving, entering))
    assert bus.calls == ["connect", "settle", "close one", "close two", "connect"]
    assert [line.connected for line in bus.lines] == [True, True]
    await bus.leave(two)


@run_async
async def test_who_leaves_while_he_waits_to_enter_leaves_nothing_behind() -> None:
    bus = Wires()
    one, two = Member(), Member()
    await bus.enter(one)
    bus.leisure.clear()
    leaving = asyncio.ensure_future(bus.leave(one))
    await eventually(lambda: bus.calls == ["connect", "settle"])
    entering = asyncio.ensure_future(bus.enter(two))
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait((entering,))
    again = asyncio.ensure_future(bus.leave(two))
    bus.leisure.set()
    await within(asyncio.gather(leaving, again))
    assert bus.calls == ["connect", "settle", "close one", "close two", "settle"]
    assert not bus.lines


@run_async
async def test_it_is_closed_though_nobody_waits_for_that_any_longer() -> None:
    bus = Wires()
    member = Member()
    await bus.enter(member)
    bus.leisure.clear()
    leaving = asyncio.ensure_future(bus.leave(member))
    await eventually(lambda: bus.calls == ["connect", "settle"])
    leaving.cancel()
    await asyncio.wait((leaving,))
    bus.leisure.set()
    await eventually(lambda: bus.calls[2:] == ["close one", "close two"])


@run_async
async def test_of_several_losses_all_members_hear_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nuncio.cluster")
    bus = Wires()
    members = [Member(), Member()]
    for member in members:
        await bus.enter(member)
    bus.gate.clear()
    for number, line in enumerate(bus.lines):
        line.cut.set_exception(ConnectionError(f"cut {number}"))
    await eventually(lambda: len(members[0].heard) == 1)
    assert not bus.healthy
    bus.gate.set()
    await eventually(lambda: len(members[0].heard) == 2)
    assert bus.healthy
    assert [member.heard for member in members] == [["cut 0", None], ["cut 0", None]]
    assert caplog.messages == [
        "The engine is lost, and will be tried again: cut 0",
        "The engine is there again",
    ]
    assert bus.stats()["losses"] == 2
    for member in members:
        await bus.leave(member)
    assert bus.stats()["losses"] == 2


@run_async
async def test_of_a_line_that_is_closed_nobody_hears() -> None:
    bus = Wires()
    member = Member()
    await bus.enter(member)
    line = bus.lines.pop()
    bus._changed(line, ConnectionError("cut"))
    assert bus.healthy
    assert not member.heard
    await bus._discard(line)
    await bus.leave(member)
