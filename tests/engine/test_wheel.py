from __future__ import annotations

import random
import weakref

import pytest

from nuncio.engine.wheel import NEVER, TICK, Timer, TimerWheel
from tests.support.clock import FakeLoop


class Alarm(Timer):
    """Writes down when it went off, and does what it is told then."""

    def __init__(self, loop: FakeLoop, name: str = "") -> None:
        super().__init__()
        self.loop = loop
        self.name = name
        self.rang: list[float] = []
        self.then: list[object] = []

    def expire(self, now: float) -> None:
        assert self.tick == NEVER
        self.rang.append(now - 1000.0)
        for action in self.then:
            assert callable(action)
            action()


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def wheel(loop: FakeLoop) -> TimerWheel:
    return TimerWheel(loop)


def near(seconds: float) -> object:
    """On time, or late by less than two ticks; never early by more than half a tick."""
    return pytest.approx(seconds + TICK * 0.75, abs=TICK * 1.25)


def test_a_timer_goes_off_once_at_its_time(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 5.0)
    loop.advance(4.9)
    assert alarm.rang == []
    loop.advance(100)
    assert alarm.rang == [near(5.0)]
    assert loop.scheduled == []


def test_a_cancelled_timer_does_not(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 5.0)
    wheel.cancel(alarm)
    wheel.cancel(alarm)
    loop.advance(100)
    assert alarm.rang == []
    assert alarm.tick == NEVER


def test_a_later_deadline_replaces_an_earlier_one(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 5.0)
    for _ in range(100):
        loop.advance(1.0)
        wheel.arm(alarm, 5.0)
    assert alarm.rang == []
    loop.advance(10)
    assert alarm.rang == [near(105.0)]


def test_a_later_deadline_costs_no_more_than_an_assignment(
    loop: FakeLoop, wheel: TimerWheel
) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 5.0)
    bucket = alarm.tick
    loop.advance(1.0)
    wheel.arm(alarm, 5.0)
    assert alarm.tick == bucket
    assert alarm.deadline == pytest.approx(1006.0)


def test_an_earlier_deadline_replaces_a_later_one(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 50.0)
    wheel.arm(alarm, 5.0)
    loop.advance(100)
    assert alarm.rang == [near(5.0)]


def test_a_timer_can_be_armed_again_when_it_goes_off(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    alarm.then.append(lambda: wheel.arm(alarm, 1.0))
    wheel.arm(alarm, 1.0)
    loop.advance(4.5)
    assert len(alarm.rang) == 4


def test_deadlines_are_kept_in_order(loop: FakeLoop, wheel: TimerWheel) -> None:
    order: list[str] = []
    for name, delay in (("c", 3.0), ("a", 1.0), ("d", 4.0), ("b", 2.0)):
        alarm = Alarm(loop, name)
        alarm.then.append(lambda name=name: order.append(name))
        wheel.arm(alarm, delay)
    loop.advance(10)
    assert order == ["a", "b", "c", "d"]


def test_the_loop_holds_one_timer_for_all(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarms = [Alarm(loop) for _ in range(1000)]
    for index, alarm in enumerate(alarms):
        wheel.arm(alarm, 10.0 + index % 50)
        assert len(loop.scheduled) == 1
    wheel.arm(alarms[0], 1.0)
    assert len(loop.scheduled) == 1
    loop.advance(100)
    assert all(len(alarm.rang) == 1 for alarm in alarms)


def test_a_loop_that_wakes_early_loses_nothing(loop: FakeLoop, wheel: TimerWheel) -> None:
    loop.early = TICK / 4
    alarm = Alarm(loop)
    wheel.arm(alarm, 1.0)
    loop.advance(2)
    assert alarm.rang == [near(1.0)]
    assert loop.scheduled == []


def test_a_loop_that_stalled_catches_up(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarms = [Alarm(loop) for _ in range(10)]
    for index, alarm in enumerate(alarms):
        wheel.arm(alarm, 1.0 + index)
    loop.stall(100)
    loop.advance(0)
    assert [len(alarm.rang) for alarm in alarms] == [1] * 10


def test_one_that_goes_off_may_cancel_another(loop: FakeLoop, wheel: TimerWheel) -> None:
    first, second = Alarm(loop), Alarm(loop)
    first.then.append(lambda: wheel.cancel(second))
    second.then.append(lambda: wheel.cancel(first))
    wheel.arm(first, 1.0)
    wheel.arm(second, 1.0)
    loop.advance(10)
    # Which of the two is first is not promised.
    assert len(first.rang) + len(second.rang) == 1


def test_one_that_goes_off_may_arm_another_of_the_same_bucket_anew(
    loop: FakeLoop, wheel: TimerWheel
) -> None:
    first, second = Alarm(loop), Alarm(loop)
    first.then.append(lambda: wheel.cancel(second))
    first.then.append(lambda: wheel.arm(second, 5.0))
    second.then.append(lambda: wheel.cancel(first))
    second.then.append(lambda: wheel.arm(first, 5.0))
    wheel.arm(first, 1.0)
    wheel.arm(second, 1.0)
    loop.advance(5.5)
    assert len(first.rang) + len(second.rang) == 1
    loop.advance(5.5)
    assert len(first.rang) + len(second.rang) == 2


def test_a_failing_timer_is_told_and_stops_no_other(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarms = [Alarm(loop) for _ in range(3)]
    for alarm in alarms:
        alarm.then.append(lambda: 1 / 0)
        wheel.arm(alarm, 1.0)
    late = Alarm(loop)
    wheel.arm(late, 2.0)
    loop.advance(10)
    assert [len(alarm.rang) for alarm in alarms] == [1, 1, 1]
    assert len(late.rang) == 1
    assert len(loop.failures) == 3
    assert isinstance(loop.failures[0]["exception"], ZeroDivisionError)


def test_closing_forgets_everything(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 1.0)
    wheel.close()
    assert alarm.tick == NEVER
    assert loop.scheduled == []
    loop.advance(10)
    assert alarm.rang == []
    # It can be used again.
    wheel.arm(alarm, 1.0)
    loop.advance(10)
    assert len(alarm.rang) == 1


def test_a_cancelled_timer_is_not_kept_alive(loop: FakeLoop, wheel: TimerWheel) -> None:
    alarm = Alarm(loop)
    wheel.arm(alarm, 25.0)
    wheel.cancel(alarm)
    gone = weakref.ref(alarm)
    del alarm
    assert gone() is None


def test_many_random_deadlines_all_come_on_time(loop: FakeLoop, wheel: TimerWheel) -> None:
    dice = random.Random(5)
    alarms = [Alarm(loop) for _ in range(200)]
    due: dict[Alarm, float | None] = {}
    for _ in range(5000):
        alarm = dice.choice(alarms)
        if dice.random() < 0.2:
            wheel.cancel(alarm)
            due[alarm] = None
        else:
            delay = dice.choice([0.0, 0.001, 0.5, 3.0, 25.0]) * dice.random()
            wheel.arm(alarm, delay)
            due[alarm] = loop.now - 1000.0 + delay
        alarm.rang.clear()
        if dice.random() < 0.05:
            loop.advance(dice.random())
            for one, when in due.items():
                if one.rang:
                    assert when is not None
                    assert one.rang == [near(when)]
                    due[one] = None
                    one.rang.clear()
    loop.advance(60)
    for one, when in due.items():
        assert one.rang == ([] if when is None else [near(when)])
    assert loop.scheduled == []
    assert loop.failures == []
