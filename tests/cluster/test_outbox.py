from __future__ import annotations

from nuncio.cluster.outbox import Outbox
from nuncio.protocol.engineio import Message


def test_it_keeps_the_order_in_which_events_were_promised() -> None:
    outbox = Outbox(10, 10_000)
    for id in (3, 4, 5):
        assert outbox.add(id, id * 2, Message(b"%d" % id), ["e", id])
    outbox.acknowledge(4)
    outbox.acknowledge(4)
    outbox.acknowledge(99)
    assert [(number, message.text) for number, message in outbox.unacknowledged()] == [
        (6, b"3"),
        (10, b"5"),
    ]
    assert outbox.payloads() == [["e", 3], ["e", 5]]
    assert len(outbox) == 2


def test_it_holds_so_many_events_and_no_more() -> None:
    outbox = Outbox(2, 10_000)
    assert outbox.add(1, 1, Message(b""), [])
    assert outbox.add(2, 2, Message(b""), [])
    assert not outbox.add(3, 3, Message(b""), [])
    outbox.acknowledge(1)
    assert outbox.add(3, 3, Message(b""), [])


def test_it_holds_so_many_bytes_and_no_more() -> None:
    outbox = Outbox(100, 2500)
    assert outbox.add(1, 1, Message(b"x" * 1000), [])
    assert outbox.add(2, 2, Message(b"x" * 1000), [])
    assert not outbox.add(3, 3, Message(b"x" * 1000), [])
    outbox.acknowledge(2)
    assert outbox.add(3, 3, Message(b"x" * 1000), [])
