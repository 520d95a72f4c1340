"""The user of a socket, the end of its time, and what the client is told of an end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from nuncio import ConnectError, DisconnectReason, OptionError, Server, Socket
from nuncio.engine.wheel import NEVER
from tests.support.aio import eventually, run_async
from tests.support.clock import FakeLoop, stopped
from tests.support.memory import Client


class Ends:
    """A server whose clock the test moves, and how its sockets ended."""

    def __init__(self) -> None:
        self.io: Server[Any, Any] = Server()
        self.clock: FakeLoop = stopped(self.io)
        self.reasons: list[tuple[str, str]] = []
        self.io.on("disconnecting", lambda socket, why: self.reasons.append(("leaving", why)))
        self.io.on("disconnect", lambda socket, why: self.reasons.append(("left", why)))


def events(client: Client) -> list[Any]:
    """What the client has received since the last time: events as lists, other packets as text."""
    received = [str(packet) for packet in client.take()]
    return [json.loads(one[1:]) if one.startswith("2[") else one for one in received]


# The user.


@run_async
async def test_the_user_is_none_until_set_and_stays_known_after_the_end() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    assert socket.user is None
    socket.user = {"name": "ada"}
    assert socket.user == {"name": "ada"}
    assert Client.join(io).socket.user is None
    users: list[Any] = []
    socket.on("disconnect", lambda: users.append(socket.user))
    client.lose()
    assert users == [{"name": "ada"}]
    assert socket.user == {"name": "ada"}


@run_async
async def test_a_middleware_may_set_the_user() -> None:
    io = Server()

    @io.use
    def who(socket: Socket) -> None:
        socket.user = socket.handshake.auth["name"]

    assert Client.join(io, auth={"name": "ada"}).socket.user == "ada"


# The data.


class Data:
    def __init__(self) -> None:
        self.name = "nobody"


@run_async
async def test_data_is_made_when_first_used() -> None:
    made: list[Data] = []

    def make() -> Data:
        made.append(Data())
        return made[-1]

    io = Server(data=make)
    one, other = Client.join(io).socket, Client.join(io).socket
    assert made == []
    one.data.name = "ada"
    assert one.data is made[0]
    assert other.data.name == "nobody"
    assert len(made) == 2


@pytest.mark.parametrize("data", [{}, "x", 5])
def test_data_must_be_callable(data: Any) -> None:
    with pytest.raises(OptionError, match="data must be a class or function"):
        Server(data=data)


def test_annotations_with_parameters_exist_at_run_time() -> None:
    for kind in (Server, Socket, Server[Any, Any]().sockets.__class__):
        subscripted: Any = kind
        assert subscripted[Data].__origin__ is kind
        assert subscripted[Data, int].__args__ == (Data, int)


# The end of its time.


@run_async
async def test_a_client_is_told_before_its_time_is_up_and_disconnected_then() -> None:
    ends = Ends()
    client = Client.join(ends.io)
    socket = client.socket
    socket.expire_at(time.time() + 100)
    ends.clock.advance(69)
    assert events(client) == []
    ends.clock.advance(2)
    [[name, data]] = events(client)
    assert name == "auth:expiring"
    assert data == {"expires_in": pytest.approx(30, abs=1)}
    ends.clock.advance(28)
    assert events(client) == []
    assert ends.reasons == []
    ends.clock.advance(2)
    assert events(client) == [["disconnect_reason", "auth expired"], "1"]
    assert ends.reasons == [("leaving", "auth expired"), ("left", "auth expired")]
    assert ends.reasons[0][1] is DisconnectReason.AUTH_EXPIRED
    assert not socket.connected


@run_async
async def test_the_notice_can_be_named_moved_and_left_out() -> None:
    ends = Ends()
    one, other = Client.join(ends.io), Client.join(ends.io)
    one.socket.expire_at(time.time() + 100, notice=5, event="hurry")
    other.socket.expire_at(time.time() + 100, notice=0)
    ends.clock.advance(99)
    assert [event[0] for event in events(one)] == ["hurry"]
    assert events(other) == []
    ends.clock.advance(2)
    assert events(one) == events(other) == [["disconnect_reason", "auth expired"], "1"]


@run_async
async def test_a_time_nearer_than_the_notice_is_told_at_once() -> None:
    ends = Ends()
    client = Client.join(ends.io)
    client.socket.expire_at(time.time() + 10)
    ends.clock.advance(0.05)
    assert [event[0] for event in events(client)] == ["auth:expiring"]
    ends.clock.advance(10)
    assert not ends.io.sockets.sockets


@run_async
async def test_a_time_that_is_past_ends_it_without_notice() -> None:
    ends = Ends()
    client = Client.join(ends.io)
    client.socket.expire_at(0)
    ends.clock.advance(0.05)
    assert events(client) == [["disconnect_reason", "auth expired"], "1"]


@run_async
async def test_the_time_can_be_moved_and_taken_away() -> None:
    ends = Ends()
    client = Client.join(ends.io)
    socket = client.socket
    socket.expire_at(time.time() + 100)
    ends.clock.advance(80)
    assert len(events(client)) == 1
    socket.expire_at(time.time() + 1000)
    ends.clock.advance(900)
    assert events(client) == []
    socket.expire_at(time.time() + 20)
    socket.expire_at(None)
    ends.clock.advance(10_000)
    assert events(client) == []
    assert socket.connected
    assert socket.access().tick == NEVER


@pytest.mark.parametrize("timestamp", [float("inf"), 1e300])
@run_async
async def test_a_time_that_never_comes_is_no_harm(timestamp: float) -> None:
    ends = Ends()
    client = Client.join(ends.io)
    client.socket.expire_at(timestamp)
    ends.clock.advance(100_000)
    assert client.socket.connected
    assert ends.clock.failures == []


@run_async
async def test_only_the_namespace_whose_time_is_up_ends() -> None:
    ends = Ends()
    ends.io.of("/other")
    client = Client.join(ends.io)
    client.socket.expire_at(time.time() + 1)
    other = client.connect("/other")
    ends.clock.advance(2)
    assert other.connected
    assert client.wire.ended == ""


@run_async
async def test_a_client_whose_time_is_up_while_it_is_let_in_goes_at_once() -> None:
    ends = Ends()
    gate: list[Any] = []

    @ends.io.use
    async def slow(socket: Socket) -> None:
        socket.expire_at(time.time() + 1)
        gate.append(socket)
        await eventually(lambda: len(gate) == 2)

    client = Client(ends.io)
    client.send("0")
    await eventually(lambda: gate)
    ends.clock.advance(5)
    assert events(client) == []
    gate.append("open")
    await eventually(lambda: client.received)
    ends.clock.advance(1)
    sid = json.dumps({"sid": gate[0].id}, separators=(",", ":"))
    assert events(client) == [f"0{sid}", ["disconnect_reason", "auth expired"], "1"]


@run_async
async def test_no_timer_is_left_of_who_was_refused_or_has_gone() -> None:
    ends = Ends()
    refused: list[Socket] = []

    @ends.io.use
    def gate(socket: Socket) -> None:
        socket.expire_at(time.time() + 1000)
        if socket.handshake.auth:
            refused.append(socket)
            raise ConnectError("no")

    client = Client(ends.io)
    client.send('0{"x":1}')
    client.lose()
    other = Client.join(ends.io)
    socket = other.socket
    other.lose()
    for one in (refused[0], socket):
        assert one.access().tick == NEVER
        one.expire_at(time.time() + 5)
        assert one.access().tick == NEVER


@pytest.mark.parametrize("timestamp", ["tomorrow", True, [1], float("nan")])
@run_async
async def test_a_time_is_a_number(timestamp: Any) -> None:
    socket = Client.join(Server()).socket
    with pytest.raises((OptionError, TypeError)):
        socket.expire_at(timestamp)
    assert socket.access().tick == NEVER


@pytest.mark.parametrize("event", ["", "connect", "disconnecting", 5])
@run_async
async def test_the_notice_is_an_event(event: Any) -> None:
    socket = Client.join(Server()).socket
    with pytest.raises((OptionError, TypeError)):
        socket.expire_at(1, event=event)


@run_async
async def test_the_notice_is_in_seconds() -> None:
    socket = Client.join(Server()).socket
    with pytest.raises(OptionError, match="notice"):
        socket.expire_at(1, notice=-1)


# Telling the client why.


@run_async
async def test_disconnect_tells_why_before_it_does() -> None:
    ends = Ends()
    client = Client.join(ends.io)
    client.socket.disconnect(reason="kicked", data={"by": "ada", "proof": b"1"})
    assert client.take() == [
        '51-["disconnect_reason","kicked",{"by":"ada","proof":{"_placeholder":true,"num":0}}]',
        b"1",
        "1",
    ]
    # Handlers here get the official word.
    assert ends.reasons == [
        ("leaving", "server namespace disconnect"),
        ("left", "server namespace disconnect"),
    ]
    client.connect().disconnect(reason="again")
    assert events(client) == [["disconnect_reason", "again"], "1"]


@run_async
async def test_disconnect_without_a_reason_says_nothing() -> None:
    client = Client.join(Server())
    client.socket.disconnect()
    assert client.take() == ["1"]


@run_async
async def test_disconnecting_the_connection_tells_all_its_namespaces() -> None:
    io = Server()
    io.of("/other")
    client = Client.join(io)
    socket = client.socket
    client.connect("/other")
    socket.disconnect(True, reason="bye")
    assert client.take() == [
        '2["disconnect_reason","bye"]',
        '2/other,["disconnect_reason","bye"]',
        "1",
        "1/other,",
    ]
    assert client.wire.ended == "closed"


@run_async
async def test_outgoing_listeners_see_the_reason() -> None:
    client = Client.join(Server())
    socket = client.socket
    seen: list[Any] = []
    socket.on_any_outgoing(lambda *args: seen.append(args))
    socket.disconnect(reason="bye", data=1)
    assert seen == [("disconnect_reason", "bye", 1)]


@run_async
async def test_a_reason_that_cannot_be_told_ends_nothing() -> None:
    client = Client.join(Server())
    socket = client.socket
    reason: Any = 5
    with pytest.raises((OptionError, TypeError)):
        socket.disconnect(reason=reason)
    with pytest.raises(OptionError, match="data goes with a reason"):
        socket.disconnect(data=1)
    with pytest.raises(TypeError):
        socket.disconnect(reason="x", data=object())
    assert socket.connected
    assert client.take() == []


@run_async
async def test_a_second_disconnect_says_nothing() -> None:
    client = Client.join(Server())
    socket = client.socket
    socket.on("disconnecting", lambda: socket.disconnect(reason="twice"))
    socket.disconnect(reason="once")
    socket.disconnect(reason="thrice")
    assert client.take() == ['2["disconnect_reason","once"]', "1"]


@run_async
async def test_a_thread_can_disconnect_set_the_user_and_the_time() -> None:
    io = Server()

    @io.on("leave", thread=True)
    def leave(socket: Socket) -> None:
        socket.user = "ada"
        socket.expire_at(time.time() + 1000)
        socket.disconnect(reason="from a thread")

    client = Client.join(io)
    socket = client.socket
    client.emit("leave")
    await eventually(lambda: not socket.connected)
    assert client.take() == ['2["disconnect_reason","from a thread"]', "1"]
    assert socket.user == "ada"
    assert socket.access().tick == NEVER


# Without an authentication.


@run_async
async def test_nothing_can_be_refreshed_where_nothing_authenticates() -> None:
    socket = Client.join(Server()).socket
    with pytest.raises(OptionError, match=r"io\.use\(nuncio\.auth\.JWT"):
        socket.refresh_auth({"token": "x"})
    socket.user = "ada"
    with pytest.raises(OptionError, match=r"io\.use\(nuncio\.auth\.JWT"):
        socket.refresh_auth({"token": "x"})
