from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nuncio import ConnectError, Limits, Rate, RemoteSocket, Server, Socket
from nuncio.cluster import LocalBus
from nuncio.cluster.messages import Kind
from tests.peers.browsers import CANDIDATE, FINGERPRINT, SDP, Page, linked
from tests.support.aio import eventually, run_async
from tests.support.memory import Client

WINDOW = 256 * 1024


def anybody(sender: Any, target: Any) -> bool:
    return True


def server(**options: Any) -> Server:
    """A server where everybody may be connected to everybody."""
    io = Server(**options)
    io.peers(anybody)
    return io


def refused(io: Server) -> tuple[int, int]:
    """Offers and messages that were refused."""
    return io.counters.refused_peers, io.counters.refused_peer_messages


# Who may be connected to whom.


@run_async
async def test_without_peers_there_is_no_such_namespace() -> None:
    io = Server()
    io.of(lambda name, auth: True)
    client = Client.join(io)
    client.send("0/.nuncio,")
    assert client.take() == ['4/.nuncio,{"message":"Invalid namespace"}']


@run_async
async def test_who_has_passed_no_check_of_the_application_is_not_let_in() -> None:
    io = server()
    client = Client(io)
    client.send("0/.nuncio,")
    assert client.take() == ['4/.nuncio,{"message":"join another namespace first"}']


@pytest.mark.parametrize("verdict", [False, None, 0])
@run_async
async def test_whom_the_application_does_not_allow_is_denied(verdict: Any) -> None:
    io = Server()
    asked: list[Any] = []

    @io.peers
    def allow(sender: Socket, target: Socket) -> bool:
        asked.append((sender, target))
        return verdict  # type: ignore[no-any-return]  # what applications return

    ada, bob = Page(io), Page(io)
    assert ada.offer(bob.id) == {"error": "peer:denied", "message": "not allowed"}
    assert asked == [(ada.socket, bob.socket)]
    assert bob.take() == []
    assert refused(io) == (1, 0)
    assert io.peering.links == 0


@run_async
async def test_a_gate_that_fails_stays_shut_and_one_that_refuses_may_say_why() -> None:
    io = Server()
    errors: list[Any] = []
    io.on_error(lambda error, *_: errors.append(error))
    failure: Exception = KeyError("x")

    @io.peers
    async def allow(sender: Socket, target: Socket) -> bool:
        await asyncio.sleep(0)
        raise failure

    ada, bob = Page(io), Page(io)
    asked = ada.ask(bob.id)
    await eventually(lambda: ada.answer(asked))
    assert ada.answer(asked) == {"error": "peer:denied", "message": "not allowed"}
    assert errors == [failure]
    failure = ConnectError("not at night", {"until": 7})
    asked = ada.ask(bob.id)
    await eventually(lambda: ada.answer(asked))
    expected = {"error": "peer:denied", "message": "not at night", "data": {"until": 7}}
    assert ada.answer(asked) == expected
    assert len(errors) == 1


@run_async
async def test_who_has_no_part_for_peers_is_unavailable() -> None:
    io = server()
    ada, python = Page(io), Client.join(io)
    for gone in (python.sid, "nobody"):
        assert ada.offer(gone)["error"] == "peer:unavailable"
    bob = Page(io)
    bob.socket.disconnect()
    assert ada.offer(bob.id)["error"] == "peer:unavailable"
    assert refused(io) == (3, 0)
    assert io.peering.links == 0
    assert python.take() == []


@run_async
async def test_who_leaves_while_the_application_decides_gets_no_peer() -> None:
    io = Server()
    decided = asyncio.Event()

    @io.peers
    async def allow(sender: Socket, target: Socket) -> bool:
        await decided.wait()
        return True

    ada, bob, eve = Page(io), Page(io), Page(io)
    asked, lost = ada.ask(bob.id), eve.ask(ada.id)
    bob.client.lose()
    eve.client.lose()
    decided.set()
    await eventually(lambda: ada.answer(asked))
    assert ada.answer(asked)["error"] == "peer:unavailable"
    assert eve.answer(lost) is None
    assert ada.take() == []
    assert io.peering.links == 0


# What is passed on.


@run_async
async def test_all_that_is_passed_on_is_stamped_by_the_server() -> None:
    io = Server()
    io.peers(anybody, identify=lambda socket: {"name": socket.data["name"]})
    io.of("/chat")
    ada, bob = Page(io, "/chat"), Page(io, "/chat")
    ada.socket.data["name"], bob.socket.data["name"] = "Ada", "Bob"
    lies = {"from": {"id": bob.id, "identity": "Bob"}, "fingerprint": "sha-256 00", "x": 1}
    link = ada.offer(bob.id, **lies)["link"]
    from_ada = {"id": ada.id, "nsp": "/chat", "identity": {"name": "Ada"}}
    from_bob = {"id": bob.id, "nsp": "/chat", "identity": {"name": "Bob"}}
    session = {"sdp": SDP, "fingerprint": f"sha-256 {FINGERPRINT}", "relay": True}
    offer = {"link": link, "from": from_ada, "to": bob.id, "window": WINDOW, **session}
    assert bob.told() == ("offer", offer)
    bob.send("answer", {"link": link, "sdp": SDP, "relay": True, **lies})
    assert ada.told() == ("answer", {"link": link, "from": from_bob, **session})
    bob.send("ice", {"link": link, "candidate": {**CANDIDATE, "x": 1}, **lies})
    assert ada.told() == ("ice", {"link": link, "from": from_bob, "candidate": CANDIDATE})
    ada.send("relay", {"link": link, **lies})
    assert bob.told() == ("relay", {"link": link, "from": from_ada})
    ada.send("bye", {"link": link, "reason": "fingerprint", **lies})
    bye = {"link": link, "from": from_ada, "reason": "fingerprint", "lost": False}
    assert bob.told() == ("bye", bye)
    assert io.peering.links == 0
    assert refused(io) == (0, 0)


@run_async
async def test_an_async_identity_is_waited_for_and_one_that_fails_denies() -> None:
    io = Server()
    errors: list[Any] = []
    io.on_error(lambda error, *_: errors.append(error))

    async def identify(socket: Socket) -> Any:
        await asyncio.sleep(0)
        return socket.data.get("name", object)

    io.peers(anybody, identify=identify)
    ada, bob = Page(io), Page(io)
    ada.socket.data["name"] = "Ada"
    asked = ada.ask(bob.id)
    await eventually(lambda: ada.answer(asked))
    # What bob would be introduced by cannot be sent.
    assert ada.answer(asked)["error"] == "peer:denied"
    assert len(errors) == 1
    bob.socket.data["name"] = "Bob"
    asked = ada.ask(bob.id)
    await eventually(lambda: ada.answer(asked))
    bob.send("answer", {"link": ada.answer(asked)["link"], "sdp": None, "relay": True})
    assert ada.told()[1]["from"]["identity"] == "Bob"


@run_async
async def test_nobody_speaks_in_another_ones_name() -> None:
    io = server()
    io.of("/chat")
    ada, bob, eve = Page(io), Page(io), Page(io, "/chat")
    # Not in that namespace, in the one of the control itself, or to nobody.
    for nsp in ("/", "/.nuncio", "/nowhere", None, 7):
        assert eve.offer(bob.id, nsp=nsp)["error"] == "peer:invalid"
    # Namespaces do not mix.
    assert eve.offer(bob.id)["error"] == "peer:unavailable"
    whom: list[Any] = [ada.id, None, 7, []]
    for to in whom:
        assert ada.offer(to)["error"] == "peer:invalid"
    assert refused(io) == (10, 0)
    link = ada.offer(bob.id)["link"]
    bob.take()
    # A link is of no use to who is not at one of its ends.
    for event in ("answer", "ice", "relay", "bye"):
        eve.send(event, {"link": link, "sdp": SDP, "candidate": CANDIDATE})
    assert ada.take() == bob.take() == []
    # Nor is an answer from who has offered, or a second one.
    ada.send("answer", {"link": link, "sdp": SDP})
    bob.send("answer", {"link": link, "sdp": SDP})
    bob.send("answer", {"link": link, "sdp": SDP})
    assert [event for event, _ in ada.take()] == ["answer"]
    assert bob.take() == []
    assert refused(io) == (10, 6)


@pytest.mark.parametrize("message", [None, 7, "x", [], {}, {"link": 7}, {"link": []}])
@run_async
async def test_garbage_is_counted_and_reaches_nobody(message: Any) -> None:
    io = server()
    ada, bob, link = linked(io)
    for event in ("answer", "ice", "relay", "bye", "data", "taken"):
        ada.send(event, message)
    ada.client.emit("peer:offer", message, id=99, nsp="/.nuncio,")
    assert ada.answer(99)["error"] == "peer:invalid"
    for event in ("answer", "ice", "relay", "bye", "data", "taken", "offer"):
        ada.client.send(f'2/.nuncio,["peer:{event}"]')
    for candidate in (7, {}, {"candidate": "x" * 2000}):
        ada.send("ice", {"link": link, "candidate": candidate})
    assert bob.take() == []
    assert refused(io) == (2, 15)
    assert io.peering.links == 2


@run_async
async def test_a_session_that_is_too_long_or_of_two_certificates_is_invalid() -> None:
    io = server()
    ada, bob = Page(io), Page(io)
    for sdp in (SDP + "a=x:" + "x" * 16384, SDP.replace("sha-256", "sha-1"), 7, None):
        assert ada.offer(bob.id, sdp=sdp, relay=False)["error"] == "peer:invalid"
    link = ada.offer(bob.id)["link"]
    bob.send("answer", {"link": link, "sdp": SDP.replace("sha-256", "sha-1")})
    assert ada.take() == []
    assert refused(io) == (4, 1)


# Limits.


@run_async
async def test_so_many_offers_may_be_open_and_no_more() -> None:
    io = server(limits=Limits(peer_offers=2))
    ada, bob = Page(io), Page(io)
    first, _ = ada.offer(bob.id)["link"], ada.offer(bob.id)["link"]
    assert ada.offer(bob.id)["error"] == "peer:limit"
    bob.send("answer", {"link": first, "sdp": SDP})
    assert ada.offer(bob.id)["link"]
    assert io.counters.refused_peers == 1


@run_async
async def test_what_the_application_decides_about_is_open_too() -> None:
    io = Server(limits=Limits(peer_offers=2))
    asked: list[Any] = []
    never = asyncio.Event()

    @io.peers
    async def allow(sender: Socket, target: Socket) -> bool:
        asked.append(target)
        await never.wait()
        return False

    ada, bob = Page(io), Page(io)
    for _ in range(5):
        ada.ask(bob.id)
    assert len(asked) == 2
    assert io.counters.refused_peers == 3
    never.set()


@run_async
async def test_so_many_peers_may_one_have_and_no_more() -> None:
    io = server(limits=Limits(peer_links=2))
    ada, bob, eve = Page(io), Page(io), Page(io)
    for other in (bob, eve):
        link = ada.offer(other.id)["link"]
        other.send("answer", {"link": link, "sdp": SDP})
    assert ada.offer(bob.id) == {"error": "peer:limit", "message": "too many peers"}
    # Nor does a crowd of others reach who has enough.
    assert eve.offer(ada.id)["error"] == "peer:unavailable"
    assert io.peering.links == 4
    ada.send("bye", {"link": link})
    assert bob.offer(ada.id)["link"]


@run_async
async def test_so_many_candidates_and_no_more() -> None:
    io = server(limits=Limits(peer_candidates=3))
    ada, bob, link = linked(io)
    for _ in range(5):
        ada.send("ice", {"link": link, "candidate": CANDIDATE})
    assert len(bob.take()) == 3
    assert refused(io) == (0, 2)


@run_async
async def test_a_flood_of_messages_is_refused_and_who_goes_on_has_to_go() -> None:
    io = server(
        limits=Limits(peer_signals=Rate(1, per=3600, burst=5), refusals_per_connection=Rate(3))
    )
    ada, bob = Page(io), Page(io)
    link = ada.offer(bob.id)["link"]
    bob.take()
    for _ in range(6):
        ada.send("ice", {"link": link, "candidate": CANDIDATE})
    assert len(bob.take()) == 4
    assert ada.offer(bob.id) == {"error": "peer:limit", "message": "too many messages"}
    ada.send("data", "what is no link")
    assert not ada.socket.connected
    assert io.counters.rate_limited_connections == 1
    assert bob.told()[0] == "bye"


@run_async
async def test_an_offer_that_nobody_answers_expires_at_both_ends() -> None:
    io = server(limits=Limits(peer_seconds=0.05))
    ada, bob = Page(io), Page(io)
    link = ada.offer(bob.id)["link"]
    answered = ada.offer(bob.id)["link"]
    bob.take()
    bob.send("answer", {"link": answered, "sdp": SDP})
    ada.take()
    await eventually(lambda: io.peering.links == 2)
    for page in (ada, bob):
        word, told = page.told()
        assert (word, told["link"], told["reason"]) == ("bye", link, "peer:expired")
    bob.send("answer", {"link": link, "sdp": SDP})
    assert refused(io) == (0, 1)


# Leaving.


@run_async
async def test_the_links_of_who_leaves_end_at_the_other_side() -> None:
    io = server()
    ways: list[tuple[Callable[[Page], Any], bool]] = [
        (lambda page: page.client.lose(), True),
        (lambda page: page.client.send("1"), False),
        (lambda page: page.client.send("1/.nuncio,"), False),
        (lambda page: page.socket.disconnect(), False),
        (lambda page: page.socket.disconnect(close=True), False),
    ]
    for leave, lost in ways:
        ada, bob, link = linked(io)
        leave(bob)
        stamp = {"id": bob.id, "nsp": "/"}
        bye = {"link": link, "from": stamp, "reason": "peer:left", "lost": lost}
        assert ada.told() == ("bye", bye)
        assert io.peering.links == 0
        # There is nothing left of it.
        ada.send("ice", {"link": link, "candidate": CANDIDATE})
        assert ada.take() == []


@run_async
async def test_links_of_one_namespace_outlive_another() -> None:
    io = server()
    io.of("/chat")
    ada, bob, _ = linked(io)
    ada.client.connect("/chat")
    ada.client.send("1/chat,")
    assert bob.take() == []
    assert io.peering.links == 2


# Relaying.


@run_async
async def test_what_is_relayed_arrives_in_order_and_is_taken() -> None:
    io = server()
    ada, bob, link = linked(io, sdp=None)
    chunks = [b"one", b"\x00" * 65536, b"three"]
    for chunk in chunks:
        ada.relay(link, chunk)
    stamp = {"id": ada.id, "nsp": "/"}
    assert bob.take() == [
        ("data", {"link": link, "from": stamp, "data": chunk}) for chunk in chunks
    ]
    bob.client.emit("peer:taken", link, 65536 + 512, nsp="/.nuncio,")
    word, told = ada.told()
    assert (word, told["count"]) == ("taken", 65536 + 512)
    bob.relay(link, b"back")
    assert ada.told()[1]["data"] == b"back"
    assert refused(io) == (0, 0)


@run_async
async def test_nothing_is_relayed_over_links_that_are_direct_until_one_asks_for_it() -> None:
    io = server()
    ada, bob, link = linked(io)
    ada.relay(link, b"early")
    assert bob.take() == []
    assert refused(io) == (0, 1)
    ada.send("relay", {"link": link})
    assert bob.told()[0] == "relay"
    bob.relay(link, b"x")
    assert ada.told()[1]["data"] == b"x"


@pytest.mark.parametrize("who", ["server", "ada", "bob"])
@run_async
async def test_nothing_is_relayed_unless_all_three_want_it(who: str) -> None:
    io = Server()
    io.peers(anybody, relay=who != "server")
    ada, bob = Page(io), Page(io)
    link = ada.offer(bob.id, relay=who != "ada")["link"]
    assert bob.told()[1]["relay"] is (who == "bob")
    bob.send("answer", {"link": link, "sdp": SDP, "relay": who != "bob"})
    assert ada.told()[1]["relay"] is False
    for page in (ada, bob):
        page.send("relay", {"link": link})
        page.relay(link, b"x")
    assert ada.take() == bob.take() == []
    assert refused(io) == (0, 4)
    if who != "bob":
        assert ada.offer(bob.id, sdp=None, relay=who == "server")["error"] == "peer:invalid"


@run_async
async def test_who_does_not_wait_until_it_was_taken_loses_the_link_and_no_more() -> None:
    io = server(limits=Limits(peer_relay_bytes=100_000))
    ada, bob, link = linked(io, sdp=None)
    ada.relay(link, b"x" * 60_000)
    ada.relay(link, b"x" * 40_000)
    assert len(bob.take()) == 2
    ada.relay(link, b"x")
    word, told = bob.told()
    assert (word, told["reason"], told["from"]["id"]) == ("bye", "peer:limit", ada.id)
    assert ada.told()[1]["reason"] == "peer:limit"
    assert ada.socket.connected and bob.socket.connected
    assert io.peering.links == 0
    assert refused(io) == (0, 1)


@run_async
async def test_many_small_chunks_are_bounded_too() -> None:
    io = server(limits=Limits(peer_relay_bytes=5120))
    ada, bob, link = linked(io, sdp=None)
    for _ in range(11):
        ada.relay(link, b"x")
    assert [event for event, _ in bob.take()] == ["data"] * 10 + ["bye"]


@run_async
async def test_chunks_and_numbers_that_cannot_be_are_not_passed_on() -> None:
    io = server()
    ada, bob, link = linked(io, sdp=None)
    ada.relay(link, b"")
    ada.relay(link, b"x" * 65537)
    ada.client.emit("peer:data", link, "text", nsp="/.nuncio,")
    ada.relay(link, b"x" * 1000)
    bob.take()
    for count in (0, -1, 1001, True, 1.5, "1", None):
        bob.client.emit("peer:taken", link, count, nsp="/.nuncio,")
    assert ada.take() == bob.take() == []
    assert refused(io) == (0, 10)


# Several servers.


def cluster(**options: Any) -> tuple[Server, Server]:
    """Two servers that are one."""
    bus = LocalBus()
    return Server(adapter=bus, **options), Server(adapter=bus, **options)


async def start(one: Server, two: Server) -> tuple[Page, Page]:
    """Start both, with a page on each."""
    for io in (one, two):
        io.of("/")
        await io.engine.start()
    return Page(one), Page(two)


async def rest() -> None:
    """Wait until the bus has come to rest."""
    for _ in range(20):
        await asyncio.sleep(0)


@run_async
async def test_peers_of_two_servers_are_linked_and_relayed() -> None:
    one, two = cluster()
    asked: list[Any] = []

    @one.peers(identify=lambda socket: "Ada")
    def allow(sender: Socket, target: RemoteSocket) -> bool:
        asked.append((sender.id, target.id, type(target)))
        return True

    # The server of who asks decides.
    two.peers(lambda sender, target: False, identify=lambda socket: "Bob")
    ada, bob = await start(one, two)
    number = ada.ask(bob.id)
    await eventually(lambda: ada.answer(number))
    await rest()
    link = ada.answer(number)["link"]
    assert asked == [(ada.id, bob.id, RemoteSocket)]
    from_ada = {"id": ada.id, "nsp": "/", "identity": "Ada"}
    session = {"sdp": SDP, "fingerprint": f"sha-256 {FINGERPRINT}", "relay": True}
    offer = {"link": link, "from": from_ada, "to": bob.id, "window": WINDOW, **session}
    assert bob.told() == ("offer", offer)
    bob.send("answer", {"link": link, "sdp": None, "relay": True})
    await rest()
    word, told = ada.told()
    assert (word, told["from"]["identity"]) == ("answer", "Bob")
    for data in (b"one", b"two"):
        ada.relay(link, data)
    await rest()
    assert [told["data"] for _, told in bob.take()] == [b"one", b"two"]
    bob.client.emit("peer:taken", link, 1024, nsp="/.nuncio,")
    await rest()
    assert ada.told()[1]["count"] == 1024
    bob.client.lose()
    await rest()
    assert ada.told()[1]["reason"] == "peer:left"
    assert one.peering.links == two.peering.links == 0
    assert refused(one) == refused(two) == (0, 0)


@run_async
async def test_who_cannot_be_reached_on_another_server_is_unavailable() -> None:
    one, two = cluster(limits=Limits(peer_seconds=3600.0))
    for io in (one, two):
        io.peers(anybody)
    ada, _ = await start(one, two)
    python = Client.join(two)
    for to, at_once in (("nobody", True), (python.sid, False)):
        number = ada.ask(to)
        await eventually(lambda: ada.answer(number))  # noqa: B023  # it has ended before the next
        await rest()
        if at_once:
            assert ada.answer(number)["error"] == "peer:unavailable"
        else:
            assert ada.told()[1]["reason"] == "peer:unavailable"
    assert one.peering.links == two.peering.links == 0


@run_async
async def test_other_servers_are_asked_for_ids_only_never_for_rooms() -> None:
    one, two = cluster()
    for io in (one, two):
        io.peers(anybody)
    ada, bob = await start(one, two)
    for room in ("lobby", "x" * 20):
        bob.socket.join(room)
    asked: list[Any] = []
    handlers: Any = two.sockets.adapter._handlers  # type: ignore[attr-defined]  # of a cluster
    handle = handlers[Kind.FETCH_SOCKETS]

    def count(message: Any) -> None:
        asked.append(message)
        handle(message)

    handlers[Kind.FETCH_SOCKETS] = count
    for to in ("lobby", "x" * 20):
        number = ada.ask(to)
        await eventually(lambda: ada.answer(number))  # noqa: B023  # it has ended before the next
        # Who is in a room of the name of an id is not who has the id.
        assert ada.answer(number)["error"] == "peer:unavailable"
    assert len(asked) == 1


@run_async
async def test_what_comes_while_a_server_finds_out_who_its_client_is_is_kept() -> None:
    one, two = cluster()
    known = asyncio.Event()

    async def identify(socket: Socket) -> str:
        await known.wait()
        return "Bob"

    one.peers(anybody)
    two.peers(anybody, identify=identify)
    ada, bob = await start(one, two)
    number = ada.ask(bob.id)
    await eventually(lambda: ada.answer(number))
    link = ada.answer(number)["link"]
    for _ in range(3):
        ada.send("ice", {"link": link, "candidate": CANDIDATE})
    await rest()
    assert bob.take() == []
    known.set()
    await rest()
    assert [event for event, _ in bob.take()] == ["offer", "ice", "ice", "ice"]
    ada.send("bye", {"link": link, "reason": "closed"})
    await rest()
    assert bob.told()[0] == "bye"
    assert two.peering.links == 0


@run_async
async def test_an_offer_to_another_server_expires_there_too() -> None:
    one, two = cluster(limits=Limits(peer_seconds=0.05))
    for io in (one, two):
        io.peers(anybody)
    ada, bob = await start(one, two)
    ada.ask(bob.id)
    await eventually(lambda: bob.take())
    await eventually(lambda: one.peering.links + two.peering.links == 0)
    await rest()
    assert "peer:expired" in [told.get("reason") for _, told in ada.take()]
