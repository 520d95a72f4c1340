"""Servers that keep the same list, whatever becomes of their messages."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nuncio.presence.replica import Replica
from nuncio.presence.roll import Key, Roll, Room


class Server:
    """A server with its list, and what it told of it."""

    def __init__(self, name: str, net: Net) -> None:
        self.name = name
        self.told: list[tuple[Any, ...]] = []
        self.roll = Roll(
            lambda room, key, meta: self.told.append(("join", room, key, meta)),
            lambda room, key, meta: self.told.append(("update", room, key, meta)),
            self._away,
            lambda room, key, meta: self.told.append(("leave", room, key, meta)),
        )
        self.replica = Replica(name, self.roll, lambda message: net.send(name, message), net.now)

    def _away(self, room: Room, key: Key) -> None:
        # Without grace.
        self.roll.expire(room, key)

    def view(self, room: Room = "room") -> dict[Key, list[Any]]:
        return {one.key: sorted(one.metas, key=repr) for one in self.roll.members(room)}


class Net:
    """Carries messages, in order for each pair, when it is told to."""

    def __init__(self, *names: str) -> None:
        self.time = 0.0
        self.servers = {name: Server(name, self) for name in names}
        self.queues: dict[tuple[str, str], deque[Any]] = {}

    def now(self) -> float:
        return self.time

    def send(self, sender: str, message: Any) -> None:
        for name in self.servers:
            if name != sender:
                self.queues.setdefault((sender, name), deque()).append(message)

    def deliver(self, pair: tuple[str, str]) -> None:
        queue = self.queues.get(pair)
        if queue:
            self.servers[pair[1]].replica.received(queue.popleft())

    def settle(self) -> None:
        while any(self.queues.values()):
            for pair in list(self.queues):
                self.deliver(pair)

    def start(self) -> Net:
        for server in self.servers.values():
            server.replica.hello()
        self.settle()
        return self


def test_everybody_knows_everybody() -> None:
    net = Net("a", "b", "c").start()
    net.servers["a"].replica.add("room", "ann", "1", 1)
    net.servers["b"].replica.add("room", "bob", "2", 2)
    net.servers["b"].replica.add("room", "ann", "3", 3)
    for server in net.servers.values():
        server.replica.flush()
    net.settle()
    for server in net.servers.values():
        assert server.view() == {"ann": [1, 3], "bob": [2]}
        assert [one[:3] for one in server.told].count(("join", "room", "ann")) == 1
    net.servers["a"].replica.remove("room", "ann", "1")
    net.servers["a"].replica.flush()
    net.settle()
    assert all(one.view() == {"ann": [3], "bob": [2]} for one in net.servers.values())
    assert not any(event[0] == "leave" for one in net.servers.values() for event in one.told)


def test_what_is_said_again_is_an_update() -> None:
    net = Net("a", "b").start()
    net.servers["a"].replica.add("room", "ann", "1", "here")
    net.servers["a"].replica.flush()
    net.servers["a"].replica.add("room", "ann", "1", "busy")
    net.servers["a"].replica.flush()
    net.settle()
    assert net.servers["b"].told == [
        ("join", "room", "ann", "here"),
        ("update", "room", "ann", "busy"),
    ]


def test_a_server_that_comes_later_asks() -> None:
    net = Net("a").start()
    net.servers["a"].replica.add("room", "ann", "1", None)
    net.servers["a"].replica.flush()
    net.servers["b"] = Server("b", net)
    net.servers["b"].replica.hello()
    net.settle()
    assert net.servers["b"].view() == {"ann": [None]}


def test_a_lost_message_is_noticed() -> None:
    net = Net("a", "b").start()
    net.servers["a"].replica.add("room", "ann", "1", None)
    net.servers["a"].replica.flush()
    net.queues["a", "b"].clear()
    net.servers["a"].replica.add("room", "bob", "2", None)
    net.servers["a"].replica.flush()
    net.settle()
    assert net.servers["b"].view() == {"ann": [None], "bob": [None]}
    net.servers["a"].replica.remove("room", "bob", "2")
    net.servers["a"].replica.flush()
    net.queues["a", "b"].clear()
    # The next sign of life says that there was something.
    net.servers["a"].replica.beat(15.0)
    net.settle()
    assert net.servers["b"].view() == {"ann": [None]}


def test_a_silent_server_is_gone_with_its_users() -> None:
    net = Net("a", "b", "c").start()
    for name, key in (("a", "ann"), ("b", "bob"), ("a", "bob")):
        net.servers[name].replica.add("room", key, f"{name}{key}", None)
        net.servers[name].replica.flush()
    net.settle()
    net.time = 20.0
    net.servers["b"].replica.beat(15.0)
    net.settle()
    net.servers["c"].replica.beat(15.0)
    assert net.servers["c"].view() == {"bob": [None]}
    assert net.servers["c"].told[-1][:3] == ("leave", "room", "ann")
    # It was only slow: its next sign of life brings everybody back.
    net.servers["a"].replica.beat(1000.0)
    net.settle()
    assert net.servers["c"].view() == {"bob": [None, None], "ann": [None]}


def test_a_server_that_ends_says_so() -> None:
    net = Net("a", "b").start()
    net.servers["a"].replica.add("room", "ann", "1", None)
    net.servers["a"].replica.flush()
    net.settle()
    net.servers["a"].replica.bye()
    net.settle()
    assert net.servers["b"].view() == {}
    assert net.servers["b"].replica.servers == []


def test_garbage_is_counted_and_dropped() -> None:
    net = Net("a")
    garbage: list[Any] = [None, 5, "x", [], {}, {"server": 1}, {"server": "b", "version": "x"}]
    for data in garbage:
        net.servers["a"].replica.received(data)
    deep = {"server": "b", "version": 1, "joins": [["room", "ann"]]}
    net.servers["a"].replica.received(deep)
    assert net.servers["a"].replica.dropped == 8
    assert net.servers["a"].roll.rooms() == []


STEP = st.one_of(
    st.tuples(
        st.sampled_from(["add", "remove"]),
        st.sampled_from("abc"),
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 2),
    ),
    st.tuples(st.just("flush"), st.sampled_from("abc")),
    st.tuples(st.just("deliver"), st.sampled_from("abc"), st.sampled_from("abc")),
    st.tuples(st.just("lose"), st.sampled_from("abc"), st.sampled_from("abc")),
)


@given(st.lists(STEP, max_size=60))
def test_whatever_is_lost_or_late_all_agree_in_the_end(steps: list[Any]) -> None:
    net = Net("a", "b", "c").start()
    truth: dict[tuple[str, str, str], int] = {}
    for number, step in enumerate(steps):
        server = net.servers[step[1]]
        if step[0] == "add":
            server.replica.add("room", step[2], str(step[3]), number)
            truth[step[1], step[2], str(step[3])] = number
        elif step[0] == "remove":
            server.replica.remove("room", step[2], str(step[3]))
            truth.pop((step[1], step[2], str(step[3])), None)
        elif step[0] == "flush":
            server.replica.flush()
        elif step[0] == "deliver":
            net.deliver((step[1], step[2]))
        else:
            queue = net.queues.get((step[1], step[2]))
            if queue:
                queue.popleft()
    for server in net.servers.values():
        server.replica.flush()
    # One round of signs of life, and what is asked because of it.
    for server in net.servers.values():
        server.replica.beat(1000.0)
    net.settle()
    expected: dict[str, list[int]] = {}
    for (_, key, _), meta in truth.items():
        expected.setdefault(key, []).append(meta)
    for server in net.servers.values():
        assert server.view() == {key: sorted(metas, key=repr) for key, metas in expected.items()}
