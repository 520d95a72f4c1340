from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.webtransport.capsules import CapsuleReader, close_capsule, read_int, write_int


@given(st.integers(0, 2**62 - 1))
def test_integers_come_back(value: int) -> None:
    data = write_int(value)
    assert read_int(data, 0) == (value, len(data))
    assert read_int(data[:-1], 0) is None


@pytest.mark.parametrize(
    ("value", "data"),
    [(37, "25"), (15293, "7bbd"), (494878333, "9d7f3e7d"), (0x2843, "6843")],
)
def test_integers_are_those_of_the_specification(value: int, data: str) -> None:
    assert write_int(value).hex() == data


def test_the_end_without_code_and_reason_is_what_was_seen_to_work_in_chromium() -> None:
    assert close_capsule(0, "").hex() == "68430400000000"


@given(st.integers(0, 2**32 - 1), st.text(max_size=300), st.integers(1, 50))
def test_an_end_is_read_in_pieces_of_any_size(code: int, reason: str, size: int) -> None:
    data = write_int(0x17) + write_int(70) + bytes(70) + close_capsule(code, reason)
    reader = CapsuleReader()
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    assert reader.closed == (code, reason)


def test_a_long_reason_is_cut_between_characters() -> None:
    reader = CapsuleReader()
    reader.feed(close_capsule(1, "€" * 1000))
    assert reader.closed == (1, "€" * 341)


def test_others_are_passed_over_and_not_kept_however_long_they_say_they_are() -> None:
    reader = CapsuleReader()
    reader.feed(write_int(0x2843) + write_int(2**40))
    for _ in range(100):
        reader.feed(bytes(10_000))
    assert reader.closed is None and not reader._rest
