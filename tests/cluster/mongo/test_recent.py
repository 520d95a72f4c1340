"""What was read lately, and where documents stand."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from nuncio.cluster.mongo import recent
from nuncio.cluster.mongo.recent import Recent, id_at


def document(kind: int = 3, nsp: str = "/", id: Any = None) -> RawBSONDocument:
    """A document."""
    fields = {"_id": id or ObjectId(), "type": kind, "nsp": nsp}
    return RawBSONDocument(bson.encode(fields))


def ids(documents: list[RawBSONDocument] | None) -> list[Any] | None:
    """Their ids."""
    return None if documents is None else [one["_id"] for one in documents]


def test_events_after_a_document() -> None:
    read = Recent()
    documents = [document(), document(2), document(nsp="/foo"), document(), document(13)]
    for one in documents:
        read.add(one)
    first = documents[0]["_id"]
    assert ids(read.after(first, "/", True)) == [documents[3]["_id"]]
    assert ids(read.after(first, "/foo", True)) == [documents[2]["_id"]]
    heartbeat = documents[1]["_id"]
    assert ids(read.after(heartbeat, "/", False)) == [documents[3]["_id"]]
    # Who says that it has received a heartbeat has not.
    assert read.after(heartbeat, "/", True) is None
    assert read.after(ObjectId(), "/", False) is None
    assert read.after(documents[4]["_id"], "/", False) == []


def test_nothing_is_known_beyond_a_gap() -> None:
    read = Recent()
    before, behind = document(), document()
    read.add(before)
    read.interrupted()
    read.add(behind)
    assert read.after(before["_id"], "/", True) is None
    assert read.after(behind["_id"], "/", True) == []
    # But it is known that it was read, and where.
    assert read.place_of(before["_id"]) < read.place_of(behind["_id"])


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MOST", 10)
    read = Recent()
    documents = [document() for _ in range(30)]
    for one in documents:
        read.add(one)
    assert len(read._read) == 10
    assert read.after(documents[19]["_id"], "/", True) is None
    assert ids(read.after(documents[20]["_id"], "/", True)) == ids(documents[21:])
    monkeypatch.setattr(recent, "_MOST_BYTES", 1000)
    read.add(document())
    assert len(read._read) == 2


def test_places_grow_and_tell_which_document_it_is() -> None:
    read = Recent()
    assert (read.place, id_at(read.place)) == (0, "")
    # Their ids do not.
    documents = [document(id=ObjectId(f"{number:024x}")) for number in (9, 5, 7, 1)]
    places = []
    for one in documents:
        read.add(one)
        places.append(read.place)
    assert places == sorted(places)
    assert [id_at(place) for place in places] == [str(one["_id"]) for one in documents]
    read.add(document(id=5))
    assert read.place > places[-1]
    assert id_at(read.place) == ""


def test_places_of_what_stands_in_the_collection() -> None:
    read = Recent()
    old = [ObjectId() for _ in range(3)]
    known = [document() for _ in range(3)]
    new = [ObjectId() for _ in range(2)]
    for one in known:
        read.add(one)
    middle = [one["_id"] for one in known]
    places = read.places([*old, *middle, *new])
    # What is behind the last that was read has not been; what is before it has.
    assert len(places) == 6
    assert places == sorted(places)
    assert [id_at(place) for place in places] == [str(id) for id in [*old, *middle]]
    assert places[3:] == [read.place_of(id) for id in middle]
    assert read.places(new) == []
