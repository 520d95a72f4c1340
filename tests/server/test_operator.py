from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import AckTimeout, BroadcastOperator, OptionError, Server
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client


class Party:
    """Three clients: `ada` in the rooms a and b, `bob` in b, `eve` in none."""

    def __init__(self) -> None:
        self.io = Server()
        self.ada, self.bob, self.eve = (Client.join(self.io) for _ in range(3))
        self.ada.socket.join(["a", "b"])
        self.bob.socket.join("b")

    def reached(self) -> str:
        """The first letters of those who received something, each as often as they did."""
        names = {"a": self.ada, "b": self.bob, "e": self.eve}
        return "".join(name * len(client.take()) for name, client in names.items())


@run_async
async def test_who_is_reached() -> None:
    party = Party()
    io, ada, eve = party.io, party.ada.socket, party.eve.socket
    for operator, reached in (
        (io.to("a"), "a"),
        (io.in_("b"), "ab"),
        (io.to("a").to("b"), "ab"),
        (io.to(["a", "b"]), "ab"),
        (io.to([]), "abe"),
        (io.except_("a"), "be"),
        (io.except_(["a", "b"]), "e"),
        (io.except_("a").except_("b"), "e"),
        (io.to("b").except_("a"), "b"),
        (io.except_("a").to("b"), "b"),
        (io.to("b").except_(party.bob.sid), "a"),
        (io.to(party.eve.sid).to("a"), "ae"),
        (io.local, "abe"),
        (io.volatile, "abe"),
        (io.local.to("a"), "a"),
        (io.timeout(5), "abe"),
        (ada.broadcast, "be"),
        (ada.to("b"), "b"),
        (ada.in_("b"), "b"),
        (ada.to("a"), ""),
        (ada.to(party.ada.sid), ""),
        (ada.except_("b"), "e"),
        (ada.local, "be"),
        (ada.volatile.broadcast, "be"),
        (ada.volatile.to("b"), "b"),
        (ada.compress(False).in_("b"), "b"),
        (ada.timeout(5).except_("b"), "e"),
        (ada.volatile.local, "be"),
        (eve.to("b"), "ab"),
    ):
        operator.emit("x")
        assert party.reached() == reached, operator


@run_async
async def test_send_is_a_message() -> None:
    party = Party()
    party.io.to("a").send("text")
    party.ada.socket.volatile.send("text")
    assert party.ada.take() == ['2["message","text"]'] * 2


@run_async
async def test_an_operator_that_is_kept_never_changes() -> None:
    party = Party()
    base = party.io.to("a")
    base.to("b")
    base.except_("a")
    base.volatile.emit("x")
    base.local.compress(False).timeout(5)
    party.reached()
    party.ada.stall()
    base.emit("x")
    party.ada.drain()
    # Had it become volatile, it would have been dropped.
    assert party.reached() == "a"
    with pytest.raises(OptionError, match="needs"):
        base.emit_with_ack("x")


@run_async
async def test_an_operator_of_a_socket_that_is_kept_never_changes() -> None:
    party = Party()
    socket = party.ada.socket
    base = socket.compress(True)
    base.volatile.emit("x")
    base.timeout(5)
    base.compress(False)
    party.reached()
    party.ada.stall()
    base.emit("kept")
    party.ada.drain()
    assert party.ada.take() == ['2["kept"]']
    assert party.ada.wire.compressed[-1]
    # Without a time-out of its own a callback gets no error first.
    calls: list[Any] = []
    base.emit("q", lambda *args: calls.append(args))
    party.ada.send("30[1]")
    assert calls == [(1,)]


@run_async
async def test_flags_of_a_socket_go_on_to_its_broadcasts() -> None:
    party = Party()
    party.bob.wire.compressed.clear()
    party.ada.socket.compress(False).broadcast.emit("x")
    assert party.bob.wire.compressed == [False]
    party.bob.stall()
    party.ada.socket.volatile.to("b").emit("dropped")
    party.bob.drain()
    party.reached()
    waiting = party.ada.socket.timeout(5).broadcast.emit_with_ack("q")
    party.bob.send("30[1]")
    party.eve.send("30[2]")
    assert await waiting == [1, 2]


@run_async
async def test_rooms_may_be_any_iterable_and_are_copied() -> None:
    party = Party()
    rooms = ["a"]
    operator = party.io.to(rooms)
    rooms.append("b")
    operator.emit("x")
    party.io.to(room for room in ("a", "b")).emit("x")
    party.io.to(("a",)).to(frozenset(("b",))).emit("x")
    assert party.reached() == "aaabb"


@run_async
async def test_a_broadcast_is_encoded_once() -> None:
    party = Party()
    encodings: list[int] = []

    class Counted:
        def model_dump(self) -> int:
            encodings.append(1)
            return 5

    party.io.emit("x", Counted())
    assert party.reached() == "abe"
    assert encodings == [1]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
@run_async
async def test_a_time_out_is_a_number_of_seconds(seconds: float) -> None:
    party = Party()
    for start in (party.io, party.io.to("a"), party.ada.socket, party.ada.socket.volatile):
        with pytest.raises(OptionError, match="timeout must be a number of seconds above 0"):
            start.timeout(seconds)


@run_async
async def test_a_callback_receives_the_answers_to_a_broadcast() -> None:
    party = Party()
    told: asyncio.Future[tuple[Any, Any]] = asyncio.get_running_loop().create_future()
    party.io.to("a").timeout(30).emit("q", lambda error, answers: told.set_result((error, answers)))
    party.ada.send('30["yes"]')
    assert await within(told) == (None, ["yes"])


@run_async
async def test_a_callback_is_told_who_did_not_answer_in_time() -> None:
    party = Party()
    told: list[tuple[Any, Any]] = []
    party.io.timeout(0.05).emit("q", lambda error, answers: told.append((error, answers)))
    party.ada.send('30["yes"]')
    await eventually(lambda: told)
    party.bob.send('30["late"]')
    ((error, answers),) = told
    assert isinstance(error, AckTimeout)
    assert answers == ["yes"]


@run_async
async def test_a_callback_of_a_broadcast_needs_a_time_out() -> None:
    party = Party()
    for operator in (party.io.to("a"), party.ada.socket.broadcast):
        with pytest.raises(OptionError, match=r"needs \.timeout\(seconds\)"):
            operator.emit("x", lambda: None)
    assert party.reached() == ""


@run_async
async def test_every_official_name_leads_to_an_operator() -> None:
    io = Server()
    for start in (io, io.of("/admin")):
        for operator in (
            start.to("a"),
            start.in_("a"),
            start.except_("a"),
            start.volatile,
            start.local,
            start.compress(True),
            start.timeout(1),
        ):
            assert isinstance(operator, BroadcastOperator)
