from __future__ import annotations

import json
from typing import Any

import pytest

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.postgres import intake as intakes
from nuncio.cluster.postgres.intake import Intake
from nuncio.cluster.postgres.wire import LIMIT, Wire
from nuncio.cluster.signing import UNSIGNED
from nuncio.cluster.values import to_msgpack


class Listener:
    """Keeps what it receives."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.numbers: list[Any] = []
        self.dropped: list[str] = []

    def received(self, message: ClusterMessage) -> None:
        """See `intake.Listener`."""
        if message.data == "fail":
            raise RuntimeError("an application's mistake")
        self.numbers.append(message.data)

    def drop(self, why: str) -> None:
        """See `intake.Listener`."""
        self.dropped.append(why)


class Stage:
    """An intake with two namespaces."""

    def __init__(self) -> None:
        self.fetches = 0
        self.intake = Intake(Wire(UNSIGNED, LIMIT), self._fetch)
        self.main, self.chat = Listener("me"), Listener("me too")
        self.intake.add("p#/", "/", self.main)
        self.intake.add("p#/chat", "/chat", self.chat)

    def _fetch(self) -> None:
        self.fetches += 1

    def say(self, data: Any, uid: str = "you", nsp: str | None = "/", channel: str = "p#/") -> None:
        """A notification."""
        told = {"type": 2, "data": data, "uid": uid, "nsp": nsp}
        self.intake.arrived(channel, json.dumps(told, separators=(",", ":")))

    def attach(self, row: Any, uid: str = "you", channel: str = "p#/") -> None:
        """A notification of an attachment."""
        self.intake.arrived(channel, json.dumps({"uid": uid, "type": 3, "attachmentId": row}))

    def give(self, *rows: int) -> None:
        """Attachments have been fetched."""
        self.intake.fetched({row: packed(f"row {row}") for row in rows})


def packed(data: Any, nsp: str | None = "/") -> bytes:
    """An attachment."""
    return to_msgpack({"type": 2, "data": data, "uid": "you", "nsp": nsp})


def test_what_comes_behind_an_attachment_waits_for_it() -> None:
    stage = Stage()
    stage.say(1)
    stage.attach("7")
    stage.say(2)
    stage.say(3, nsp="/chat", channel="p#/chat")
    stage.attach(8)
    stage.say(4)
    assert (stage.main.numbers, stage.fetches) == ([1], 1)
    assert stage.intake.wanted() == [7, 8]
    stage.give(7)
    assert (stage.main.numbers, stage.chat.numbers) == ([1, "row 7", 2], [3])
    assert (stage.intake.wanted(), stage.fetches) == ([8], 2)
    stage.give(8)
    assert stage.main.numbers[3:] == ["row 8", 4]
    stage.say(5)
    assert stage.main.numbers[-1] == 5
    assert stage.intake.wanted() == []


def test_only_some_are_fetched_at_once() -> None:
    stage = Stage()
    for row in range(1, 21):
        stage.attach(row)
    assert stage.fetches == 1
    rounds = 0
    while rows := stage.intake.wanted():
        assert len(rows) <= 8
        stage.give(*rows)
        rounds += 1
    assert rounds == 3
    assert stage.main.numbers == [f"row {row}" for row in range(1, 21)]


def test_an_attachment_that_is_not_there_holds_nobody_up() -> None:
    stage = Stage()
    stage.attach(7)
    stage.attach(8)
    stage.say(1)
    stage.intake.fetched({7: None, 8: b"\xc1"})
    assert (stage.main.numbers, len(stage.main.dropped)) == ([1], 2)


def test_what_one_says_oneself_is_neither_read_nor_fetched() -> None:
    stage = Stage()
    stage.say(1, uid="me")
    stage.attach(7, uid="me")
    # What only looks like it.
    stage.say('","uid":"me","nsp":"/"}')
    assert (stage.main.numbers, stage.intake.wanted()) == (['","uid":"me","nsp":"/"}'], [])


def test_a_message_is_for_the_namespace_that_it_names_and_else_for_the_channels() -> None:
    stage = Stage()
    stage.say(1, nsp="/", channel="p#/chat")
    stage.say(2, nsp=None, channel="p#/chat")
    stage.say(3, nsp="/nowhere")
    stage.say(4, channel="q#/")
    assert (stage.main.numbers, stage.chat.numbers) == ([1], [2])
    stage.attach(7, channel="p#/chat")
    stage.intake.fetched({7: packed(5, nsp=None)})
    assert stage.chat.numbers == [2, 5]
    stage.intake.remove("p#/chat")
    stage.say(6, nsp="/chat")
    stage.say(6, nsp=None, channel="p#/chat")
    assert stage.chat.numbers == [2, 5]


def test_what_is_no_message_is_counted_and_dropped() -> None:
    stage = Stage()
    for text in ("", "{", "[]", '{"uid":"u","attachmentId":"x","type":3}'):
        stage.intake.arrived("p#/", text)
    assert len(stage.main.dropped) == 4
    assert stage.intake.wanted() == []


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intakes, "_MOST_BYTES", 10_000)
    stage = Stage()
    stage.attach(7)
    for _ in range(100):
        stage.say("x" * 500)
    stage.attach(8)
    assert 80 < len(stage.main.dropped) < 100
    # After a loss there is room again.
    stage.intake.clear()
    assert stage.intake.wanted() == []
    stage.say("after")
    assert stage.main.numbers == ["after"]


def test_a_listeners_mistake_is_logged_and_holds_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.say("fail")
    stage.say(1)
    assert stage.main.numbers == [1]
    assert "could not be handled" in caplog.text
