"""Recordings are sent again, and what comes is compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nuncio.cli.commands import Replay
from nuncio.cli.happenings import (
    Answer,
    Answered,
    Difference,
    Happening,
    Received,
    Replayed,
    Sent,
)
from nuncio.cli.problems import Different, WrongUse
from tests.cli.fakes import Desk
from tests.support.aio import eventually, run_async, within


def record(path: Path, *happenings: Happening) -> str:
    path.write_text("".join(happening.as_line() + "\n" for happening in happenings))
    return str(path)


def replaying(desk: Desk, file: str, **options: object) -> asyncio.Task[None]:
    command = Replay(file, speed=1000.0, **options)  # type: ignore[arg-type]
    return asyncio.ensure_future(desk.console.run(command))


@run_async
async def test_what_was_sent_is_sent_again_in_order(tmp_path: Path) -> None:
    desk = Desk("/", "/chat")
    file = record(
        tmp_path / "s",
        Sent("/", "a", (1, b"x"), at=1.0),
        Sent("/chat", "b", (), 5, at=2.0),
        Received("/", "noise", (), at=2.5),
        Sent("/", "c", (), at=3.0),
    )
    task = replaying(desk, file)
    await eventually(lambda: desk.link.asked)
    await eventually(lambda: len(desk.of(Sent)) == 3)
    desk.link.asked[0][1].set_result(("yes",))
    await eventually(lambda: desk.of(Answer))
    desk.link.receive("noise")
    await within(task)
    sent = [(event.namespace, event.name, event.args) for event in desk.of(Sent)]
    assert sent == [("/", "a", (1, b"x")), ("/chat", "b", ()), ("/", "c", ())]
    assert desk.of(Replayed)[0].sent == 3
    assert desk.of(Replayed)[0].same is None


@run_async
async def test_pauses_are_those_of_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def instead(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("nuncio.cli.replay.asyncio.sleep", instead)
    file = record(tmp_path / "s", Sent("/", "a", (), at=100.0), Sent("/", "b", (), at=200.0))
    await within(Desk().console.run(Replay(file, speed=2.0)))
    assert [round(pause) for pause in pauses] == [0, 50]


@run_async
async def test_the_same_again_is_fine(tmp_path: Path) -> None:
    desk = Desk()
    file = record(
        tmp_path / "s",
        Received("/", "hello", ("x",), at=1.0),
        Sent("/", "a", (), 1, at=2.0),
        Answer("/", "a", ({"id": 7, "ok": True},), 1, 0.1, at=3.0),
        Received("/", "b", ({"id": 8},), at=4.0),
    )
    # What came when the connection began is compared, too.
    desk.link.receive("hello", "x")
    task = replaying(desk, file, compare=True, ignore=("id",))
    await eventually(lambda: desk.link.asked)
    desk.link.asked[0][1].set_result(({"id": 1, "ok": True},))
    desk.link.receive("b", {"id": 2})
    await within(task)
    assert not desk.of(Difference)
    assert (desk.of(Replayed)[0].same, desk.of(Replayed)[0].different) == (3, 0)


@run_async
async def test_what_is_different_is_told(tmp_path: Path) -> None:
    desk = Desk(timeout=0.05)
    file = record(
        tmp_path / "s",
        Sent("/", "a", (), 1, at=1.0),
        Answer("/", "a", (1,), 1, 0.1, at=1.0),
        Received("/", "same", (), at=1.0),
        Received("/", "changed", (1,), at=1.0),
        Received("/", "missing", (), at=1.0),
        Received("/", "ignored", (1,), at=1.0),
    )
    task = replaying(desk, file, compare=True, ignore=("ignored",))
    await eventually(lambda: desk.link.asked)
    desk.link.asked[0][1].set_result((2,))
    desk.link.receive("same")
    desk.link.receive("changed", 2)
    with pytest.raises(Different):
        await within(task)
    assert [(one.expected, one.got) for one in desk.of(Difference)] == [
        (["changed", 1], ["changed", 2]),
        (["missing"], None),
        (["a", 1], ["a", 2]),
    ]
    assert (desk.of(Replayed)[0].same, desk.of(Replayed)[0].different) == (1, 3)


@run_async
async def test_one_that_is_missing_makes_no_others_differ(tmp_path: Path) -> None:
    desk = Desk(timeout=0.05)
    events = [Received("/", name, (), at=1.0) for name in "pqrs"]
    file = record(tmp_path / "s", Sent("/", "a", (), at=0.5), *events)
    task = replaying(desk, file, compare=True)
    await eventually(lambda: desk.of(Sent))
    for name in "prs":
        desk.link.receive(name)
    with pytest.raises(Different):
        await within(task)
    assert [(one.expected, one.got) for one in desk.of(Difference)] == [(["q"], None)]


@run_async
async def test_an_answer_that_does_not_come_is_a_difference(tmp_path: Path) -> None:
    desk = Desk(timeout=0.05)
    file = record(
        tmp_path / "s",
        Sent("/", "a", (), 1, at=1.0),
        Answer("/", "a", (), 1, 0.1, at=1.0),
    )
    with pytest.raises(Different):
        await within(replaying(desk, file, compare=True))
    assert [(one.expected, one.got) for one in desk.of(Difference)] == [(["a"], None)]


@run_async
async def test_at_the_prompt_what_came_with_the_connection_is_not_expected(tmp_path: Path) -> None:
    desk = Desk(waiting=False)
    file = record(
        tmp_path / "s",
        Received("/", "hello", (), at=1.0),
        Sent("/", "a", (), at=2.0),
        Received("/", "b", (), at=3.0),
    )
    desk.link.receive("hello")
    desk.link.receive("other")
    await replaying(desk, file, compare=True)
    await eventually(lambda: desk.of(Sent))
    desk.link.receive("b")
    await eventually(lambda: desk.of(Replayed))
    assert (desk.of(Replayed)[0].same, desk.of(Replayed)[0].different) == (1, 0)


@run_async
async def test_questions_are_answered_as_they_were(tmp_path: Path) -> None:
    desk = Desk()
    file = record(
        tmp_path / "s",
        Sent("/", "a", (), at=1.0),
        Received("/", "question", (), 4, at=2.0),
        Answered("/", "question", ("yes", 1), 4, at=3.0),
    )
    task = replaying(desk, file)
    await eventually(lambda: desk.of(Sent))
    desk.link.receive("question", question=9)
    await within(task)
    assert desk.link.answers == {9: ("yes", 1)}


@run_async
async def test_what_cannot_be_replayed_says_why(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot read"):
        await replaying(Desk(), str(tmp_path / "nothing"))
