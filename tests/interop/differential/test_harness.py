"""The comparison itself: it must be able to fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from nuncio import Server
from tests.interop.differential.harness import (
    ASGI,
    NATIVE,
    Differs,
    Log,
    Reference,
    Scenario,
    javascript,
)
from tests.interop.differential.transcripts import normalised, pack
from tests.support.node import WEBSOCKET

SERVER = 'io.on("connection", (socket) => socket.on("ask", (x, ack) => ack(x)));'
CLIENT = 'const a = await connect(); await a.ask("ask", 1);'


def right(io: Server, log: Log) -> None:
    io.on("ask", lambda socket, x: x)


def wrong(io: Server, log: Log) -> None:
    io.on("ask", lambda socket, x: x + 1)


def check(
    reference: Reference, app: Callable[[Server, Log], None], client: str, *differs: Differs
) -> None:
    Scenario(app, SERVER, client, {}, "", differs).check(reference, WEBSOCKET)


def test_what_is_the_same_passes(reference: Reference) -> None:
    check(reference, right, CLIENT)


def test_what_differs_fails(reference: Reference) -> None:
    with pytest.raises(pytest.fail.Exception, match=r'-a: \["answer", 1\]\n\+a: \["answer", 2\]'):
        check(reference, wrong, CLIENT)


def test_a_declared_difference_passes(reference: Reference) -> None:
    check(reference, wrong, CLIENT, Differs("why", "a", [["answer", 1]], [["answer", 2]]))


def test_a_difference_of_one_host_is_none_of_the_other(reference: Reference) -> None:
    for host, other in ((NATIVE, ASGI), (ASGI, NATIVE)):
        difference = Differs("why", "a", [["answer", 1]], [["answer", 2]], host=host)
        scene = Scenario(wrong, SERVER, CLIENT, {}, "", [difference])
        scene.check(reference, WEBSOCKET, host)
        with pytest.raises(pytest.fail.Exception, match=f"Nuncio .{other}"):
            scene.check(reference, WEBSOCKET, other)


def test_a_declared_difference_must_be_there(reference: Reference) -> None:
    difference = Differs("why", "a", [["answer", 1]], [["answer", 2]])
    with pytest.raises(pytest.fail.Exception):
        check(reference, right, CLIENT, difference)
    difference = Differs("why", "a", [["answer", 3]], [["answer", 2]])
    with pytest.raises(pytest.fail.Exception, match="does not do what is declared"):
        check(reference, wrong, CLIENT, difference)


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ('throw new Error("ouch")', "ouch"),
        ("nobody()", "nobody is not defined"),
        ('const a = await connect(); throw new TypeError("ouch")', "TypeError: ouch"),
        ('await server.do("nothing such")', "the script failed"),
    ],
)
def test_a_script_that_fails_is_told(reference: Reference, client: str, why: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=why):
        check(reference, right, client)


def test_a_script_must_record_something(reference: Reference) -> None:
    with pytest.raises(AssertionError, match="nothing was recorded"):
        check(reference, right, "")


def test_ids_and_addresses_are_replaced() -> None:
    one, two = "0123456789abcdefghij", "_-ABCDEFGHIJabcdefgh"
    actors: dict[str, list[list[Any]]] = {
        "server": [["x", {"$set": [two, "room", one]}, {one: None}]],
        "a": [["text", f'40{{"sid":"{two}"}}', f"x{one}"], ["text", "http://127.0.0.1:1234/"]],
        "b": [["text", one, "namespace disconnect"], ["undefined", {"$js": "undefined"}]],
    }
    assert normalised(actors) == {
        "a": [["text", '40{"sid":"<1>"}', f"x{one}"], ["text", "http://<host>/"]],
        "b": [["text", "<2>", "namespace disconnect"], ["undefined", {"$js": "undefined"}]],
        "server": [["x", {"$set": ["<1>", "<2>", "room"]}, {"<2>": None}]],
    }
    assert list(normalised(actors)) == ["a", "b", "server"]


def test_values_are_packed_as_in_javascript() -> None:
    at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    values = [b"\x00", {"a": (1, None)}, {1}, ValueError("x"), print, at, -0.0, 0.0, math.nan]
    assert pack(values) == [
        {"$bytes": "AA=="},
        {"a": [1, None]},
        {"$set": [1]},
        {"$error": {"message": "x"}},
        {"$js": "function"},
        {"$date": 1000},
        {"$js": "-0"},
        0.0,
        {"$js": "NaN"},
    ]


def test_options_are_translated() -> None:
    options = {"ping_interval": 0.1, "cors": {"max_age": 600}, "allow_eio3": True}
    assert (
        javascript(options) == '{"pingInterval": 100, "cors": {"maxAge": 600}, "allowEIO3": true}'
    )
