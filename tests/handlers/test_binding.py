from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Optional, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

import nuncio
from nuncio import AckCallback, ArgumentError, DisconnectReason, OptionError, Server
from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler
from tests.support.aio import run_async
from tests.support.memory import Client

if TYPE_CHECKING:
    from fractions import Fraction

T = TypeVar("T")


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Picture(msgspec.Struct):
    name: str
    data: bytes


@dataclasses.dataclass
class User:
    name: str
    age: int | None = None


class Place(TypedDict):
    city: str
    zip: NotRequired[str]


class Order(pydantic.BaseModel):
    table: int = pydantic.Field(ge=1)
    dishes: list[str] = []


class Colour(Enum):
    RED = "red"


def accept(handler: Handler, *args: object) -> list[Any]:
    """What the handler would be called with for an event with these arguments."""
    return handler.arguments("the socket", [handler.event, *args], "the ack")


def bound(function: Callable[..., Any], **options: Any) -> Handler:
    return bind(function, "event", **{"takes_socket": True, **options})


# How many arguments.


def test_a_handler_is_called_with_as_many_arguments_as_it_declares() -> None:
    assert accept(bound(lambda: None), 1, 2) == []
    assert accept(bound(lambda socket: None), 1, 2) == ["the socket"]
    assert accept(bound(lambda socket, a: None), 1, 2) == ["the socket", 1]
    assert accept(bound(lambda socket, a, b: None), 1, 2) == ["the socket", 1, 2]
    assert accept(bound(lambda socket, *rest: None), 1, 2) == ["the socket", 1, 2]
    assert accept(bound(lambda *everything: None), 1, 2) == ["the socket", 1, 2]


def test_the_handler_of_one_socket_does_not_receive_it() -> None:
    assert accept(bound(lambda a: None, takes_socket=False), 1, 2) == [1]


def test_a_parameter_with_a_default_may_be_missing() -> None:
    def handler(socket: Any, a: int, b: int = 5) -> None: ...

    assert accept(bound(handler), 1) == ["the socket", 1]
    assert accept(bound(handler), 1, 2) == ["the socket", 1, 2]


def test_a_missing_argument_is_named() -> None:
    def handler(socket: Any, room: str, text: str) -> None: ...

    with pytest.raises(ArgumentError, match=r"'text': is missing") as caught:
        accept(bound(handler), "lobby")
    assert caught.value.event == "event"
    assert caught.value.argument == "text"


def test_lifecycle_handlers_are_called_even_with_fewer_arguments_than_they_declare() -> None:
    def handler(socket: Any, reason: int) -> None: ...

    assert accept(bound(handler, lifecycle=True), "not an int") == ["the socket", "not an int"]
    assert accept(bound(handler, lifecycle=True)) == ["the socket"]


def test_keyword_only_parameters_need_a_default() -> None:
    def optional(socket: Any, *, flag: bool = False) -> None: ...

    def required(socket: Any, *, flag: bool) -> None: ...

    assert accept(bound(optional), 1) == ["the socket"]
    with pytest.raises(OptionError, match=r"keyword-only parameter 'flag'"):
        bound(required)


def test_keyword_arguments_are_ignored() -> None:
    def handler(socket: Any, a: int, **options: Any) -> None: ...

    assert accept(bound(handler), 1) == ["the socket", 1]


def test_a_handler_of_a_namespace_that_forgets_the_socket_is_told() -> None:
    def handler(text: str) -> None: ...

    with pytest.raises(OptionError, match=r"first parameter of the handler .* is the socket"):
        bound(handler)
    assert accept(bound(handler, takes_socket=False), "text") == ["text"]
    assert accept(bound(handler, lifecycle=True), "text") == ["the socket"]


# What can be a handler.


class Game:
    """Its methods are handlers."""

    def move(self, socket: Any, point: Point) -> None: ...

    async def wait(self, socket: Any, seconds: float) -> None: ...

    def __call__(self, socket: Any, text: str) -> None: ...


class AsyncCallable:
    async def __call__(self, socket: Any, text: str) -> None: ...


def test_methods_and_callable_objects_are_bound_with_their_annotations() -> None:
    game = Game()
    assert accept(bound(game.move), {"x": 1}) == ["the socket", Point(1)]
    assert accept(bound(game), "text") == ["the socket", "text"]
    with pytest.raises(ArgumentError, match="Expected `str`"):
        accept(bound(game), 1)


def test_async_handlers_are_known_as_such() -> None:
    async def handler(socket: Any) -> None: ...

    assert bound(handler).is_async
    assert bound(Game().wait).is_async
    assert bound(AsyncCallable()).is_async
    assert bound(functools.partial(handler)).is_async
    assert not bound(Game().move).is_async
    assert not bound(lambda: None).is_async


def test_partial_functions_take_what_is_left() -> None:
    def handler(prefix: str, socket: Any, point: Point) -> None: ...

    assert accept(bound(functools.partial(handler, "p")), {"x": 2}) == ["the socket", Point(2)]


def test_decorated_functions_show_the_signature_of_what_they_wrap() -> None:
    def plain(socket: Any, point: Point) -> None: ...

    @functools.wraps(plain)
    def wrapper(*args: Any) -> None: ...

    assert accept(bound(wrapper), {"x": 3}, "more") == ["the socket", Point(3)]


def test_builtin_functions_are_called_with_what_there_is() -> None:
    found: list[Any] = []
    assert accept(bound(found.append, takes_socket=False), 1, 2) == [1]
    # This one does not tell its signature.
    assert accept(bound(operator.itemgetter(0), takes_socket=False), [7]) == [[7]]
    assert accept(bound(print), 1) == ["the socket", 1]


@pytest.mark.parametrize("handler", [None, 3, "text", []])
def test_what_cannot_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(OptionError, match=r"handler of 'event' must be callable"):
        bound(handler)


def test_threads_are_for_functions_that_block() -> None:
    async def handler(socket: Any) -> None: ...

    with pytest.raises(OptionError, match="thread=True is for def functions"):
        bound(handler, thread=True)
    assert bound(lambda: None, thread=True).thread


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "2"])
def test_concurrency_is_a_whole_number(concurrency: Any) -> None:
    with pytest.raises(OptionError, match="concurrency must be a whole number of at least 1"):
        bound(lambda: None, concurrency=concurrency)


# Plain types.


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (str, ["", "text"], [1, None, b"", ["text"]]),
        (int, [0, -5, 2**60], [1.5, "1", True, None]),
        (float, [1.5, -0.0], ["1.5", True, None]),
        (bool, [True, False], [0, 1, "true", None]),
        (bytes, [b"", b"data"], ["data", [1, 2], None]),
        (list, [[], [1, "two"]], [{}, "list", None]),
        (dict, [{}, {"a": 1}], [[], "dict", None]),
    ],
)
def test_plain_types_are_checked_without_conversion(
    kind: type, good: list[Any], bad: list[Any]
) -> None:
    def handler(socket: Any, value: Any) -> None: ...

    handler.__annotations__["value"] = kind
    check = bound(handler)
    for value in good:
        args = accept(check, value)
        assert args[1] is value
    for value in bad:
        with pytest.raises(ArgumentError, match=f"Expected `{kind.__name__}`") as caught:
            accept(check, value)
        assert caught.value.argument == "value"


def test_a_whole_number_is_also_a_float() -> None:
    def handler(socket: Any, value: float) -> None: ...

    _, value = accept(bound(handler), 3)
    assert value == 3.0
    assert type(value) is float


def test_what_was_wrong_is_named_as_json_names_it() -> None:
    def handler(socket: Any, value: str) -> None: ...

    with pytest.raises(ArgumentError, match=r"^event 'event', argument 'value': .*got `null`$"):
        accept(bound(handler), None)


def test_parameters_without_a_meaning_for_data_are_not_checked() -> None:
    def handler(socket: Any, a, b: Any, c: object, d: T) -> None: ...  # type: ignore[no-untyped-def]

    odd = object()
    assert accept(bound(handler), odd, odd, odd, odd) == ["the socket", odd, odd, odd, odd]


# Structured types.


def test_structs_are_made_from_plain_data() -> None:
    def handler(socket: Any, point: Point) -> None: ...

    assert accept(bound(handler), {"x": 1, "y": 2, "z": 3}) == ["the socket", Point(1, 2)]
    with pytest.raises(ArgumentError, match=r"Expected `int`, got `str` - at `\$.x`"):
        accept(bound(handler), {"x": "1"})
    with pytest.raises(ArgumentError, match="missing required field `x`"):
        accept(bound(handler), {})


def test_binary_fields_take_bytes_and_nothing_else() -> None:
    def handler(socket: Any, picture: Picture) -> None: ...

    args = accept(bound(handler), {"name": "n", "data": b"\x00\xff"})
    assert args[1] == Picture("n", b"\x00\xff")
    with pytest.raises(ArgumentError, match=r"Expected `bytes`, got `str` - at `\$.data`"):
        accept(bound(handler), {"name": "n", "data": "AAAA"})


def test_dataclasses_are_made_from_plain_data() -> None:
    def handler(socket: Any, user: User) -> None: ...

    assert accept(bound(handler), {"name": "ada"}) == ["the socket", User("ada")]
    with pytest.raises(ArgumentError, match=r"at `\$.age`"):
        accept(bound(handler), {"name": "ada", "age": "old"})


def test_typed_dicts_are_checked() -> None:
    def handler(socket: Any, place: Place) -> None: ...

    assert accept(bound(handler), {"city": "Ulm"}) == ["the socket", {"city": "Ulm"}]
    with pytest.raises(ArgumentError, match="missing required field `city`"):
        accept(bound(handler), {"zip": "89073"})


def test_pydantic_models_are_validated() -> None:
    def handler(socket: Any, order: Order) -> None: ...

    args = accept(bound(handler), {"table": 3, "dishes": ["soup"]})
    assert args[1] == Order(table=3, dishes=["soup"])
    with pytest.raises(ArgumentError) as caught:
        accept(bound(handler), {"table": 0})
    assert caught.value.detail == "Input should be greater than or equal to 1 - at `$.table`"


def test_pydantic_models_may_be_optional_or_in_collections() -> None:
    def optional(socket: Any, order: Order | None) -> None: ...

    def many(socket: Any, orders: list[Order]) -> None: ...

    assert accept(bound(optional), None) == ["the socket", None]
    assert accept(bound(optional), {"table": 1})[1] == Order(table=1)
    assert accept(bound(many), [{"table": 1}, {"table": 2}])[1] == [Order(table=1), Order(table=2)]
    with pytest.raises(ArgumentError) as caught:
        accept(bound(many), [{"table": 1}, {"table": 0}])
    # One line, without pydantic's advertisement and without the peer's own value.
    assert caught.value.detail.startswith("Input should be greater than or equal to 1")
    assert "\n" not in caught.value.detail
    assert "https" not in caught.value.detail


def test_optional_and_unions() -> None:
    def handler(
        socket: Any,
        a: Optional[str],  # noqa: UP045
        b: int | str,
        c: Point | None = None,
    ) -> None: ...

    check = bound(handler)
    assert accept(check, None, 1) == ["the socket", None, 1]
    assert accept(check, "a", "b", {"x": 1}) == ["the socket", "a", "b", Point(1)]
    with pytest.raises(ArgumentError, match=r"Expected `int \| str`") as caught:
        accept(check, "a", [])
    assert caught.value.argument == "b"


def test_collections_literals_enums_and_constraints() -> None:
    def handler(
        socket: Any,
        numbers: list[int],
        pair: tuple[int, str],
        mode: Literal["on", "off"],
        colour: Colour,
        short: Annotated[str, msgspec.Meta(max_length=3)],
    ) -> None: ...

    check = bound(handler)
    good = [[1, 2], [1, "a"], "on", "red", "abc"]
    assert accept(check, *good) == ["the socket", [1, 2], (1, "a"), "on", Colour.RED, "abc"]
    for index, bad in enumerate((["1"], [1], "up", "blue", "abcd")):
        wrong = [*good]
        wrong[index] = bad
        with pytest.raises(ArgumentError) as caught:
            accept(check, *wrong)
        names = ["numbers", "pair", "mode", "colour", "short"]
        assert caught.value.argument == names[index]


def test_each_of_many_arguments_is_checked() -> None:
    def handler(socket: Any, first: str, *numbers: int) -> None: ...

    check = bound(handler)
    assert accept(check, "a") == ["the socket", "a"]
    assert accept(check, "a", 1, 2, 3) == ["the socket", "a", 1, 2, 3]
    with pytest.raises(ArgumentError, match="Expected `int`") as caught:
        accept(check, "a", 1, "2")
    assert caught.value.argument == "numbers"


def test_annotations_may_be_strings_and_refer_to_local_types() -> None:
    class Local(msgspec.Struct):
        value: int

    def handler(socket: Any, local: Local) -> Any:
        return Local

    assert accept(bound(handler), {"value": 1}) == ["the socket", Local(1)]


def test_an_annotation_that_cannot_be_resolved_warns_and_is_not_checked() -> None:
    def handler(socket: Any, number: Fraction) -> None: ...

    with pytest.warns(UserWarning, match=r"annotation 'Fraction' of parameter 'number'"):
        check = bound(handler)
    assert accept(check, "anything") == ["the socket", "anything"]


def test_an_annotation_that_no_data_can_fit_is_refused() -> None:
    def handler(socket: Any, callback: Callable[[int], int]) -> None: ...

    with pytest.raises(OptionError, match="annotation of parameter 'callback'"):
        bound(handler)


# The acknowledgement function.


def test_the_acknowledgement_function_goes_where_it_is_declared() -> None:
    def last(socket: Any, a: int, ack: AckCallback) -> None: ...

    def middle(socket: Any, a: int, ack: AckCallback, b: int) -> None: ...

    def first(socket: Any, ack: AckCallback, a: int) -> None: ...

    def qualified(socket: Any, ack: nuncio.AckCallback) -> None: ...

    assert accept(bound(last), 1) == ["the socket", 1, "the ack"]
    assert accept(bound(last), 1, 2) == ["the socket", 1, "the ack"]
    assert accept(bound(middle), 1, 2) == ["the socket", 1, "the ack", 2]
    assert accept(bound(first), 1) == ["the socket", "the ack", 1]
    assert accept(bound(qualified)) == ["the socket", "the ack"]


def test_the_acknowledgement_function_may_be_all_that_is_declared() -> None:
    def handler(ack: AckCallback) -> None: ...

    assert accept(bound(handler), 1) == ["the ack"]
    assert accept(bound(handler, takes_socket=False), 1) == ["the ack"]


def test_the_acknowledgement_function_follows_what_is_optional() -> None:
    def handler(socket: Any, a: int, b: int = 7, ack: AckCallback | None = None) -> None: ...

    handler.__annotations__["ack"] = AckCallback
    check = bound(handler)
    assert accept(check, 1) == ["the socket", 1, 7, "the ack"]
    assert accept(check, 1, 2) == ["the socket", 1, 2, "the ack"]


def test_the_acknowledgement_function_cannot_come_before_the_socket() -> None:
    def handler(ack: AckCallback, socket: Any) -> None: ...

    with pytest.raises(OptionError, match="the socket comes first"):
        bound(handler)


def test_the_acknowledgement_function_may_be_keyword_only() -> None:
    def handler(socket: Any, *args: int, ack: AckCallback) -> None: ...

    with pytest.raises(OptionError, match="keyword-only parameter 'ack'"):
        bound(handler)


def test_a_missing_argument_beside_an_acknowledgement_function_is_named() -> None:
    def handler(socket: Any, ack: AckCallback, a: int) -> None: ...

    with pytest.raises(ArgumentError) as caught:
        accept(bound(handler))
    assert caught.value.argument == "a"


# What newcomers bring along.


@run_async
async def test_a_middleware_of_events_is_given_no_next() -> None:
    socket = Client.join(Server()).socket
    for middleware in (lambda event, next: next(), lambda event, data, next: next()):
        with pytest.raises(OptionError, match=r"there is no `next`.*EventError to drop"):
            socket.use(middleware)
    assert socket.use(print) is print


@pytest.mark.parametrize("event", ["disconnect", "disconnecting", "connection", "auth_refreshed"])
@pytest.mark.parametrize("annotation", [str, "str", "nuncio.DisconnectReason", DisconnectReason])
def test_a_lifecycle_handler_takes_the_socket_first(event: str, annotation: Any) -> None:
    def handler(reason: Any) -> None: ...

    handler.__annotations__["reason"] = annotation
    with pytest.raises(OptionError, match=rf"write def {event}\(socket, reason"):
        Server().on(event, handler)


@pytest.mark.parametrize("middleware", [lambda socket, next: next(), lambda: None])
def test_a_middleware_takes_the_socket_alone(middleware: Any) -> None:
    with pytest.raises(OptionError, match="no `next`"):
        Server().use(middleware)


def test_a_middleware_may_have_parameters_with_defaults() -> None:
    def with_default(socket: Any, log: Any = print) -> None: ...

    Server().use(with_default)
    Server().use(lambda *args: None)


def test_there_is_no_event_for_all_events() -> None:
    with pytest.raises(OptionError, match="on_any"):
        Server().on("*", lambda socket: None)


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout", "connect_timeout"])
def test_milliseconds_are_recognised(name: str) -> None:
    with pytest.raises(OptionError, match="milliseconds"):
        Server(**{name: 25000})
