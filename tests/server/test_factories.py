"""`io.of(name, factory)`: who brings JavaScript's connection listener along is told."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

import nuncio
from nuncio import Namespace, OptionError, Server
from tests.support.aio import run_async
from tests.support.memory import Client

HINT = re.escape('a connection handler is registered with @io.of(name).on("connection")')


def annotated(client: nuncio.Socket[Any, Any]) -> None: ...


def evaluated(client: Any) -> None: ...


evaluated.__annotations__["client"] = nuncio.Socket


async def later(name: Any) -> None: ...


@pytest.mark.parametrize("where", ["/x", re.compile("^/x"), lambda name, auth: True])
@pytest.mark.parametrize("listener", [lambda socket: None, annotated, evaluated, later])
def test_a_connection_listener_is_refused_at_once(where: Any, listener: Any) -> None:
    io = Server()
    with pytest.raises(OptionError, match=f"factory: .* cannot make a namespace; {HINT}"):
        io.of(where, listener)
    assert (io.all_namespaces(), io.parents) == ([], [])


@pytest.mark.parametrize("where", ["/x", re.compile("^/x"), lambda name, auth: True])
@pytest.mark.parametrize("factory", [5, "Chat", Namespace("/y")])
def test_what_cannot_be_called_is_refused_at_once(where: Any, factory: Any) -> None:
    with pytest.raises(OptionError, match="factory must be a class or a function, not"):
        Server().of(where, factory)


@pytest.mark.parametrize("factory", [lambda s: s.join("room"), lambda name: None, dict.fromkeys])
def test_what_makes_something_else_is_told(factory: Any) -> None:
    io = Server()
    with pytest.raises(OptionError, match=f"derived from nuncio.Namespace, not .*; {HINT}"):
        io.of("/x", factory)
    assert io.all_namespaces() == []


def test_a_listener_that_fails_as_a_factory_has_a_note() -> None:
    with pytest.raises(AttributeError, match="'str' object has no attribute 'on'") as caught:
        listener: Any = lambda s: s.on("hello", print)  # noqa: E731  # that is the mistake
        Server().of("/x", listener)
    (note,) = caught.value.__notes__
    assert re.search(f"called the factory with '/x'; {HINT}", note)


@run_async
async def test_what_makes_something_else_for_a_client_is_reported() -> None:
    io = Server()
    errors: list[BaseException] = []
    io.on_error(lambda error, *_: errors.append(error))
    make: Any = lambda name: name  # noqa: E731  # that is the mistake
    io.of(re.compile("^/x"), make)
    client = Client(io)
    client.send("0/x,")
    assert client.wire.messages == ['4/x,{"message":"Invalid namespace"}']
    (error,) = errors
    assert isinstance(error, OptionError)
    assert "factory must return" in str(error)
    await io.close()


class Chat(Namespace):
    """A namespace of an application's own."""


def test_factories_are_taken() -> None:
    io = Server()
    factories: list[Any] = [Chat, lambda name: Chat(name), functools.partial(Chat)]
    for index, factory in enumerate(factories):
        assert io.of(f"/{index}", factory).name == f"/{index}"
