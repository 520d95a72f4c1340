"""Ids of sessions and sockets, which are secrets and names at once."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode

from nuncio.ids import new_id


def test_a_million_ids_are_all_different_and_look_as_they_should() -> None:
    # Among a million values of 120 random bits two are the same with a probability of about
    # (10**6)**2 / 2**121, which is 4e-25; with 32 random bits there would be a hundred such pairs.
    many = 1_000_000
    ids = {new_id() for _ in range(many)}
    assert len(ids) == many
    # Fifteen bytes as base64 for addresses: twenty characters, and no padding.
    assert all(map(re.compile(r"[A-Za-z0-9_-]{20}").fullmatch, ids))


def test_every_bit_of_an_id_is_random() -> None:
    many = 10_000
    ones = [0] * 120
    for _ in range(many):
        number = int.from_bytes(urlsafe_b64decode(new_id()), "big")
        for bit in range(120):
            ones[bit] += number >> bit & 1
    # The standard deviation is 50: eight of them are passed once in 10**13 runs of the test.
    assert all(abs(count - many / 2) < 400 for count in ones)
