"""Offsets are known by what they look like, and are no arguments that a server may leave out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from nuncio import AckCallback
from nuncio.client.offsets import is_mistaken, is_offset
from nuncio.cluster.recovery import RecoveryLog
from nuncio.cluster.recovery_options import RecoveryOptions
from nuncio.handlers.binding import bind

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


def moment(seconds: float) -> str:
    """As Node's server writes a moment."""
    left, found = int(seconds * 1000), ""
    while left:
        left, digit = divmod(left, 64)
        found = _DIGITS[digit] + found
    return found


@pytest.mark.parametrize(
    "offset",
    [
        RecoveryLog(RecoveryOptions(), lambda _: None).next_offset(),
        "k3_d-s0A.17",
        "1730000000000-0",
        "0-0+0123abcd.7",
        "1730000000000-12+0123abcd.7",
        "672f1d5e8b3c2a0001f3c9aa",
        "672f1d5e8b3c2a0001f3c9aa+0123abcd.12",
        moment(time.time()),
        moment(time.time() - 3600),
        moment(time.time()) + ".1a",
    ],
)
def test_offsets_of_all_servers_are_known(offset: str) -> None:
    assert is_offset(offset)


@pytest.mark.parametrize(
    "text",
    ["", "message", "PICTURE", "a text", "1.5", "12", "1-", "é" * 24, "0" * 23, "x.1", moment(1e9)],
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_offset(text)


def whole(*args: Any) -> None: ...
def none() -> None: ...
def one(value: Any) -> None: ...
def two(value: Any, offset: str) -> None: ...
def default(value: Any, extra: Any = None) -> None: ...
def acknowledged(value: Any, ack: AckCallback, extra: Any = None) -> None: ...
def rest(value: Any, extra: Any = None, *more: Any) -> None: ...


@pytest.mark.parametrize(
    ("functions", "mistaken"),
    [
        ([], False),
        ([whole], False),
        ([none], False),
        ([one], False),
        ([two], False),
        ([default], True),
        ([acknowledged], True),
        ([rest], True),
        ([one, default, whole], True),
        ([default, two], False),
    ],
)
def test_only_parameters_with_a_default_are_mistaken(
    functions: list[Callable[..., Any]], mistaken: bool
) -> None:
    handlers = [bind(function, "e", takes_socket=False) for function in functions]
    assert is_mistaken(1, handlers) is mistaken
