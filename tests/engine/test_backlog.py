from __future__ import annotations

import random

import pytest

from nuncio import SlowConsumer, conflate
from nuncio.engine.backlog import DROPPED, KEPT, MESSAGE_OVERHEAD, NO_ROOM, Backlog
from nuncio.protocol.engineio import Message
from nuncio.slow import BLOCK, DROP_NEWEST, DROP_OLDEST

OLDEST = SlowConsumer(DROP_OLDEST)
NEWEST = SlowConsumer(DROP_NEWEST)
WAIT = SlowConsumer(BLOCK)

MOST = 10_000
MOST_DROPPABLE = 2_000


def a_message(name: str, slow: SlowConsumer | None = None, size: int = 100) -> Message:
    """A message that costs `size`, its overhead included."""
    message = Message(name.ljust(size - MESSAGE_OVERHEAD).encode())
    message.slow = slow
    return message


def keyed(key: object, nsp: str = "/") -> SlowConsumer:
    return conflate(key).of_event(nsp, ["e"])


class Bench:
    """A backlog and the names of what it holds and has lost."""

    def __init__(self) -> None:
        self.backlog = Backlog(MOST, MOST_DROPPABLE)

    def offer(self, name: str, slow: SlowConsumer | None = None, size: int = 200) -> int:
        return self.backlog.offer(a_message(name, slow, size))

    @property
    def names(self) -> list[str]:
        return [(one.text or b"").decode().strip() for one in self.backlog.take()]

    @property
    def lost(self) -> list[str]:
        lost, self.backlog.lost = self.backlog.lost, None
        return [(one.text or b"").decode().strip() for one in lost or []]


def test_what_must_not_be_dropped_waits_until_there_is_no_room() -> None:
    bench = Bench()
    for index in range(50):
        assert bench.offer(str(index)) == KEPT
    assert bench.backlog.size == MOST
    assert bench.offer("one more") == NO_ROOM
    assert bench.offer("one more", WAIT) == NO_ROOM
    assert bench.names == [str(index) for index in range(50)]
    assert bench.lost == []


def test_the_newest_is_dropped() -> None:
    bench = Bench()
    for index in range(10):
        assert bench.offer(str(index), NEWEST) == KEPT
    assert bench.offer("10", NEWEST) == DROPPED
    assert bench.offer("must") == KEPT
    assert bench.names == [*(str(index) for index in range(10)), "must"]
    assert bench.lost == ["10"]


def test_the_oldest_are_dropped_and_nothing_else() -> None:
    bench = Bench()
    assert bench.offer("must") == KEPT
    for index in range(100):
        assert bench.offer(str(index), OLDEST) == KEPT
        assert index % 20 or bench.offer("patient", WAIT) == KEPT
    names = [name for name in bench.names if name not in ("must", "patient")]
    assert names == [str(index) for index in range(90, 100)]
    assert bench.names[0] == "must"
    assert bench.names.count("patient") == 5
    assert bench.lost == [str(index) for index in range(90)]
    assert bench.backlog.size == 200 * (1 + 10 + 5)
    assert len(bench.backlog) == 16


def test_a_large_message_takes_the_place_of_several() -> None:
    bench = Bench()
    for index in range(10):
        bench.offer(str(index), OLDEST)
    assert bench.offer("large", OLDEST, 1000) == KEPT
    assert bench.lost == ["0", "1", "2", "3", "4"]
    assert bench.names == ["5", "6", "7", "8", "9", "large"]


@pytest.mark.parametrize("slow", [OLDEST, NEWEST, keyed("k")])
def test_the_only_droppable_message_may_be_larger_than_their_part(slow: SlowConsumer) -> None:
    bench = Bench()
    bench.offer("must")
    assert bench.offer("large", slow, 5000) == KEPT
    assert bench.names == ["must", "large"]
    # But not larger than the room there is.
    other = Bench()
    other.offer("must")
    assert other.offer("too large", slow, MOST) == DROPPED
    assert other.names == ["must"]
    assert other.lost == ["too large"]


def test_what_may_be_dropped_goes_before_there_is_no_room() -> None:
    bench = Bench()
    for index in range(10):
        bench.offer(str(index), (OLDEST, NEWEST, keyed(index))[index % 3])
    for _ in range(40):
        assert bench.offer("must") == KEPT
    assert bench.lost == []
    assert bench.offer("must", None, 600) == KEPT
    assert bench.lost == ["0", "1", "2"]
    for _ in range(7):
        assert bench.offer("patient", WAIT) == KEPT
    assert bench.lost == [str(index) for index in range(3, 10)]
    assert bench.offer("too much", WAIT) == NO_ROOM


def test_nothing_droppable_is_kept_where_it_is_full() -> None:
    bench = Bench()
    for _ in range(50):
        bench.offer("must")
    for slow in (OLDEST, NEWEST, keyed("k")):
        assert bench.offer("late", slow) == DROPPED
    assert bench.names == ["must"] * 50
    assert bench.lost == ["late"] * 3


# Conflation.


def test_a_newer_message_takes_the_place_of_the_older_one_of_its_key() -> None:
    bench = Bench()
    bench.offer("before")
    bench.offer("eur 1", keyed("eur"))
    bench.offer("usd 1", keyed("usd"))
    bench.offer("between")
    for index in range(2, 100):
        assert bench.offer(f"eur {index}", keyed("eur"), 200 + index) == KEPT
    assert bench.offer("usd 2", keyed("usd")) == KEPT
    assert bench.names == ["before", "eur 99", "usd 2", "between"]
    assert bench.lost == [*(f"eur {index}" for index in range(1, 99)), "usd 1"]
    assert bench.backlog.size == 200 + 299 + 200 + 200


def test_each_namespace_has_its_own_keys() -> None:
    bench = Bench()
    bench.offer("a", keyed("k", "/a"))
    bench.offer("b", keyed("k", "/b"))
    assert bench.names == ["a", "b"]


def test_too_many_keys_push_the_oldest_out() -> None:
    bench = Bench()
    for index in range(1000):
        bench.offer(f"{index}", keyed(index))
    assert bench.names == [str(index) for index in range(990, 1000)]
    # The key of what was dropped is forgotten.
    bench.offer("0 again", keyed(0))
    assert bench.names == [*(str(index) for index in range(991, 1000)), "0 again"]


def test_a_larger_value_that_has_no_room_where_it_stands_goes_to_the_end() -> None:
    bench = Bench()
    for index in range(10):
        bench.offer(str(index), keyed(index))
    assert bench.offer("5 large", keyed(5), 900) == KEPT
    assert bench.names == ["4", "6", "7", "8", "9", "5 large"]
    assert bench.lost == ["5", "0", "1", "2", "3"]


# Everything together, against a plain model.


def test_bytes_and_order_are_right_whatever_comes() -> None:
    dice = random.Random(11)
    for _ in range(30):
        backlog = Backlog(MOST, MOST_DROPPABLE)
        offered = gone = 0
        for step in range(400):
            slow = dice.choice([None, WAIT, *[OLDEST, NEWEST, keyed(dice.randrange(5))] * 4])
            message = a_message(str(step), slow, dice.randint(110, 900))
            verdict = backlog.offer(message)
            offered += verdict != NO_ROOM
            gone += len(backlog.lost or ())
            assert all(one.slow is not None and one.slow.droppable for one in backlog.lost or ())
            backlog.lost = None
            waiting = backlog.take()
            droppable = [one for one in waiting if one.slow is not None and one.slow.droppable]
            assert len(backlog) == len(waiting) == offered - gone
            assert backlog.size == sum(one.size + MESSAGE_OVERHEAD for one in waiting) <= MOST
            cost = sum(one.size + MESSAGE_OVERHEAD for one in droppable)
            assert cost <= MOST_DROPPABLE or len(droppable) == 1
            steps = [
                int((one.text or b"").strip()) for one in waiting if one.slow in (None, OLDEST)
            ]
            assert steps == sorted(steps)


def test_dropping_many_of_many_costs_little() -> None:
    # A hundred thousand drops from the middle of a long line: holes are closed now and then.
    backlog = Backlog(10_000_000, 1_000_000)
    for _ in range(1000):
        backlog.offer(a_message("must"))
    for index in range(100_000):
        backlog.offer(a_message(str(index), OLDEST, 125))
    assert len(backlog) == 1000 + 8_000
    assert len(backlog._messages) <= 2 * len(backlog) + 64
