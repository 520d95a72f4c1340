from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nuncio import Ack, ArgumentError
from nuncio.handlers.binding import bind


def test_an_ack_holds_its_values() -> None:
    assert Ack().values == []
    assert Ack(1, [2], None).values == [1, [2], None]


def test_only_handlers_that_wait_count_against_the_concurrency() -> None:
    async def waits(socket: Any) -> None: ...

    def blocks(socket: Any) -> None: ...

    assert bind(waits, "event", takes_socket=True).is_async
    assert bind(blocks, "event", takes_socket=True, thread=True).thread
    assert not bind(blocks, "event", takes_socket=True).is_async


def test_one_unchecked_argument_is_the_simple_case() -> None:
    def checked(socket: Any, a: int) -> None: ...

    assert bind(lambda socket, a: None, "event", takes_socket=True).simple
    assert bind(lambda a: None, "event", takes_socket=False).simple
    assert not bind(lambda socket, a, b: None, "event", takes_socket=True).simple
    assert not bind(lambda socket: None, "event", takes_socket=True).simple
    assert not bind(checked, "event", takes_socket=True).simple


def test_arguments_never_change_what_arrived() -> None:
    def handler(socket: Any, a: float, *rest: float) -> None: ...

    payload = ["event", 1, 2]
    bind(handler, "event", takes_socket=True).arguments("socket", payload, None)
    assert payload == ["event", 1, 2]
    assert [type(value) for value in payload] == [str, int, int]


@given(
    least=st.integers(0, 3),
    optional=st.integers(0, 3),
    rest=st.booleans(),
    takes_socket=st.booleans(),
    given=st.integers(0, 8),
)
def test_python_itself_agrees_with_the_arguments(
    least: int, optional: int, rest: bool, takes_socket: bool, given: int
) -> None:
    """Whatever is declared, the call works, and nothing that fits is left out."""
    names = ["socket"] if takes_socket else []
    names += [f"a{index}" for index in range(least)]
    names += [f"b{index}=None" for index in range(optional)]
    names += ["*rest"] if rest else []
    scope: dict[str, Any] = {}
    exec(f"def function({', '.join(names)}): return dict(locals())", scope)
    handler = bind(scope["function"], "event", takes_socket=takes_socket)
    payload = ["event", *range(given)]
    try:
        args = handler.arguments("the socket", payload, None)
    except ArgumentError as error:
        assert given < least
        assert error.argument == f"a{given}"
        return
    assert given >= least
    called = scope["function"](*args)
    expected = list(range(given)) if rest else list(range(min(given, least + optional)))
    if takes_socket:
        assert called["socket"] == "the socket"
        args = args[1:]
    assert args == expected


def test_an_argument_error_has_an_answer_for_the_client() -> None:
    error = ArgumentError("order", "table", "is missing")
    assert str(error) == "event 'order', argument 'table': is missing"
    assert error.answer() == {
        "error": {"code": "invalid_argument", "argument": "table", "message": "is missing"}
    }
