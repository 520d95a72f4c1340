"""Whoever waits gets what came before, too, but each event once."""

from __future__ import annotations

import asyncio

import pytest

from nuncio.cli import inbox as module
from nuncio.cli.happenings import Received, Sent
from nuncio.cli.inbox import Inbox
from nuncio.cli.problems import TimedOut
from tests.support.aio import run_async


def event(name: str) -> Received:
    return Received("/", name, ())


async def wait(inbox: Inbox, name: str, timeout: float | None = None) -> Received:
    return await inbox.next(lambda event: event.name == name, name, timeout)


@run_async
async def test_what_came_before_counts() -> None:
    inbox, first, second = Inbox(), event("a"), event("a")
    for happening in (event("b"), first, second):
        inbox(happening)
    assert await wait(inbox, "a") is first
    assert await wait(inbox, "a") is second
    assert [kept.name for kept in inbox.take()] == ["b"]
    assert inbox.take() == []


@run_async
async def test_what_comes_goes_to_who_waited_first() -> None:
    inbox = Inbox()
    waiting = [asyncio.ensure_future(wait(inbox, "a")) for _ in range(2)]
    await asyncio.sleep(0)
    events = [event("a"), event("a"), event("a")]
    for happening in events:
        inbox(happening)
    assert await asyncio.gather(*waiting) == events[:2]
    assert inbox.take() == events[2:]


@run_async
async def test_only_events_that_came_count() -> None:
    inbox = Inbox()
    inbox(Sent("/", "a", ()))
    assert inbox.take() == []


@run_async
async def test_what_does_not_come_in_time_is_told() -> None:
    inbox = Inbox()
    with pytest.raises(TimedOut, match="a did not come within 10 ms"):
        await wait(inbox, "a", 0.01)
    # Nobody waits any longer.
    inbox(event("a"))
    assert len(inbox.take()) == 1


@run_async
async def test_the_oldest_are_forgotten() -> None:
    inbox = Inbox()
    for number in range(module.KEPT + 1):
        inbox(event(str(number)))
    kept = inbox.take()
    assert len(kept) == module.KEPT
    assert kept[0].name == "1"
