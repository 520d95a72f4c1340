from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio import ClientLimits
from nuncio.client.dial import Dial
from nuncio.client.http import closed
from nuncio.client.options import ManagerOptions
from nuncio.client.polling import ClientPolling
from nuncio.client.tools import tools
from nuncio.client.upload import fitting
from nuncio.client.url import parse
from nuncio.engine.transport import PacketSink, Transport
from nuncio.errors import TransportError
from nuncio.protocol.engineio import Message
from tests.support.aio import eventually, run_async, within
from tests.support.lines import turns
from tests.support.polls import Poll, PollServer

OPEN = '0{"sid":"a"}'


class Heard(PacketSink):
    """Takes what the transport tells, as a session does."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[str] = []
        self.ends: list[tuple[str, str]] = []
        self.drains = 0
        self.pause_at: str | None = None

    def text(self, transport: Transport, data: bytes) -> None:
        self.packets.append(data.decode())
        if data.decode() == self.pause_at:
            transport.pause_reading()

    def binary(self, transport: Transport, data: bytes) -> None:
        raise AssertionError("long-polling has text only")

    def drained(self, transport: Transport) -> None:
        self.drains += 1

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        self.ends.append((reason, description))


class Scene:
    """A long-polling transport whose session is the test."""

    def __init__(self, server: PollServer, **options: Any) -> None:
        self.server = server
        self.options = ManagerOptions(**options)
        self.dial = Dial(parse(server.url), self.options, tools(), None)
        self.heard = Heard()

    async def open(self, first: str = OPEN) -> ClientPolling:
        """Connect."""
        await self.dial.prepare()
        self.polling = ClientPolling(self.dial)
        opening = asyncio.ensure_future(self.polling.first())
        (await self.server.get()).reply(first)
        await within(opening)
        self.dial.sid = "a"
        self.polling.sink = self.heard
        return self.polling

    async def begin(self, first: str = OPEN) -> Poll:
        """Connect and read; returns the GET that waits then."""
        (await self.open(first)).resume_reading()
        return await self.server.get()

    def send(self, *texts: str) -> None:
        for text in texts:
            self.polling.send(Message(b"4" + text.encode()))

    def ended(self) -> bool:
        return bool(self.heard.ends)

    async def close(self) -> None:
        if hasattr(self, "polling"):
            self.polling.abort()
        self.dial.done()
        await closed(self.dial.tools)


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    async with PollServer() as server:
        made = Scene(server, **options)
        try:
            yield made
        finally:
            await made.close()


# Receiving.


@run_async
async def test_the_first_answer_waits_until_somebody_reads() -> None:
    async with scene() as there:
        polling = await there.open(OPEN + "\x1e4early")
        await turns(10)
        assert there.heard.packets == []
        assert there.server.nothing_else()
        polling.resume_reading()
        get = await there.server.get()
        assert there.heard.packets == [OPEN, "4early"]
        assert get.request.query["sid"] == "a"
        assert get.request.query["transport"] == "polling"
        assert get.request.query["EIO"] == "4"
        assert get.request.query["t"]


@run_async
async def test_there_is_one_get_after_the_other() -> None:
    async with scene() as there:
        get = await there.begin()
        for index in range(3):
            await turns(10)
            assert there.server.nothing_else()
            get.reply(f"4{index}\x1e6")
            get = await there.server.get()
        assert there.heard.packets == [OPEN, "40", "6", "41", "6", "42", "6"]
        assert (get.request.method, get.request.headers["accept"]) == ("GET", "*/*")


@run_async
async def test_answers_may_come_in_pieces_and_compressed() -> None:
    async with scene() as there:
        get = await there.begin()
        body = "4ü€".encode()
        get.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            get.raw(b"1\r\n" + bytes([byte]) + b"\r\n")
            await turns()
        get.raw(b"0\r\n\r\n")
        get.done()
        await eventually(lambda: "4ü€" in there.heard.packets)
        get = await there.server.get()
        get.reply(gzip.compress(b"4zipped"), headers={"Content-Encoding": "gzip"})
        await eventually(lambda: "4zipped" in there.heard.packets)


@run_async
async def test_reading_that_is_paused_keeps_the_rest_and_asks_for_no_more() -> None:
    async with scene() as there:
        get = await there.begin()
        there.heard.pause_at = "4b"
        get.reply("4a\x1e4b\x1e4c\x1e4d")
        await eventually(lambda: "4b" in there.heard.packets)
        await turns(10)
        assert there.heard.packets == [OPEN, "4a", "4b"]
        assert there.server.nothing_else()
        there.polling.resume_reading()
        there.polling.pause_reading()
        there.polling.resume_reading()
        await there.server.get()
        assert there.heard.packets == [OPEN, "4a", "4b", "4c", "4d"]
        await turns(10)
        assert there.server.nothing_else()


@run_async
async def test_pausing_while_a_get_waits_keeps_its_answer() -> None:
    async with scene() as there:
        get = await there.begin()
        there.polling.pause_reading()
        get.reply("4a")
        await asyncio.sleep(0.02)
        assert there.heard.packets == [OPEN]
        assert there.server.nothing_else()
        there.polling.resume_reading()
        await there.server.get()
        assert there.heard.packets == [OPEN, "4a"]


@run_async
async def test_a_sink_that_goes_away_meanwhile_gets_no_more() -> None:
    async with scene() as there:
        polling = await there.open("4a\x1e4b")

        class Once(Heard):
            def text(self, transport: Transport, data: bytes) -> None:
                super().text(transport, data)
                transport.abort()

        once = Once()
        polling.sink = once
        polling.resume_reading()
        await turns(10)
        assert once.packets == ["4a"]
        assert there.server.nothing_else()


# What goes wrong with a GET.


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, '{"code":1,"message":"Session ID unknown"}', "Session ID unknown"),
        (404, "nothing here", "nothing here; is Socket.IO served there?"),
        (404, "<html>", "is Socket.IO served there?"),
        (500, "", "answered with status 500"),
        (204, "", "answered with status 204"),
        (503, "x" * 100_000, "x" * 500),
    ],
)
@run_async
async def test_an_answer_that_is_an_error(status: int, body: str, words: str) -> None:
    async with scene() as there:
        get = await there.begin()
        get.reply(body, status)
        await eventually(lambda: there.heard.ends)
        ((reason, description),) = there.heard.ends
        assert reason == "transport error"
        assert f"status {status}" in description
        assert words in description
        assert len(description) < 700
        await turns(10)
        assert there.server.nothing_else()


@run_async
async def test_an_endless_answer_with_an_error_is_not_read() -> None:
    async with scene() as there:
        get = await there.begin()
        get.raw(b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        await eventually(lambda: there.heard.ends)
        await eventually(lambda: get.gone)


@run_async
async def test_a_connection_that_is_cut() -> None:
    async with scene() as there:
        get = await there.begin()
        get.cut()
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends[0][0] == "transport error"
        assert "ended the connection without an answer" in there.heard.ends[0][1]
        # Whether the server had taken it is not known, so it is not repeated.
        await turns(10)
        assert there.server.nothing_else()


@run_async
async def test_an_answer_that_is_cut() -> None:
    async with scene() as there:
        get = await there.begin()
        get.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n4a")
        get.cut()
        await eventually(lambda: there.heard.ends)
        assert "the answer was cut" in there.heard.ends[0][1]
        assert there.heard.packets == [OPEN]


@pytest.mark.parametrize(
    "answer",
    [
        b"this is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nwrong",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://nowhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
    ],
)
@run_async
async def test_answers_that_are_no_http(answer: bytes) -> None:
    async with scene() as there:
        get = await there.begin()
        get.raw(answer)
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends[0][0] == "transport error"


@pytest.mark.parametrize("body", [b"4\xff", b"\x80"])
@run_async
async def test_answers_that_are_no_text(body: bytes) -> None:
    async with scene() as there:
        get = await there.begin()
        get.reply(body)
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends == [("transport error", "polling: the answer is no payload")]


@run_async
async def test_answers_have_a_greatest_size_also_when_they_are_inflated() -> None:
    for body, headers in (
        (b"4" + b"x" * 2000, {}),
        (gzip.compress(b"4" + b"x" * 1_000_000), {"Content-Encoding": "gzip"}),
    ):
        async with scene(limits=ClientLimits(message_bytes=1000)) as there:
            get = await there.begin()
            get.reply(body, headers=headers)
            await eventually(there.ended)
            assert "ClientLimits(message_bytes=1000)" in there.heard.ends[0][1]
    async with scene(limits=ClientLimits(message_bytes=1000)) as there:
        get = await there.begin()
        get.reply("4" + "x" * 999)
        await there.server.get()
        assert len(there.heard.packets[-1]) == 1000


@run_async
async def test_a_request_may_have_a_time_out() -> None:
    async with scene(request_timeout=0.05) as there:
        get = await there.begin()
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends == [("transport error", "polling: no answer within 0.05 seconds")]
        await there.server.left(get)
    async with scene(request_timeout=0.05) as there:
        get = await there.begin()
        # Also when the answer has begun.
        get.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n4a")
        await eventually(lambda: there.heard.ends)
        assert "no answer within" in there.heard.ends[0][1]


@run_async
async def test_an_error_that_nobody_expected_ends_it_like_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scene() as there:
        get = await there.begin()

        def broken(transport: str, scheme: str = "http") -> str:
            raise KeyError("mine")

        there.dial.url = broken  # type: ignore[method-assign]
        get.reply("4a")
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends[0][0] == "transport error"
        assert "KeyError" in there.heard.ends[0][1]
    assert [one.levelno for one in caplog.records if one.name == "nuncio.client"] == [logging.ERROR]


# Sending.


@run_async
async def test_what_is_sent_in_one_turn_leaves_in_one_post() -> None:
    async with scene() as there:
        await there.begin()
        there.send("a", "ü")
        there.polling.send(Message(None, [b"\x01\x02\x03"]))
        post = await there.server.post()
        assert post.packets == ["4a", "4ü", "bAQID"]
        assert post.request.headers["content-type"] == "text/plain;charset=UTF-8"
        assert post.request.headers["accept"] == "*/*"
        assert post.request.query["sid"] == "a"
        post.ok()
        await eventually(lambda: there.heard.drains == 1)


@run_async
async def test_there_is_one_post_at_a_time_and_it_is_behind_meanwhile() -> None:
    async with scene() as there:
        await there.begin()
        there.send("a")
        assert there.polling.writable
        post = await there.server.post()
        assert not there.polling.writable
        there.send("b")
        there.send("c")
        await turns(10)
        assert there.server.nothing_else()
        post.ok()
        post = await there.server.post()
        assert post.packets == ["4b", "4c"]
        assert there.heard.drains == 0
        post.ok()
        await eventually(lambda: there.heard.drains == 1)
        assert there.polling.writable


@run_async
async def test_what_it_takes_in_one_turn_has_a_limit() -> None:
    """What is beyond it waits in the session, whose buffer is bounded."""
    async with scene(limits=ClientLimits(high_water_bytes=1000)) as there:
        await there.begin()
        for _ in range(9):
            there.send("x" * 99)
        assert there.polling.writable
        there.send("x" * 99)
        assert not there.polling.writable
        post = await there.server.post()
        assert len(post.packets) == 10
        post.ok()
        await eventually(lambda: there.polling.writable)
        assert there.heard.drains == 1
        # And again.
        there.send("x" * 1000)
        assert not there.polling.writable


@run_async
async def test_posts_are_no_larger_than_the_server_takes() -> None:
    """The example of the reference: 31, 95, 63, 61 and 41 bytes of 100."""
    async with scene() as there:
        await there.begin()
        there.dial.max_payload = 100
        there.send("x" * 30)
        post = await there.server.post()
        for _ in range(5):
            there.send("x" * 30)
        there.send("€" * 20)
        there.polling.send(Message(None, [b"x" * 30]))
        sizes = [len(post.request.body)]
        for _ in range(4):
            post.ok()
            post = await there.server.post()
            sizes.append(len(post.request.body))
        assert sizes == [31, 95, 63, 61, 41]
        post.ok()


@run_async
async def test_attachments_count_for_themselves() -> None:
    """An event and its attachments are packets, which need not be in one body."""
    async with scene() as there:
        await there.begin()
        there.dial.max_payload = 100
        there.polling.send(Message(b'453-["e"]', [b"a" * 60, b"b" * 60, b"c"]))
        there.send("behind")
        bodies = []
        for _ in range(2):
            post = await there.server.post()
            bodies.append([packet[:3] for packet in post.packets])
            assert len(post.request.body) <= 100
            post.ok()
        assert bodies == [["453", "bYW"], ["bYm", "bYw", "4be"]]


@run_async
async def test_a_packet_that_is_too_large_is_sent_all_the_same() -> None:
    async with scene() as there:
        await there.begin()
        there.dial.max_payload = 10
        there.send("a", "x" * 100, "b")
        for packets in (["4a"], ["4" + "x" * 100], ["4b"]):
            post = await there.server.post()
            assert post.packets == packets
            post.ok()


def test_how_many_packets_fit() -> None:
    assert fitting([b"x" * 10] * 3, 0) == 3
    assert fitting([b"x" * 10] * 3, 32) == 3
    assert fitting([b"x" * 10] * 3, 31) == 2
    assert fitting([b"x" * 10] * 3, 5) == 1
    assert fitting([], 5) == 0


@pytest.mark.parametrize("status", [400, 413, 302])
@run_async
async def test_a_post_that_is_refused_ends_it(status: int) -> None:
    async with scene() as there:
        get = await there.begin()
        there.send("a")
        (await there.server.post()).reply("too much", status, {"Location": "/elsewhere"})
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends[0][0] == "transport error"
        assert f"status {status}" in there.heard.ends[0][1]
        await there.server.left(get)


@run_async
async def test_a_post_that_is_cut_ends_it() -> None:
    async with scene() as there:
        get = await there.begin()
        there.send("a")
        (await there.server.post()).cut()
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends[0][0] == "transport error"
        await there.server.left(get)
        there.send("late")
        await turns(10)
        assert there.server.nothing_else()


# Leaving it for another transport.


@run_async
async def test_leaving_waits_for_what_is_under_way_and_begins_nothing_more() -> None:
    async with scene() as there:
        get = await there.begin()
        there.send("a")
        post = await there.server.post()
        there.send("b")
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns(10)
        there.send("c")
        post.ok()
        await turns(10)
        assert not leaving.done()
        get.reply("4last\x1e6")
        unsent = await within(leaving)
        assert [message.payload() for message in unsent] == [b"4b", b"4c"]
        assert there.heard.packets[-2:] == ["4last", "6"]
        await turns(10)
        assert there.server.nothing_else()
        there.polling.abort()


@run_async
async def test_what_is_not_sent_when_it_leaves_is_handed_over_packet_by_packet() -> None:
    async with scene() as there:
        get = await there.begin()
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns()
        there.polling.send(Message(b"451-", [b"x"]))
        await turns()
        get.noop()
        assert [one.payload() for one in await within(leaving)] == [b"451-", b"beA=="]
        assert there.server.nothing_else()


@run_async
async def test_leaving_hands_over_what_has_arrived_also_where_reading_is_paused() -> None:
    """Who is behind may be waiting for what is sent when the move is done."""
    async with scene() as there:
        get = await there.begin()
        there.polling.pause_reading()
        leaving = asyncio.ensure_future(there.polling.leave())
        there.heard.pause_at = "4b"
        get.reply("4a\x1e4b\x1e4c")
        assert await within(leaving) == []
        assert there.heard.packets == [OPEN, "4a", "4b", "4c"]
        # It is still paused, if it has to go on after all.
        there.polling.come_back([])
        await turns(10)
        assert there.server.nothing_else()
        there.polling.resume_reading()
        await there.server.get()


@run_async
async def test_handlers_that_wait_for_room_do_not_stop_a_move() -> None:
    """What they emit waits for the move, and the move for what has arrived."""
    async with PollServer() as server:
        manager = nuncio.Manager(
            server.url, concurrency=1, limits=ClientLimits(queued_events=2), reconnection=False
        )
        socket = manager.socket("/")
        done: list[int] = []

        @socket.on("e")
        async def handle(value: int) -> None:
            await socket.emit("answer", value)
            done.append(value)

        (await server.get()).reply('0{"sid":"a","upgrades":["websocket"],"pingInterval":25000}')
        requests = [await server.get(), await server.get()]
        (upgrade,) = [one for one in requests if "upgrade" in one.request.headers]
        (get,) = [one for one in requests if one is not upgrade]
        (await server.post()).ok()
        get.reply('40{"sid":"b"}')
        get = await server.get()
        await within(socket.wait_connected())
        wire = upgrade.wire
        wire.upgrade(upgrade.request)
        assert (await within(wire.receive())).data == b"2probe"
        moving = asyncio.Event()
        assert manager.engine is not None
        manager.engine.on("upgrading", moving.set)
        wire.frame("3probe")
        await within(moving.wait())
        get.reply("\x1e".join(f'42["e",{value}]' for value in range(8)))
        sent = [(await within(wire.receive())).data for _ in range(9)]
        assert sent == [b"5", *(b'42["answer",%d]' % value for value in range(8))]
        await eventually(lambda: len(done) == 8)
        manager.disconnect()
        upgrade.cut()
        await within(manager.wait_closed())


@run_async
async def test_the_end_lets_whoever_leaves_go() -> None:
    async with scene() as there:
        await there.begin()
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns()
        there.polling.abort()
        assert await within(leaving) == []


@run_async
async def test_whoever_stops_leaving_does_no_harm() -> None:
    async with scene() as there:
        get = await there.begin()
        there.polling.pause_reading()
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        get.reply("4a")
        there.polling.resume_reading()
        await eventually(lambda: there.heard.packets == [OPEN, "4a"])


@run_async
async def test_coming_back_goes_on_as_before() -> None:
    async with scene() as there:
        get = await there.begin()
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns()
        there.polling.send(Message(b"451-", [b"x"]))
        get.noop()
        there.polling.come_back(await within(leaving))
        get = await there.server.get()
        post = await there.server.post()
        assert post.packets == ["451-", "beA=="]
        post.ok()
        await eventually(lambda: there.heard.drains == 1)
        there.send("more")
        assert (await there.server.post()).packets == ["4more"]


# Ending.


@run_async
async def test_the_goodbye_is_a_post_of_its_own_behind_what_was_sent() -> None:
    async with scene() as there:
        get = await there.begin()
        there.send("a")
        there.polling.close()
        there.polling.close()
        there.send("late")
        post = await there.server.post()
        assert post.packets == ["4a"]
        # The GET is not cut: a server would end the session, and drop what is being posted.
        await turns(10)
        assert not get.gone
        post.ok()
        post = await there.server.post()
        assert post.packets == ["1"]
        assert not get.gone
        assert there.heard.ends == []
        get.noop()
        post.ok()
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends == [("transport close", "")]
        assert there.server.nothing_else()


@run_async
async def test_whatever_becomes_of_the_get_meanwhile_does_not_matter() -> None:
    for becomes in ("error", "cut", "answer"):
        async with scene() as there:
            get = await there.begin()
            there.send("a")
            there.polling.close()
            post = await there.server.post()
            if becomes == "error":
                get.reply("", 400)
            elif becomes == "cut":
                get.cut()
            else:
                get.reply("4late")
            await asyncio.sleep(0.02)
            post.ok()
            post = await there.server.post()
            assert post.packets == ["1"]
            post.ok()
            await eventually(there.ended)
            assert there.heard.ends == [("transport close", "")]
            assert there.server.nothing_else()


@run_async
async def test_closing_while_a_post_is_under_way_waits_for_it() -> None:
    async with scene() as there:
        await there.begin()
        there.send("a")
        post = await there.server.post()
        there.send("b")
        there.polling.close()
        await turns(10)
        assert there.server.nothing_else()
        post.ok()
        for packets in (["4b"], ["1"]):
            post = await there.server.post()
            assert post.packets == packets
            post.ok()
        await eventually(lambda: there.heard.ends)


@run_async
async def test_a_goodbye_that_fails_is_an_end_like_another() -> None:
    async with scene() as there:
        get = await there.begin()
        there.polling.close()
        (await there.server.post()).reply("", 400)
        await eventually(lambda: there.heard.ends)
        assert there.heard.ends == [("transport close", "")]
        await there.server.left(get)


@run_async
async def test_closing_while_it_is_left() -> None:
    async with scene() as there:
        get = await there.begin()
        leaving = asyncio.ensure_future(there.polling.leave())
        await turns()
        there.polling.close()
        leaving.cancel()
        get.noop()
        post = await there.server.post()
        assert post.packets == ["1"]
        post.ok()
        await eventually(lambda: there.heard.ends)


@run_async
async def test_cutting_it_off_ends_everything_at_once() -> None:
    async with scene() as there:
        get = await there.begin()
        there.send("a")
        post = await there.server.post()
        there.polling.discard()
        await there.server.left(get)
        await there.server.left(post)
        assert there.heard.ends == []
        there.send("late")
        there.polling.close()
        there.polling.resume_reading()
        await turns(10)
        assert there.server.nothing_else()


# The first answer.


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"body": "", "status": 404}, "its path is the option path"),
        ({"body": b"\xff"}, "the answer is no payload"),
    ],
)
@run_async
async def test_a_first_answer_that_is_none(reply: dict[str, Any], words: str) -> None:
    async with PollServer() as server:
        there = Scene(server)
        await there.dial.prepare()
        polling = ClientPolling(there.dial)
        opening = asyncio.ensure_future(within(polling.first()))
        (await server.get()).reply(**reply)
        with pytest.raises(TransportError) as caught:
            await opening
        assert words.lower() in str(caught.value).lower()
        assert caught.value.transport == "polling"
        await there.close()
