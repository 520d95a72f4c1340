"""What is waited for, filtered and compared."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio.cli.matching import admits, begins_with, holds, without


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (1, 1),
        (1.0, 1),
        ("a", "a"),
        (b"a", b"a"),
        (None, None),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": {"b": [{"c": 1, "d": 2}]}}, {"a": {"b": [{"c": 1}]}}),
        ([1, (2, 3)], [1, [2, 3]]),
    ],
)
def test_it_holds(got: Any, wanted: Any) -> None:
    assert holds(got, wanted)


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (1, 2),
        (True, 1),
        (1, True),
        ("1", 1),
        ({"a": 1}, {"b": 1}),
        ({"a": None}, {"b": None}),
        ("a", {"a": 1}),
        ([1, 2], [1]),
        ({"0": 1}, [1]),
    ],
)
def test_it_does_not_hold(got: Any, wanted: Any) -> None:
    assert not holds(got, wanted)


def test_arguments_begin_with_what_is_expected() -> None:
    assert begins_with((1, 2, 3), (1, 2))
    assert begins_with((1,), ())
    assert not begins_with((1,), (1, 2))


def test_keys_are_left_out_at_any_depth() -> None:
    value = [{"id": 1, "a": ({"id": 2, "b": 3},)}]
    assert without(value, ["id"]) == [{"a": [{"b": 3}]}]


@pytest.mark.parametrize(
    ("patterns", "shown", "hidden"),
    [
        ((), ["a", ""], []),
        (("mess*",), ["message", "mess"], ["Message", "a mess"]),
        (("a", "b"), ["a", "b"], ["ab"]),
        (("!typing",), ["message"], ["typing"]),
        (("user:*", "!user:gone"), ["user:new"], ["user:gone", "message"]),
    ],
)
def test_a_filter(patterns: tuple[str, ...], shown: list[str], hidden: list[str]) -> None:
    assert all(admits(patterns, name) for name in shown)
    assert not any(admits(patterns, name) for name in hidden)
