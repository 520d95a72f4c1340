"""What carries a link over Redis: nothing lost, doubled or out of order, whatever Redis loses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.workers.channel import PART_BYTES, WINDOW_BYTES, Channel
from nuncio.workers.frames import Bye, Frame, Part, Pulse
from nuncio.workers.link import MOST_WAITING
from tests.support.aio import run_async

KEYS = (b"a" * 16, b"b" * 16)
PATIENCE = 5
GRACE = 2


class HalfLink:
    """What a channel needs of a link."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.behind = False
        self.over = False

    def feed(self, data: bytes) -> None:
        self.data += data

    def fell_behind(self) -> None:
        self.behind = True

    def caught_up(self) -> None:
        self.behind = False

    def gone(self) -> None:
        assert not self.over, "it has ended twice"
        self.over = True


class End:
    """One worker's: its channel, and what it has published and nobody has received yet."""

    def __init__(self, mine: bytes, theirs: bytes) -> None:
        self.healthy = True
        self.link = HalfLink()
        self.out: deque[Frame] = deque()
        self.heard = 1
        self.forgotten = 0
        link: Any = self.link
        self.channel = Channel(self, link, "tag", mine, theirs, PATIENCE, GRACE)

    def publish(self, tag: str, frame: Frame) -> None:
        if self.healthy:
            self.out.append(frame)

    def ask(self, tag: str, frame: Frame) -> asyncio.Future[int] | None:
        if not self.healthy:
            return None
        self.publish(tag, frame)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_result(self.heard)
        return answer

    def forget(self, channel: Channel) -> None:
        self.forgotten += 1


def ends() -> tuple[End, End]:
    return End(KEYS[0], KEYS[1]), End(KEYS[1], KEYS[0])


def pass_on(source: End, target: End, lose: Callable[[], bool] = lambda: False) -> None:
    """Have everything arrive that is published, but what is lost."""
    while source.out:
        frame = source.out.popleft()
        if not lose() and not target.link.over:
            assert isinstance(frame, (Part, Pulse, Bye))
            target.channel.take(frame)


def settle(left: End, right: End) -> None:
    """Have all arrive that is on its way and that it leads to."""
    while left.out or right.out:
        pass_on(left, right)
        pass_on(right, left)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 700_000)), max_size=12),
    st.lists(st.integers(0, 3), max_size=60),
)
def test_whatever_is_lost_all_arrives_once_and_in_order(
    writes: list[tuple[bool, int]], losses: list[int]
) -> None:
    async def go() -> None:
        left, right = ends()
        fate = deque(losses)
        sent = {id(left): bytearray(), id(right): bytearray()}

        def lose() -> bool:
            return bool(fate) and fate.popleft() == 0

        for number, (which, size) in enumerate(writes):
            source, target = (left, right) if which else (right, left)
            data = bytes([number]) * size
            sent[id(source)] += data
            source.channel.carry(data)
            if number % 3:
                pass_on(source, target, lose)
                pass_on(target, source, lose)
            elif number % 2:
                left.channel.resume()
        for _ in range(3):
            # Signs of life come from now on.
            left.channel.beat()
            right.channel.beat()
            settle(left, right)
        assert right.link.data == sent[id(left)]
        assert left.link.data == sent[id(right)]
        assert not left.link.behind and not right.link.behind
        assert not left.link.over and not right.link.over
        assert left.channel._held_bytes == 0 == left.channel._flying_bytes
        assert right.channel._held_bytes == 0 == right.channel._flying_bytes

    asyncio.run(go())


@run_async
async def test_a_worker_that_does_not_keep_up_is_known_and_waited_for() -> None:
    left, right = ends()
    data = b"x" * (3 * WINDOW_BYTES)
    left.channel.carry(data)
    assert left.link.behind
    parts = [frame for frame in left.out if isinstance(frame, Part)]
    assert sum(len(part.data) for part in parts) <= WINDOW_BYTES
    assert all(len(part.data) <= PART_BYTES for part in parts)
    settle(left, right)
    assert right.link.data == data
    assert not left.link.behind


@run_async
async def test_many_small_parts_do_not_wait_for_a_pulse() -> None:
    left, right = ends()
    for _ in range(40_000):
        left.channel.carry(b"x")
    settle(left, right)
    assert len(right.link.data) == 40_000


@run_async
async def test_a_worker_that_takes_nothing_is_given_up() -> None:
    left, _ = ends()
    left.channel.carry(b"x" * (MOST_WAITING // 2))
    assert not left.link.over
    left.channel.carry(b"x" * (MOST_WAITING // 2))
    assert left.link.over
    assert isinstance(left.out[-1], Bye)
    assert not left.channel._waiting and not left.channel._flying
    left.channel.carry(b"more")
    left.channel.close()
    assert left.forgotten == 1


@run_async
async def test_silence_ends_the_link() -> None:
    left, right = ends()
    for _ in range(2 * PATIENCE):
        left.channel.beat()
        right.channel.beat()
        settle(left, right)
    for _ in range(PATIENCE - 1):
        left.channel.beat()
    assert not left.link.over
    left.channel.beat()
    assert left.link.over
    settle(left, right)
    # It is told, where that is possible.
    assert right.link.over


@run_async
async def test_who_is_not_subscribed_any_longer_is_gone_sooner() -> None:
    left, _ = ends()
    left.heard = 0
    left.channel.beat()
    await asyncio.sleep(0)
    assert not left.link.over
    left.heard = 1
    left.channel.beat()
    await asyncio.sleep(0)
    left.heard = 0
    for _ in range(2):
        assert not left.link.over
        left.channel.beat()
        await asyncio.sleep(0)
    assert left.link.over


@run_async
async def test_while_redis_is_away_everything_is_kept() -> None:
    left, right = ends()
    left.channel.carry(b"before")
    left.healthy = False
    left.out.clear()
    left.channel.carry(b"meanwhile")
    assert not left.out
    left.healthy = True
    left.channel.resume()
    settle(left, right)
    assert right.link.data == b"beforemeanwhile"


@run_async
async def test_redis_may_be_away_for_as_long_as_a_worker_may_be_silent() -> None:
    left, right = ends()
    # It was lost just after a beat, and is tried again now and then.
    left.healthy = right.healthy = False
    left.channel.carry(b"kept")
    for _ in range(PATIENCE + GRACE - 1):
        left.channel.beat()
    left.healthy = True
    left.channel.resume()
    # The other worker is not back yet.
    left.heard = 0
    for _ in range(GRACE + 1):
        left.channel.beat()
        await asyncio.sleep(0)
    assert not left.link.over
    left.out.clear()
    left.heard, right.healthy = 1, True
    right.channel.resume()
    settle(left, right)
    assert right.link.data == b"kept"


@run_async
async def test_who_is_back_with_redis_and_dies_then_is_gone_as_soon_as_ever() -> None:
    left, right = ends()
    left.channel.resume()
    right.channel.resume()
    settle(left, right)
    left.heard = 0
    for _ in range(2):
        assert not left.link.over
        left.channel.beat()
        await asyncio.sleep(0)
    assert left.link.over


@run_async
async def test_redis_may_not_be_away_for_longer() -> None:
    left, _ = ends()
    left.healthy = False
    for _ in range(PATIENCE + GRACE):
        assert not left.link.over
        left.channel.beat()
    assert left.link.over


@run_async
async def test_what_was_written_before_the_end_arrives() -> None:
    left, right = ends()
    left.channel.carry(b"x" * (2 * WINDOW_BYTES))
    left.channel.close()
    settle(left, right)
    assert len(right.link.data) == 2 * WINDOW_BYTES
    assert left.link.over and right.link.over


@pytest.mark.parametrize("seen", [1, 2**40])
@run_async
async def test_a_receipt_for_what_was_never_sent_ends_the_link(seen: int) -> None:
    left, _ = ends()
    left.channel.take(Pulse(KEYS[0], 0, seen))
    assert left.link.over
