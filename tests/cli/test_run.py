"""The tool against a server: what scripts see of it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import click
import pytest

import nuncio
from nuncio.cli import problems
from tests.cli.server import io
from tests.cli.tool import Tool
from tests.support.aio import eventually, run_async, within
from tests.support.live import Home, listening
from tests.support.ports import free_port


@pytest.fixture
def tool(home: Home, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(capsys, f"http://127.0.0.1:{home.port}")


# What options say.


@run_async
async def test_steps_are_done_in_the_order_in_which_they_are_written(
    home: Home, tool: Tool
) -> None:
    done = await tool(
        "--ask", "echo {a: 1} @tests/cli/server.py", "--emit", "say hi", "--wait-for", "said=hi",
        "--ask", "echo", "--json",
    )  # fmt: skip
    assert done.status == problems.DONE, done.err
    assert [one["name"] for one in done.of("sent")] == ["echo", "say", "echo"]
    first, last = done.of("answer")
    assert first["args"][0] == {"a": 1}
    assert first["args"][1]["$bytes"]
    assert first["ask"] == 1
    assert first["seconds"] > 0
    assert (last["args"], last["ask"]) == ([], 2)
    assert [one["name"] for one in done.of("event")] == ["hello", "said"]
    assert done.happened[0] == {
        "type": "connecting",
        "time": done.happened[0]["time"],
        "url": f"http://127.0.0.1:{home.port}",
    }
    assert done.of("connect")[0]["id"] == done.of("event")[0]["args"][0]
    assert done.happened[-1]["reason"] == "io client disconnect"


@run_async
async def test_an_event_that_came_earlier_was_waited_for(home: Home, tool: Tool) -> None:
    done = await tool("--ask", "echo", "--wait-for", "hello", "--timeout", "5")
    assert done.status == problems.DONE, done.err


@run_async
async def test_what_does_not_come_in_time(home: Home, tool: Tool) -> None:
    done = await tool("--wait-for", "nothing", "--timeout", "0.3")
    assert done.status == problems.TIMED_OUT
    assert "nothing did not come within 300 ms" in done.err


@run_async
async def test_an_acknowledgement_that_does_not_come(home: Home, tool: Tool) -> None:
    done = await tool("--ask", "silent", "--emit", "say never", "--ack-timeout", "0.2", "--json")
    assert done.status == problems.TIMED_OUT
    assert done.of("no_answer")[0]["reason"] == "timeout"
    assert "--ack-timeout" in done.err
    # The first thing that fails is the end.
    assert [one["name"] for one in done.of("sent")] == ["silent"]


@run_async
async def test_counting_events(home: Home, tool: Tool) -> None:
    done = await tool("--emit", "flood 10", "--count", "5", "--filter", "flood*", "--json")
    assert done.status == problems.DONE
    assert len(done.of("event")) >= 5
    done = await tool("--count", "2", "--timeout", "0.2")
    assert done.status == problems.TIMED_OUT
    assert "1 event of 2 came" in done.err


@run_async
async def test_credentials_and_the_like_reach_the_server(home: Home, tool: Tool) -> None:
    done = await tool(
        "--auth", "{token: secret}", "--auth", "n:=1", "--header", "X-Test: yes", "--cookie",
        "a=b", "--query", "room=5", "--transport", "websocket", "--ask", "whoami", "--json",
    )  # fmt: skip
    assert done.of("answer")[0]["args"] == [
        {
            "auth": {"token": "secret", "n": 1},
            "header": "yes",
            "cookie": "a=b",
            "query": "5",
            "transport": "websocket",
        }
    ]
    assert done.of("connect")[0]["transport"] == "websocket"
    assert not done.of("upgrade")
    done = await tool("--transport", "polling", "--ask", "whoami", "--json", path="/?room=6")
    assert done.of("answer")[0]["args"][0]["query"] == "6"
    assert not done.of("upgrade")


@run_async
async def test_several_namespaces_share_a_connection(home: Home, tool: Tool) -> None:
    done = await tool(
        "-n", "/", "-n", "admin", "--auth", "token=secret", "--ask", "/admin stats", "--ask", "echo"
    )
    assert done.status == problems.DONE, done.err
    assert re.findall(r"↩ (/\w* \w+)", done.out) == ["/admin stats", "/ echo"]


@run_async
async def test_without_colours_and_not_shortened(home: Home, tool: Tool) -> None:
    done = await tool("--ask", f"echo {'x' * 5000}")
    assert done.out.count("x" * 5000) == 2
    assert "\x1b" not in done.out + done.err
    assert "connected to /" in done.err


@run_async
async def test_retries(home: Home, tool: Tool) -> None:
    done = await tool("--retries", "2", "--ack-timeout", "0.05", "--ask", "silent")
    assert done.status == problems.TIMED_OUT
    done = await tool("--retries", "2", "--ask", "echo 1")
    assert done.status == problems.DONE


@run_async
async def test_message_pack(tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    packing = nuncio.Server(parser=nuncio.MsgPackParser())
    date = '{"$date": "2026-01-31T12:00:00+00:00"}'
    packing.on("echo", lambda socket, *values: nuncio.Ack(*values))
    async with listening(packing) as port:
        packed = Tool(capsys, f"http://127.0.0.1:{port}")
        done = await packed("--parser", "msgpack", "--ask", f"echo {date}", "--json")
    assert done.of("answer")[0]["args"] == [json.loads(date)]


@run_async
async def test_another_parser_than_the_servers(home: Home, tool: Tool) -> None:
    for transport in ("polling", "websocket"):
        done = await tool("--parser", "msgpack", "--transport", transport)
        assert done.status == problems.NOT_CONNECTED
        assert "Try --parser json" in done.err


# What a connection can come to.


@run_async
async def test_a_server_that_is_not_there(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    done = await Tool(capsys, f"http://127.0.0.1:{port}")("--json")
    assert done.status == problems.NOT_CONNECTED
    failed = done.of("connect_error")[0]
    assert failed["message"] == f"nothing listens at 127.0.0.1, port {port}"
    assert (failed["refused"], failed["retrying"]) == (False, False)
    assert failed["hints"]


@run_async
async def test_a_server_that_comes_later(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    server, port = nuncio.Server(), free_port()
    late = Tool(capsys, f"http://127.0.0.1:{port}")
    running = asyncio.ensure_future(late("--keep-trying", "--json"))
    await eventually(lambda: late.journal.counts["connect_error"])
    async with await server.listen(port):
        done = await running
    assert done.status == problems.DONE
    assert done.of("connect_error")[0]["retrying"]
    assert done.of("reconnect_attempt")
    assert done.of("connect")


@run_async
async def test_a_refusal(home: Home, tool: Tool) -> None:
    done = await tool("--json", path="/admin")
    assert done.status == problems.NOT_CONNECTED
    failed = done.of("connect_error")[0]
    assert (failed["message"], failed["data"]) == ("who are you?", {"code": 401})
    assert failed["refused"]
    done = await tool(path="/nowhere")
    assert done.status == problems.NOT_CONNECTED
    assert "no namespace /nowhere" in done.err


@run_async
async def test_a_path_where_socket_io_is_not(home: Home, tool: Tool) -> None:
    done = await tool("--path", "/elsewhere")
    assert done.status == problems.NOT_CONNECTED
    assert "no Socket.IO under /elsewhere" in done.err


@run_async
async def test_https_where_there_is_none(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done = await Tool(capsys, f"https://127.0.0.1:{home.port}")()
    assert done.status == problems.NOT_CONNECTED
    assert f"Try http://127.0.0.1:{home.port}" in done.err


@run_async
async def test_a_proxy_that_is_not_there(home: Home, tool: Tool) -> None:
    port = free_port()
    done = await tool("--proxy", f"http://user:secret@127.0.0.1:{port}")
    assert done.status == problems.NOT_CONNECTED
    assert f"the proxy is not reached: 127.0.0.1, port {port}" in done.err
    assert "secret" not in done.err


@run_async
async def test_the_server_ends_the_connection(home: Home, tool: Tool) -> None:
    done = await tool("--emit", "kick", "--wait-for", "nothing")
    assert done.status == problems.NOT_CONNECTED
    assert "io server disconnect" in done.err


@run_async
async def test_a_lost_connection_comes_back(home: Home, tool: Tool) -> None:
    done = await tool("--emit", "drop", "--wait-for", "hello", "--wait-for", "hello", "--json")
    assert done.status == problems.DONE, done.err
    assert done.of("disconnect")[0]["reconnecting"]
    assert len(done.of("connect")) == 2


@run_async
async def test_or_not_where_that_is_not_wanted(home: Home, tool: Tool) -> None:
    done = await tool("--no-reconnect", "--emit", "drop", "--wait-for", "nothing", "--json")
    assert done.status == problems.NOT_CONNECTED
    assert not done.of("disconnect")[0]["reconnecting"]


# Lines of standard input.


@run_async
async def test_lines_are_commands(home: Home, tool: Tool) -> None:
    done = await tool(lines="# greet\n\nsay hi\nwait said=hi\necho 1 ?\nask_me 6\nwait question\n"
                            "answer 42\nwait thanks=42\nquit\nsay never\n")  # fmt: skip
    assert done.status == problems.DONE, done.err
    assert re.findall(r"[←→↩] (\w+)", done.out) == [
        *("hello", "say", "said", "echo", "echo", "ask_me", "question", "question", "thanks")
    ]


@run_async
async def test_a_wrong_line_ends_it(home: Home, tool: Tool) -> None:
    done = await tool(lines="say hi\nsay 'hi\nsay never\n")
    assert done.status == problems.WRONG_USE
    assert "line 2: this quote has no end" in done.err
    assert done.out.count("→") == 1


@run_async
async def test_a_line_that_times_out_ends_it(home: Home, tool: Tool) -> None:
    done = await tool("--timeout", "0.2", lines="wait nothing\nsay never\n")
    assert done.status == problems.TIMED_OUT


@run_async
async def test_a_question_that_was_not_asked(home: Home, tool: Tool) -> None:
    assert "asked nothing" in (await tool(lines="answer 1\n")).err
    done = await tool(lines="ask_me\nwait question\nanswer #7 1\n")
    assert done.status == problems.WRONG_USE
    assert "There is #1" in done.err


@run_async
async def test_what_is_sent_without_a_wait_arrives(home: Home, tool: Tool) -> None:
    arrived: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    io.of("/late").on("message", lambda socket, text: arrived.set_result(text))
    done = await tool("--transport", "polling", lines="/late message hello\n")
    assert done.status == problems.DONE, done.err
    assert await within(arrived) == "hello"


@run_async
async def test_nothing_is_sent_to_a_namespace_that_was_left(home: Home, tool: Tool) -> None:
    done = await tool(lines="/admin auth token=secret\n/admin\ndisconnect\nstats\n")
    assert done.status == problems.NOT_CONNECTED
    assert "line 4: /admin is not connected" in done.err


@run_async
async def test_what_cannot_be_sent(home: Home, tool: Tool) -> None:
    done = await tool(lines="emit disconnect now\n")
    assert done.status == problems.WRONG_USE
    assert "reserved" in done.err


@run_async
async def test_other_credentials_for_another_attempt(home: Home, tool: Tool) -> None:
    done = await tool(lines="/admin auth token=secret\n/admin stats ?\n")
    assert done.status == problems.DONE, done.err
    assert "clients" in done.out


@run_async
async def test_disconnecting_and_connecting(home: Home, tool: Tool) -> None:
    done = await tool("--json", lines="disconnect\nconnect\nwait hello\nwait hello\nstatus\n")
    assert done.status == problems.DONE, done.err
    assert len([line for line in done.out.splitlines() if '"type":"connect"' in line]) == 2


# Recordings.


@run_async
async def test_a_session_is_saved_and_replayed(home: Home, tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    done = await tool(
        "--save", str(file), "--ask", "echo 1", "--emit", "say hi", "--wait-for", "said"
    )
    assert done.status == problems.DONE, done.err
    again = ("--replay", str(file), "--speed", "1000", "--compare")
    done = await tool(*again, "--json")
    assert done.status == problems.DIFFERENT
    assert [one["expected"][0] for one in done.of("difference")] == ["hello"]
    done = await tool(*again, "--ignore", "hello", "--json")
    assert done.status == problems.DONE, done.err
    assert (done.of("replayed")[0]["sent"], done.of("replayed")[0]["same"]) == (2, 2)


@run_async
async def test_a_recording_that_is_none(home: Home, tool: Tool, tmp_path: Path) -> None:
    done = await tool("--replay", str(tmp_path / "nothing"))
    assert done.status == problems.WRONG_USE
    done = await tool("--save", str(tmp_path / "no" / "file"))
    assert done.status == problems.WRONG_USE


# Wrong use.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--emit", "a 'b"], "--emit': this quote has no end"),
        (["--wait-for", "a b"], "--wait-for': expected ="),
        (["--auth", "x"], "--auth'"),
        (["--header", "x"], "'Name: value'"),
        (["--cookie", "x"], "name=value"),
        (["--query", "x"], "name=value"),
        (["--timeout", "-1"], "number of seconds"),
        (["--timeout", "nan"], "number of seconds"),
        (["--count", "0"], "at least 1"),
        (["--retries", "-1"], "at least 0"),
        (["--speed", "0"], "above 0"),
        (["--parser", "xml"], "json"),
        (["--emti", "x"], "--emit"),
        (["--ca", "/no/such/file"], "does not exist"),
    ],
)
@run_async
async def test_wrong_options(home: Home, tool: Tool, arguments: list[str], words: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        await tool(*arguments)
    assert words in caught.value.format_message()


@run_async
async def test_wrong_options_that_the_client_knows(home: Home, tool: Tool) -> None:
    done = await tool("--transport", "websockets")
    assert done.status == problems.WRONG_USE
    assert "did you mean 'websocket'?" in done.err
