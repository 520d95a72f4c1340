from __future__ import annotations

from typing import Any

import pytest

from nuncio import OptionError, RecoveryOptions, Server
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.past import Past
from nuncio.cluster.recovery import Entry, RecoveryLog, SavedSession
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol.engineio import Message
from tests.support.clock import FakeLoop

ROOM = BroadcastOptions(frozenset({"room"}))
ALL = BroadcastOptions()


class Book:
    """A log, and who was given up."""

    def __init__(self, **options: Any) -> None:
        self.loop = FakeLoop()
        self.wheel = TimerWheel(self.loop)
        self.lost: list[str] = []
        self.log = RecoveryLog(
            RecoveryOptions(**options), lambda session: self.lost.append(session.sid)
        )

    def say(self, text: bytes, options: BroadcastOptions = ALL) -> str:
        """Log an event; returns its offset."""
        offset = self.log.next_offset()
        self.log.add(Message(text), options, False)
        return offset

    def leave(self, sid: str, *rooms: str) -> SavedSession:
        """A client that joined the rooms just now loses its link."""
        last = self.log.last
        session = SavedSession(sid, f"pid of {sid}", dict.fromkeys((sid, *rooms), last), last)
        self.log.save(session, self.wheel)
        return session

    def back(self, sid: str, offset: str = "") -> list[bytes | None] | None:
        """What it is sent when it comes back; None when it begins afresh."""
        session = self.log.restore(f"pid of {sid}", offset)
        missed = None if session is None else self.log.missed(session)
        return None if missed is None else [message.text for message in missed]


def test_what_was_said_meanwhile_is_missed_in_order() -> None:
    book = Book()
    book.leave("ada")
    book.say(b"1")
    book.say(b"2")
    assert book.back("ada") == [b"1", b"2"]


def test_an_offset_says_what_the_client_has() -> None:
    book = Book()
    book.leave("ada")
    first = book.say(b"1")
    second = book.say(b"2")
    book.leave("ben")
    assert book.back("ada", first) == [b"2"]
    # An offset from before its session reaches no further back than that.
    assert book.back("ben", first) == []
    book.leave("cid")
    assert book.back("cid", second) == []


def test_a_session_is_restored_once() -> None:
    book = Book()
    book.leave("ada")
    assert book.back("ada") == []
    assert book.back("ada") is None


@pytest.mark.parametrize(
    "offset",
    [
        "x",
        "1",
        "foreign.1",
        "-1",
        "9" * 400,
        "\u0661",
        "\ud800",
        " ",
        "{epoch}-1",
        "{epoch}2",
        "{epoch}",
    ],
)
def test_a_forged_offset_restores_nothing(offset: str) -> None:
    book = Book()
    book.leave("ada")
    epoch = book.say(b"1")[:-1]
    book.say(b"2", BroadcastOptions(frozenset({"other"})))
    forged = offset.replace("{e}", epoch)
    expected: list[bytes | None] | None = [] if forged == epoch + "2" else None
    assert book.back("ada", forged) == expected


def test_an_offset_from_the_future_restores_nothing() -> None:
    book = Book()
    book.leave("ada")
    assert book.back("ada", book.log.next_offset()) is None


def test_offsets_of_another_log_are_unknown() -> None:
    book, other = Book(), Book()
    book.leave("ada")
    book.say(b"1")
    assert book.back("ada", other.say(b"1")) is None


def test_rooms_and_exceptions_are_as_when_the_link_was_lost() -> None:
    book = Book()
    book.leave("ada", "room")
    book.say(b"room", ROOM)
    book.say(b"ada", BroadcastOptions(frozenset({"ada"})))
    book.say(b"other", BroadcastOptions(frozenset({"other"})))
    book.say(b"others", BroadcastOptions(frozenset(), frozenset({"ada"})))
    book.say(b"but room", BroadcastOptions(frozenset({"ada"}), frozenset({"room"})))
    assert book.back("ada") == [b"room", b"ada"]


def test_what_was_said_in_a_room_before_the_client_joined_is_not_its_business() -> None:
    book = Book()
    session = SavedSession("ada", "pid of ada", {"ada": 0, "room": 1}, 0)
    book.say(b"secret", ROOM)
    book.say(b"public", ROOM)
    book.log.save(session, book.wheel)
    assert book.back("ada") == [b"public"]


def test_too_many_events_push_out_the_oldest() -> None:
    book = Book(max_packets=2)
    book.leave("ada")
    book.leave("ben")
    first = book.say(b"1")
    book.say(b"2")
    book.say(b"3")
    assert book.back("ada") is None
    assert book.lost == ["ada"]
    assert book.back("ben", first) == [b"2", b"3"]


def test_too_many_bytes_push_out_the_oldest() -> None:
    book = Book(max_bytes=2000)
    book.leave("ada")
    book.say(b"x" * 1500)
    book.say(b"y" * 1500)
    assert book.back("ada") is None


def test_too_many_lost_clients_push_out_the_first() -> None:
    book = Book(max_sessions=2)
    for sid in ("ada", "ben", "cid"):
        book.leave(sid)
    assert book.lost == ["ada"]
    assert book.back("ada") is None
    assert book.back("ben") == []


def test_after_a_while_a_client_is_given_up() -> None:
    book = Book(max_disconnection_duration=10)
    book.leave("ada")
    book.loop.advance(6)
    book.leave("ben")
    book.loop.advance(5)
    assert book.lost == ["ada"]
    assert book.back("ben") == []
    book.leave("cid")
    book.loop.advance(11)
    assert book.lost == ["ada", "cid"]
    assert book.log.empty


def test_absent_clients_are_found_by_their_rooms() -> None:
    book = Book()
    book.leave("ada", "room")
    book.leave("ben")

    def absent(rooms: set[str | int], excepted: set[str | int]) -> list[str]:
        options = BroadcastOptions(frozenset(rooms), frozenset(excepted))
        return [session.sid for session in book.log.absent(options)]

    assert absent(set(), set()) == ["ada", "ben"]
    assert absent({"room"}, set()) == ["ada"]
    assert absent({"room", "ada"}, set()) == ["ada"]
    assert absent(set(), {"room"}) == ["ben"]
    book.back("ada")
    assert absent({"room"}, set()) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("yes", "connection_state_recovery"),
        ({"max_disconnection": 3}, "max_disconnection_duration"),
        ({"max_disconnection_duration": 120_000_000_000}, "seconds"),
        ({"skip_middlewares": 1}, "skip_middlewares"),
        ({"max_packets": 0}, "max_packets"),
    ],
)
def test_wrong_options_are_told(option: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Server(connection_state_recovery=option)


@pytest.mark.parametrize("option", [True, {}, {"skip_middlewares": False}, RecoveryOptions()])
def test_ways_to_switch_it_on(option: Any) -> None:
    assert Server(connection_state_recovery=option).recovery is not None


@pytest.mark.parametrize("option", [False, None])
def test_ways_to_leave_it_off(option: Any) -> None:
    assert Server(connection_state_recovery=option).recovery is None


# Clients that come from another server.


def brought(book: Book) -> Past:
    """What comes along: three events of another server, the last of them on the way."""
    past = Past(-3, book.log.last)
    past.epochs = {"elsewhere.": -12}
    past.offsets = {"third.7": 0}
    for number, text in ((-2, b"a"), (-1, b"b")):
        past.entries.append((number, Entry(0.0, Message(text), ALL, False)))
    past.shared = [(0, Entry(0.0, Message(b"c"), ALL, False))]
    return past


def arrived(book: Book, past: Past, sid: str = "ada") -> SavedSession:
    session = SavedSession(sid, f"pid of {sid}", {sid: -3}, -3)
    book.log.adopt(session, past, book.wheel)
    return session


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("", [b"a", b"b", b"c", b"2"]),
        ("elsewhere.10", [b"b", b"c", b"2"]),
        ("elsewhere.11", [b"c", b"2"]),
        ("third.7", [b"2"]),
        # Before the session began there is nothing that it can have.
        ("elsewhere.1", [b"a", b"b", b"c", b"2"]),
        ("elsewhere.x", None),
        ("elsewhere.", None),
        ("nowhere.10", None),
    ],
)
def test_what_came_along_comes_before_what_was_said_here(
    offset: str, expected: list[bytes] | None
) -> None:
    book = Book()
    book.say(b"1")
    arrived(book, brought(book))
    book.say(b"2")
    assert book.back("ada", offset) == expected


def test_an_offset_of_here_is_behind_what_came_along() -> None:
    book = Book()
    early = book.say(b"1")
    arrived(book, brought(book))
    offset = book.say(b"2")
    book.say(b"3")
    assert book.back("ada", offset) == [b"3"]
    # But this one it was never given.
    arrived(book, brought(book), "bob")
    assert book.back("bob", early) is None


def test_what_is_others_past_alone_is_left_out() -> None:
    book = Book()
    past = brought(book)
    past.skipped = 0
    arrived(book, past)
    assert book.back("ada") == [b"a", b"b"]


def test_a_past_is_kept_until_it_has_been_received() -> None:
    book = Book()
    past = brought(book)
    session = arrived(book, past)
    assert book.back("ada") == [b"a", b"b", b"c"]
    # Nothing of it arrived, and it is away again.
    book.log.save(session, book.wheel)
    book.log.settle(session.pid, past)
    assert book.back("ada", "elsewhere.10") == [b"b", b"c"]
    book.log.settle(session.pid, past)
    assert book.log.past(session.pid) is None


def test_own_events_are_told_as_long_as_all_of_them_are_known() -> None:
    book = Book(max_packets=3)
    for number in range(1, 4):
        if number == 2:
            book.log.coming("other", 7)
        book.say(b"%d" % number)
    told = book.log.own_after(0)
    assert told is not None and [number for number, _ in told] == [1, 3]
    book.say(b"4")
    assert book.log.own_after(0) is None
    told = book.log.own_after(1)
    assert told is not None and [number for number, _ in told] == [3, 4]
    assert book.log.own_after(4) == []
    assert book.log.last_own == 4
