from __future__ import annotations

from typing import Any

import pytest

import nuncio
from nuncio import OptionError, Server
from nuncio.peers import share_a_room
from tests.peers.browsers import Page
from tests.support.aio import run_async


@run_async
async def test_who_shares_a_room_may_be_connected() -> None:
    io = Server()
    io.peers(share_a_room)
    ada, bob, eve = Page(io), Page(io), Page(io)
    ada.socket.join("x")
    bob.socket.join(["x", "y"])
    assert ada.offer(bob.id)["link"]
    assert ada.offer(eve.id)["error"] == "peer:denied"
    assert nuncio.peers.share_a_room is share_a_room


@run_async
async def test_the_rooms_of_ones_own_are_not_shared() -> None:
    io = Server()
    io.peers(share_a_room)
    ada, bob = Page(io), Page(io)
    # An application that lets clients name their rooms.
    ada.socket.join(bob.id)
    assert ada.offer(bob.id)["error"] == "peer:denied"
    bob.socket.join(ada.id)
    assert ada.offer(bob.id)["error"] == "peer:denied"


def test_a_hook_that_cannot_be_called_is_told_at_once() -> None:
    io = Server()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (7, {}, r"peers\(allow\) must be callable with \(sender, target\), not 7"),
        (lambda one: True, {}, r"peers\(allow\) is called with \(sender, target\)"),
        (share_a_room, {"identify": 7}, r"peers\(identify=…\) must be callable with \(socket\)"),
        (share_a_room, {"identify": lambda: 1}, r"peers\(identify=…\) is called with \(socket\)"),
        (share_a_room, {"relay": "no"}, r"peers\(relay=…\) must be True or False, not 'no'"),
    ]
    for allow, options, told in wrong:
        with pytest.raises(OptionError, match=told):
            io.peers(allow, **options)
    io.peers(share_a_room)
    with pytest.raises(OptionError, match="said already"):
        io.peers(share_a_room)


@run_async
async def test_peers_decorates() -> None:
    io = Server()

    @io.peers(identify=lambda socket: "ada")
    def allow(sender: Any, target: Any) -> bool:
        return True

    assert allow(1, 2) is True
    ada, bob = Page(io), Page(io)
    ada.offer(bob.id)
    assert bob.told()[1]["from"]["identity"] == "ada"
    other = Server()

    @other.peers
    async def ask(sender: Any, target: Any) -> bool:
        return True

    assert Page(other).answer(1) is None
