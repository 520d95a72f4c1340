"""Commands are carried out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nuncio.cli.happenings import Answer, Connected, Disconnected, NoAnswer, Sent
from nuncio.cli.problems import NotConnected, Problem, TimedOut, WrongUse
from tests.cli.fakes import Desk
from tests.support.aio import eventually, run_async, within


def prompt(*names: str, **options: Any) -> Desk:
    return Desk(*names, waiting=False, **options)


@run_async
async def test_an_event_is_sent() -> None:
    desk = Desk()
    await desk.console.line("message lobby {text: hi}")
    sent = desk.of(Sent)[0]
    assert (sent.namespace, sent.name, sent.args) == ("/", "message", ("lobby", {"text": "hi"}))
    assert desk.link.drains == 1


@run_async
async def test_nothing_is_done_for_a_comment() -> None:
    desk = Desk()
    await desk.console.line("# message")
    assert desk.happenings == []


@run_async
async def test_a_script_waits_for_an_acknowledgement() -> None:
    desk = Desk()
    task = asyncio.ensure_future(desk.console.line("ask join"))
    await eventually(lambda: desk.link.asked)
    assert not task.done()
    desk.link.asked[0][1].set_result((1,))
    await within(task)
    assert desk.of(Answer)[0].args == (1,)


@run_async
async def test_in_a_script_one_that_does_not_come_is_the_end() -> None:
    desk = Desk(timeout=0.01)
    with pytest.raises(TimedOut):
        await desk.console.line("ask join")


@run_async
async def test_at_the_prompt_nobody_waits() -> None:
    desk = prompt(timeout=0.01)
    await desk.console.line("join ?")
    assert len(desk.of(Sent)) == 1
    await eventually(lambda: desk.of(NoAnswer))
    # The happening has said it.
    assert not any("✖ no answer" in line for line in desk.errors)


@run_async
async def test_waiting_for_an_event_that_came_or_comes() -> None:
    desk = Desk("/", "/chat")
    desk.link.receive("message", {"room": "a", "text": "x"}, namespace="/chat")
    desk.link.receive("message", {"room": "b"})
    task = asyncio.ensure_future(desk.console.line("wait message={room: a}"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    desk.link.receive("message", {"room": "a"})
    await within(task)
    await within(desk.console.line("/chat wait message={text: x}"))
    await within(desk.console.line("wait message"))


@run_async
async def test_at_the_prompt_only_what_is_still_to_come_counts() -> None:
    desk = prompt()
    desk.link.receive("message")
    await desk.console.line("wait message")
    assert desk.errors[-1].endswith("waiting for message")
    desk.link.receive("message")
    await eventually(lambda: desk.errors[-1].endswith("message came"))


@run_async
async def test_what_goes_wrong_beside_the_prompt_is_told() -> None:
    desk = prompt(timeout=0.01)
    await desk.console.line("wait message")
    await eventually(lambda: "✖ message did not come within 10 ms" in desk.errors[-1])


@run_async
async def test_what_still_waits_ends_with_the_console() -> None:
    desk = prompt()
    await desk.console.line("join ?")
    await within(desk.console.close())
    assert desk.link.asked[0][1].cancelled()


@run_async
async def test_an_event_of_the_server_is_answered() -> None:
    desk = Desk()
    await desk.console.line("answer #3 yes")
    assert desk.link.answers == {3: ("yes",)}
    with pytest.raises(WrongUse):
        await desk.console.line("answer yes")


@run_async
async def test_choosing_a_namespace() -> None:
    desk = Desk("/", "/chat")
    await desk.console.line("/chat")
    await desk.console.line("a")
    await desk.console.line("/ b")
    await desk.console.line("c")
    assert [(event.namespace, event.name) for event in desk.of(Sent)] == [
        ("/chat", "a"),
        ("/", "b"),
        ("/chat", "c"),
    ]


@run_async
async def test_a_new_namespace_is_connected() -> None:
    desk = Desk()
    await desk.console.line("message")
    await desk.console.line("/new")
    assert desk.of(Connected)[0].namespace == "/new"
    await desk.console.line("message")
    # From now on each is named.
    assert [line.split()[2] for line in desk.lines] == ["message", "/new"]


@run_async
async def test_in_a_script_what_is_sent_waits_for_the_connection() -> None:
    desk = Desk(timeout=0.01)
    await desk.console.line("/new message")
    assert [type(happening) for happening in desk.happenings] == [Connected, Sent]
    desk.link.lose("/new", reconnecting=True)
    with pytest.raises(TimedOut, match="/new was not connected within 10 ms"):
        await desk.console.line("/new message")


@run_async
async def test_leaving_and_coming_back() -> None:
    desk = Desk()
    await desk.console.line("connect")
    assert desk.errors[-1].endswith("/ is connected")
    await desk.console.line("disconnect")
    assert desk.of(Disconnected)
    with pytest.raises(NotConnected):
        await desk.console.line("disconnect")
    await desk.console.line("connect")
    assert desk.of(Connected)


@run_async
async def test_other_credentials() -> None:
    desk = Desk()
    await desk.console.line("/admin auth token=secret")
    assert desk.link.auth == {"/admin": {"token": "secret"}}
    assert "connect tries again" in desk.errors[-1]
    await desk.console.line("auth {n: 1}")
    assert "next connection" in desk.errors[-1]


@run_async
async def test_what_is_sent_without_a_connection_says_that_it_waits() -> None:
    desk = prompt()
    desk.link.lose(reconnecting=True)
    await desk.console.line("message")
    assert any("waits for the connection" in line for line in desk.errors)


@run_async
async def test_a_mistyped_command_is_an_event_and_a_hint() -> None:
    desk = prompt()
    await desk.console.line("stauts")
    await desk.console.line("stauts")
    await desk.console.line("emit stauts")
    assert len(desk.of(Sent)) == 3
    hints = [line for line in desk.errors if "the command is called status" in line]
    assert len(hints) == 1


@run_async
async def test_filtering() -> None:
    desk = Desk()
    desk.link.receive("message")
    await desk.console.line("filter typ*")
    assert "no event so far does" in desk.errors[-1]
    desk.link.receive("message")
    desk.link.receive("typing")
    assert [line.split()[2] for line in desk.lines] == ["message", "typing"]
    await desk.console.line("filter")
    desk.link.receive("message")
    assert len(desk.lines) == 3


@run_async
async def test_showing_in_full() -> None:
    desk = Desk(columns=80)
    desk.link.receive("big", "x" * 1000, [1, 2])
    assert sum(line.count("x") for line in desk.lines) < 400
    desk.lines.clear()
    await desk.console.line("show")
    assert desk.lines == ["big", '"' + "x" * 1000 + '"', "[1, 2]"]
    with pytest.raises(WrongUse, match="no number 5"):
        await desk.console.line("show 5")


@run_async
async def test_saving(tmp_path: Path) -> None:
    desk, file = Desk(), tmp_path / "s.jsonl"
    await desk.console.line("save")
    assert "nothing was being saved" in desk.errors[-1]
    desk.link.receive("before")
    await desk.console.line(f"save '{file}'")
    assert desk.errors[-1].endswith("1 line so far")
    await desk.console.line("message")
    await desk.console.line("save")
    assert str(file) in desk.errors[-1]
    names = [json.loads(line)["name"] for line in file.read_text().splitlines()]
    assert names == ["before", "message"]


@run_async
async def test_status() -> None:
    desk = Desk("/", "/chat")
    desk.link.connected_to.discard("/chat")
    desk.link.receive("message")
    await desk.console.line("filter typing")
    desk.link.receive("message")
    await desk.console.line("status")
    assert [" ".join(line.split()) for line in desk.lines[1:]] == [
        "connection open, over websocket",
        "/ connected, id id",
        "/chat not connected",
        "latency 4.2 ms, the answer to x",
        "heartbeat 3 s ago",
        "events 2 came, 0 sent, 0 answered, 1 hidden by the filter",
        "filter typing",
    ]


@run_async
async def test_help() -> None:
    desk = Desk()
    await desk.console.line("help")
    overview = "\n".join(desk.lines)
    assert "replay FILE [OPTION…]" in overview
    assert all(len(line) <= 100 for line in desk.lines)
    desk.lines.clear()
    await desk.console.line("help wait")
    assert desk.lines[0].startswith("wait NAME")
    with pytest.raises(WrongUse) as caught:
        await desk.console.line("help repaly")
    assert caught.value.hints == ["did you mean 'replay'?"]


@run_async
async def test_quit() -> None:
    desk = Desk()
    await desk.console.line("quit")
    assert desk.console.ended


@run_async
async def test_wrong_lines_are_problems() -> None:
    with pytest.raises(Problem):
        await Desk().console.line("emit {")
