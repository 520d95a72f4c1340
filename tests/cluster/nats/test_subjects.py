"""Names of any kind become legal subjects, and no two of them the same."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio import OptionError
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast, Kind, Options
from nuncio.cluster.nats.subjects import (
    LONGEST,
    Subjects,
    checked_prefix,
    checked_stream,
    room_token,
    subject_of,
    token,
)

LEGAL = re.compile(r"[!-~]+")

NAMES = [
    "",
    "a",
    "A",
    "a.b",
    "a b",
    "*",
    ">",
    "a.>",
    "=",
    "==",
    "=n1",
    "=20",
    " ",
    "\x00",
    "é",
    "☃",
]
NAMES += ["\ud800", "\ufffd", "42", "-42", "x" * LONGEST, "x" * (LONGEST + 1), "é" * 500, "é" * 501]
NAMES += ["\r\nPUB x 1\r\n", "$SYS", "_INBOX", "room#1", "/chat", "0" * 1000, "true"]
NUMBERS = [0, 1, 42, -42, 66, 2**63, 2**64, -(2**70), 10**400, 10**400 + 1]


def legal(subject: str) -> bool:
    """Whether it is one token that NATS takes literally."""
    return bool(LEGAL.fullmatch(subject)) and not set(".*>") & set(subject)


def test_every_name_is_a_legal_token_of_its_own() -> None:
    rooms: list[str | int] = [*NAMES, *NUMBERS]
    tokens = [room_token(room) for room in rooms]
    assert all(legal(one) and len(one) <= LONGEST + 2 for one in tokens)
    assert len(set(tokens)) == len(tokens)


def test_simple_names_are_their_own_tokens() -> None:
    assert token("news_2-a") == "news_2-a"
    assert token("room 1") == "room=201"
    assert token("a.b") == "a=2Eb"


@given(st.lists(st.text() | st.integers(), unique_by=lambda one: (type(one), one)))
def test_any_rooms_have_different_legal_tokens(rooms: list[Any]) -> None:
    tokens = [room_token(room) for room in rooms]
    assert all(map(legal, tokens))
    assert len(set(tokens)) == len(tokens)


def test_subjects_of_namespaces_are_apart() -> None:
    names = ["/", "/chat", "/a.b", "/a b", "/*", "/a/room", "/é"]
    for one, two in combinations([Subjects("nuncio", name) for name in names], 2):
        assert not {one.all, one.log, one.room("x")} & {two.all, two.log, two.room("x")}
    assert Subjects("chat.eu", "/chat").room("a") == "chat.eu.chat.room.a"
    assert Subjects("nuncio", "/").all == "nuncio.=.all"


def said(kind: int, *rooms: Any, request: str | None = None) -> ClusterMessage:
    """A message to rooms."""
    told = Broadcast(packet={}, opts=Options(rooms=list(rooms)), request=request)
    return ClusterMessage("x", "/", kind, told)


def test_what_is_for_one_room_goes_to_it_alone() -> None:
    subjects = Subjects("nuncio", "/")
    assert subject_of(subjects, said(Kind.BROADCAST, 42)) == subjects.room(42)
    assert subject_of(subjects, said(Kind.BROADCAST, "a", "b")) == subjects.all
    assert subject_of(subjects, said(Kind.BROADCAST)) == subjects.all
    # Every server is waited for.
    assert subject_of(subjects, said(Kind.BROADCAST, "a", request="q")) == subjects.all
    assert subject_of(subjects, said(Kind.SOCKETS_JOIN, "a")) == subjects.all


@pytest.mark.parametrize(
    "name", ["", ".", "a.", "a..b", "a b", "*", "a.>", "é", "$SYS", 5, "x" * 65]
)
def test_a_wrong_prefix_is_told(name: Any) -> None:
    with pytest.raises(OptionError, match="subject_prefix"):
        checked_prefix(name)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", "é", 5, None, "x" * 65])
def test_a_wrong_stream_is_told(name: Any) -> None:
    with pytest.raises(OptionError, match="stream"):
        checked_stream(name)
