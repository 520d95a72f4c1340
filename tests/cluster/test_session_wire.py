from __future__ import annotations

import pytest

from nuncio.cluster import session_wire as wire
from nuncio.cluster.outbox import Outbox
from nuncio.cluster.recovery import SavedAccess, SavedSession
from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message

# What Node kept of a client, see the capture of recovery.
OF_NODE = (
    b"hKNzaWS0WlRhYmpEMGtnc1dlbnY5MkFBQUGjcGlktFlPUElmdlBWdHQ5RFhVMElBQUFCpXJvb21zkrRaVGFiakQwa2dz"
    b"V2VudjkyQUFBQaVyb29tMaRkYXRhhKR1c2Vyo2JvYqR3aGVu1v9lU/EAo2JpbsQCenqhdcA="
)


def test_a_session_of_node_is_read_and_written_byte_for_byte() -> None:
    session = wire.decode(OF_NODE)
    assert session.rooms == ["ZTabjD0kgsWenv92AAAA", "room1"]
    assert session.data["user"] == "bob"
    assert session.data["bin"] == b"zz"
    assert session.data["when"].year == 2023
    assert wire.encode(session) == OF_NODE
    found = wire.saved(session)
    assert found.rooms == {"ZTabjD0kgsWenv92AAAA": 0, "room1": 0}
    assert (found.since, found.access) == (0, None)


def test_a_session_of_ours_is_kept_whole() -> None:
    rooms: dict[str | int, int] = {"s": wire.position_of("5-0"), 7: wire.position_of("6-1")}
    access = SavedAccess({"name": "ada"}, "ada", ("vip",), 1e10, 5.0, "soon")
    outbox = Outbox(10, 1000)
    outbox.add(3, wire.position_of("8-0"), Message(b"x"), ["e", 1, "8-0"])
    session = SavedSession("s", "p", rooms, wire.position_of("4-0"), {"a": b"1"}, access, outbox)
    told = wire.decode(wire.encode(wire.told(session, wire.position_of("9-0"))))
    assert told.left == "9-0"
    assert told.outbox == [("8-0", ["e", 1, "8-0"])]
    found = wire.saved(told)
    assert (found.sid, found.pid, found.rooms, found.since) == ("s", "p", rooms, session.since)
    assert found.data == {"a": b"1"}
    assert found.access is not None
    kept = found.access
    assert (kept.user, kept.key, kept.rooms) == ({"name": "ada"}, "ada", ("vip",))
    assert (kept.expires_at, kept.notice, kept.event) == (1e10, 5.0, "soon")


@pytest.mark.parametrize("text", [b"", b"*", b"gA==", b"e30=", b"kA==", b"\xff"])
def test_what_is_no_session_is_told(text: bytes) -> None:
    with pytest.raises(PacketError):
        wire.decode(text)


def test_positions_are_ids() -> None:
    for id in ("0-0", "1-0", "1795253326147-12"):
        assert wire.id_of(wire.position_of(id)) == id
    assert wire.position_of("9-5") < wire.position_of("10-0")
