from __future__ import annotations

from typing import Any

import pytest

import nuncio
from nuncio.client.waiting import MESSAGE_OVERHEAD, SendBuffer
from nuncio.errors import LimitExceeded
from nuncio.protocol.engineio import Message
from nuncio.slow import policy_of


def make(policy: Any = "block", most: int = 3, most_bytes: int = 10_000) -> SendBuffer:
    made = policy_of(policy, "buffer")
    assert made is not None
    return SendBuffer("/", made, most, most_bytes)


def add(buffer: SendBuffer, name: str, *args: Any, id: int = -1, size: int = 0) -> list[int]:
    text = name.encode().ljust(size, b".")
    return buffer.add(Message(text), [name, *args], id)


def names(buffer: SendBuffer) -> list[str]:
    """Take what waits."""
    return [waiting.payload[0] for waiting in buffer.take()]


def test_events_wait_in_order_and_are_taken_at_once() -> None:
    buffer = make()
    assert len(buffer) == 0
    assert add(buffer, "a") == []
    assert add(buffer, "b", 5, id=0) == []
    assert len(buffer) == 2
    taken = buffer.take()
    assert [(one.payload, one.id, one.message.text) for one in taken] == [
        (["a"], -1, b"a"),
        (["b", 5], 0, b"b"),
    ]
    assert len(buffer) == 0
    assert buffer.take() == []


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest", nuncio.conflate()])
def test_taking_makes_room(policy: Any) -> None:
    buffer = make(policy, most=2, most_bytes=2 * (MESSAGE_OVERHEAD + 10))
    for round in range(3):
        add(buffer, f"a{round}", id=round * 2, size=10)
        add(buffer, f"b{round}", id=round * 2 + 1, size=10)
        assert names(buffer) == [f"a{round}", f"b{round}"]
        assert not buffer.holds(round * 2)


def test_more_than_may_wait_is_told() -> None:
    buffer = make()
    for name in "abc":
        add(buffer, name)
    with pytest.raises(LimitExceeded, match=r"3 events, 303 bytes, wait for a connection") as told:
        add(buffer, "d")
    assert "buffer=…" in str(told.value)
    assert "ClientLimits(buffered_events=…, buffered_bytes=…)" in str(told.value)
    assert names(buffer) == ["a", "b", "c"]


def test_bytes_count_too_and_what_each_event_costs_beside_them() -> None:
    buffer = make(most=100, most_bytes=3 * (MESSAGE_OVERHEAD + 10))
    for name in "abc":
        add(buffer, name, size=10)
    with pytest.raises(LimitExceeded, match="3 events, 330 bytes"):
        add(buffer, "d")
    assert len(buffer) == 3


def test_one_event_may_wait_however_large_it_is() -> None:
    buffer = make(most_bytes=10)
    add(buffer, "large", size=1000)
    with pytest.raises(LimitExceeded):
        add(buffer, "b")
    assert names(buffer) == ["large"]


def test_the_oldest_may_go() -> None:
    buffer = make("drop_oldest")
    for index, name in enumerate("abc"):
        add(buffer, name, id=index)
    assert add(buffer, "d", id=3) == [0]
    assert add(buffer, "e") == [1]
    assert (buffer.holds(0), buffer.holds(2), buffer.holds(3)) == (False, True, True)
    assert names(buffer) == ["c", "d", "e"]


def test_as_many_of_the_oldest_go_as_a_large_one_needs() -> None:
    buffer = make("drop_oldest", most=100, most_bytes=5 * (MESSAGE_OVERHEAD + 10))
    for index, name in enumerate("abcde"):
        add(buffer, name, id=index, size=10)
    assert add(buffer, "large", size=2 * MESSAGE_OVERHEAD + 30) == [0, 1, 2]
    assert names(buffer) == ["d", "e", "large"]


def test_the_newest_may_go() -> None:
    buffer = make("drop_newest")
    for index, name in enumerate("abc"):
        add(buffer, name, id=index)
    assert add(buffer, "d", id=3) == [3]
    assert add(buffer, "e") == [-1]
    assert not buffer.holds(3)
    assert names(buffer) == ["a", "b", "c"]


def test_a_newer_one_takes_the_place_of_an_older_one_of_its_key() -> None:
    buffer = make(nuncio.conflate(lambda name, key, *rest: key))
    add(buffer, "price", "EUR", 1, id=0)
    add(buffer, "price", "USD", 1, id=1)
    assert add(buffer, "price", "EUR", 2, id=2) == [0]
    assert (buffer.holds(0), buffer.holds(1), buffer.holds(2)) == (False, True, True)
    taken = buffer.take()
    assert [one.payload for one in taken] == [["price", "EUR", 2], ["price", "USD", 1]]
    assert [one.id for one in taken] == [2, 1]


def test_with_keys_the_oldest_goes_when_there_is_no_room() -> None:
    buffer = make(nuncio.conflate())
    for index, name in enumerate("abc"):
        add(buffer, name, id=index)
    assert add(buffer, "d") == [0]
    # Its key is free again.
    assert add(buffer, "a", id=5) == [1]
    assert add(buffer, "a", id=6) == [5]
    assert names(buffer) == ["c", "d", "a"]


def test_what_grows_in_its_place_makes_room_too() -> None:
    """A value that is replaced by a larger one may not go round the limit of bytes."""
    buffer = make(nuncio.conflate(), most=100, most_bytes=3 * (MESSAGE_OVERHEAD + 10))
    for index, name in enumerate("abc"):
        add(buffer, name, id=index, size=10)
    lost = add(buffer, "b", id=3, size=30)
    assert lost == [1, 0]
    assert names(buffer) == ["b", "c"]
    for index, name in enumerate("abc"):
        add(buffer, name, id=index, size=10)
    # Even where it leaves room for nobody else.
    assert add(buffer, "b", id=3, size=1000) == [1, 0, 2]
    assert names(buffer) == ["b"]


def test_what_shrinks_in_its_place_makes_room() -> None:
    buffer = make(nuncio.conflate(), most=100, most_bytes=2 * (MESSAGE_OVERHEAD + 50))
    add(buffer, "a", size=90)
    add(buffer, "a", size=10)
    assert add(buffer, "b", size=90) == []
    assert names(buffer) == ["a", "b"]


def test_keys_that_cannot_be_are_told() -> None:
    buffer = make(nuncio.conflate(lambda *payload: payload[1]))
    with pytest.raises(TypeError, match="cannot be a key"):
        add(buffer, "a", ["list"])
    assert len(buffer) == 0


def test_events_may_be_forgotten_by_their_acknowledgements() -> None:
    buffer = make(nuncio.conflate())
    for index, name in enumerate("abc"):
        add(buffer, name, id=index)
    assert buffer.forget(1)
    assert not buffer.forget(1)
    assert not buffer.forget(7)
    assert not buffer.forget(-1)
    # There is room, and its key is free.
    assert add(buffer, "d") == []
    assert names(buffer) == ["a", "c", "d"]


def test_thousands_are_quick_to_drop() -> None:
    buffer = make("drop_oldest", most=1000, most_bytes=10**9)
    for index in range(50_000):
        add(buffer, "e", index)
    taken = buffer.take()
    assert [taken[0].payload, taken[-1].payload] == [["e", 49_000], ["e", 49_999]]
