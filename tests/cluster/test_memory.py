from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio import ConnectError, LimitExceeded, Limits, OptionError, Server, Socket
from tests.support.aio import run_async
from tests.support.memory import Client

Room = str | int
Event = tuple[str, Room, str | None]

EVENTS = ("create_room", "join_room", "leave_room", "delete_room")


def record(io: Server) -> list[Event]:
    """What the adapter of the default namespace tells from now on."""
    events: list[Event] = []

    def listener(name: str) -> Callable[..., None]:
        return lambda room, id=None: events.append((name, room, id))

    for name in EVENTS:
        io.sockets.adapter.on(name, listener(name))
    return events


class Model:
    """Rooms as one would write them down: a list of members for each, in order."""

    def __init__(self) -> None:
        self.rooms: dict[Room, list[str]] = {}
        self.connected: list[str] = []
        self.joined: dict[str, list[Room]] = {}
        self.events: list[Event] = []

    def enter(self, id: str) -> None:
        self.connected.append(id)
        self.joined[id] = []
        self.join(id, id)

    def join(self, id: str, room: Room) -> None:
        if room in self.joined[id]:
            return
        if room not in self.rooms:
            self.rooms[room] = []
            self.events.append(("create_room", room, None))
        self.rooms[room].append(id)
        self.joined[id].append(room)
        self.events.append(("join_room", room, id))

    def leave(self, id: str, room: Room) -> None:
        if room not in self.joined[id]:
            return
        self.joined[id].remove(room)
        self.rooms[room].remove(id)
        self.events.append(("leave_room", room, id))
        if not self.rooms[room]:
            del self.rooms[room]
            self.events.append(("delete_room", room, None))

    def exit(self, id: str) -> None:
        # The room of its own id is left first, for it was joined first.
        for room in sorted(self.joined[id], key=lambda room: room != id):
            self.leave(id, room)
        self.connected.remove(id)

    def targets(self, rooms: list[Room], excepted: list[Room]) -> list[str]:
        chosen = self.connected
        if rooms:
            chosen = [id for id in self.connected if any(id in self.members(r) for r in rooms)]
        return [id for id in chosen if not any(id in self.members(r) for r in excepted)]

    def members(self, room: Room) -> list[str]:
        return self.rooms.get(room, [])


# Rooms in a plan: names, or for a number from 10 the id of a client.
ROOMS = st.sampled_from(["a", "b", "1", 1, 10, 11, 12, 13])
STEPS = st.one_of(
    st.tuples(st.just("enter")),
    st.tuples(st.just("exit"), st.integers(0, 3)),
    st.tuples(st.just("join"), st.integers(0, 3), st.lists(ROOMS, max_size=3)),
    st.tuples(st.just("leave"), st.integers(0, 3), ROOMS),
    st.tuples(st.just("emit"), st.lists(ROOMS, max_size=3), st.lists(ROOMS, max_size=2)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_rooms_are_those_of_a_naive_model(steps: list[tuple[Any, ...]]) -> None:
    @run_async
    async def run() -> None:
        io = Server()
        events = record(io)
        model = Model()
        clients: list[Client] = []

        def add() -> None:
            clients.append(Client.join(io))
            model.enter(clients[-1].sid)

        def room(number: Room) -> Room:
            if isinstance(number, int) and number >= 10:
                return clients[(number - 10) % len(clients)].sid
            return number

        add()
        add()
        for step in steps:
            if step[0] == "enter":
                add()
            elif step[0] == "emit":
                rooms, excepted = [room(r) for r in step[1]], [room(r) for r in step[2]]
                io.to(rooms).except_(excepted).emit("x")
                reached = [client.sid for client in clients if client.take() == ['2["x"]']]
                assert reached == model.targets(rooms, excepted)
            else:
                client = clients[step[1] % len(clients)]
                if client.sid not in model.connected:
                    continue
                if step[0] == "exit":
                    client.lose()
                    model.exit(client.sid)
                elif step[0] == "join":
                    client.socket.join([room(r) for r in step[2]])
                    for joined in step[2]:
                        model.join(client.sid, room(joined))
                else:
                    client.socket.leave(room(step[2]))
                    model.leave(client.sid, room(step[2]))
            assert io.sockets.adapter.rooms == {r: set(m) for r, m in model.rooms.items()}
            for id in model.connected:
                assert io.sockets.sockets[id].rooms == set(model.joined[id])
        assert events == model.events

    run()


@run_async
async def test_the_events_of_one_client_come_in_the_order_of_the_reference() -> None:
    io = Server()
    events = record(io)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join(["a", "b"])
        socket.join("a")
        socket.leave("a")

    client = Client.join(io)
    id = client.sid
    assert events == [
        ("create_room", id, None),
        ("join_room", id, id),
        ("create_room", "a", None),
        ("join_room", "a", id),
        ("create_room", "b", None),
        ("join_room", "b", id),
        ("leave_room", "a", id),
        ("delete_room", "a", None),
    ]
    events.clear()
    client.lose()
    assert events == [
        ("leave_room", id, id),
        ("delete_room", id, None),
        ("leave_room", "b", id),
        ("delete_room", "b", None),
    ]


@run_async
async def test_rooms_joined_in_a_middleware_are_there_at_once_but_reach_nobody_yet() -> None:
    io = Server()
    events = record(io)

    @io.use
    def middleware(socket: Socket) -> None:
        assert socket.rooms == set()
        socket.join("early")
        assert socket.rooms == {"early"}
        assert io.sockets.adapter.rooms == {"early": {socket.id}}
        io.to("early").emit("too early")
        io.emit("too early")

    client = Client.join(io)
    assert client.take() == []
    assert client.socket.rooms == {"early", client.sid}
    io.to("early").emit("now")
    assert client.take() == ['2["now"]']
    assert events == [
        ("create_room", "early", None),
        ("join_room", "early", client.sid),
        ("create_room", client.sid, None),
        ("join_room", client.sid, client.sid),
    ]


@run_async
async def test_a_refused_client_leaves_only_what_it_had_joined() -> None:
    io = Server()
    events = record(io)
    seen: list[Socket] = []

    @io.use
    def middleware(socket: Socket) -> None:
        seen.append(socket)
        socket.join("early")
        socket.join(socket.id)
        socket.leave(socket.id)
        raise ConnectError("no")

    client = Client(io)
    client.send("0")
    assert client.take() == ['4{"message":"no"}']
    assert events == [
        ("create_room", "early", None),
        ("join_room", "early", seen[0].id),
        ("leave_room", "early", seen[0].id),
        ("delete_room", "early", None),
    ]
    assert io.sockets.adapter.rooms == {}
    seen[0].join("late")
    assert io.sockets.adapter.rooms == {}


@run_async
async def test_the_room_of_an_own_id_can_be_left_and_joined_again() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    socket.leave(socket.id)
    assert socket.rooms == set()
    io.to(socket.id).emit("missed")
    io.emit("everybody")
    assert client.take() == ['2["everybody"]']
    socket.join(socket.id)
    io.to(socket.id).emit("again")
    assert client.take() == ['2["again"]']


@run_async
async def test_rooms_that_others_share_with_an_id_end_with_the_last_of_them() -> None:
    io = Server()
    owner, guest = Client.join(io), Client.join(io)
    guest.socket.join(owner.sid)
    events = record(io)
    owner.lose()
    assert events == [("leave_room", owner.sid, owner.sid)]
    io.to(owner.sid).emit("x")
    assert guest.take() == ['2["x"]']
    guest.lose()
    assert ("delete_room", owner.sid, None) in events


@run_async
async def test_names_and_numbers_are_different_rooms() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    one.socket.join(1)
    other.socket.join("1")
    io.to(1).emit("number")
    assert (one.take(), other.take()) == (['2["number"]'], [])


@run_async
async def test_nobody_is_reached_through_a_room_that_does_not_exist() -> None:
    io = Server()
    client = Client.join(io)
    io.to("nobody").emit("x")
    io.to([]).except_("nobody").emit("y")
    assert client.take() == ['2["y"]']


@run_async
async def test_a_broadcast_reaches_each_once_however_many_rooms_they_share() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(3)]
    for client in clients:
        client.socket.join(["a", "b", "c"])
    io.to(["a", "b"]).to("c").emit("x")
    assert [client.take() for client in clients] == [['2["x"]']] * 3


@run_async
async def test_a_socket_may_be_in_so_many_rooms_and_no_more() -> None:
    io = Server(limits=Limits(rooms=2))
    socket = Client.join(io).socket
    socket.join(["a", "b"])
    socket.join(["a", "b", socket.id])
    with pytest.raises(LimitExceeded, match=r"Limits\(rooms=…\)"):
        socket.join("c")
    assert socket.rooms == {socket.id, "a", "b"}
    socket.leave("a")
    socket.join("c")
    assert socket.rooms == {socket.id, "b", "c"}


@run_async
async def test_nothing_is_kept_of_rooms_that_are_empty() -> None:
    io = Server()
    for number in range(20):
        client = Client.join(io)
        client.socket.join([f"room {number}", "shared"])
        client.lose()
    assert io.sockets.adapter.rooms == {}
    assert io.sockets.sockets == {}


@run_async
async def test_listeners_that_fail_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()

    def fails(room: Room, id: str) -> None:
        raise RuntimeError("listener failed")

    io.sockets.adapter.on("join_room", fails)
    client = Client.join(io)
    client.socket.join("a")
    assert client.socket.rooms == {client.sid, "a"}
    assert "listener of 'join_room' failed" in caplog.text


@run_async
async def test_a_room_may_be_left_while_it_is_being_reached() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(4)]
    for client in clients:
        client.socket.join("room")
        # Who is reached first throws everybody out.
        client.socket.on_any_outgoing(
            lambda *_: [one.socket.leave("room") for one in clients if one.sid]
        )
    io.to("room").emit("x")
    assert [client.take() for client in clients] == [['2["x"]']] * 4
    assert "room" not in io.sockets.adapter.rooms


@run_async
async def test_a_server_alone_counts_itself() -> None:
    assert await Server().sockets.adapter.server_count() == 1


@pytest.mark.parametrize(
    ("event", "hint"),
    [
        *((name.replace("_", "-"), f"did you mean '{name}'") for name in EVENTS),
        ("createRoom", "did you mean 'create_room'"),
        ("error", "failures are logged"),
        ("x", "there are create_room, join_room, leave_room, delete_room"),
    ],
)
def test_an_event_that_no_adapter_has_is_refused(event: str, hint: str) -> None:
    adapter = Server().sockets.adapter
    with pytest.raises(OptionError, match=f"event: the adapter has no event '{event}'; {hint}"):
        adapter.on(event, print)
    with pytest.raises(OptionError, match=hint):
        adapter.on(event)
