"""Signatures: who knows the secret can make them, for one place each."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import OptionError
from nuncio.cluster.signing import LENGTH, UNSIGNED, Signer, framed, signer
from nuncio.errors import PacketError

SECRET = "a secret of all servers"
MESSAGE = b'{"type":3}'


def test_what_is_signed_is_verified() -> None:
    one, two = Signer(SECRET), Signer(SECRET.encode())
    for data in (MESSAGE, b"", b"\x00\xff" * 10_000):
        assert two.verify(one.sign(data)) == data
        assert two.verify(one.sign(data, b"here"), b"here") == data
        two.check(one.signature(data, b"here"), data, b"here")


def test_a_signature_is_text_of_one_length() -> None:
    signed = Signer(SECRET).sign(MESSAGE)
    assert signed[LENGTH:] == MESSAGE
    assert signed[:LENGTH].isascii() and signed[:LENGTH].decode().isprintable()


@pytest.mark.parametrize("place", [0, LENGTH - 1, LENGTH, -1])
def test_no_bit_may_change(place: int) -> None:
    signed = bytearray(Signer(SECRET).sign(MESSAGE))
    signed[place] ^= 1
    with pytest.raises(PacketError):
        Signer(SECRET).verify(bytes(signed))


@pytest.mark.parametrize("data", [b"", b"x", MESSAGE, b"A" * LENGTH, b"A" * 100, b"\xff" * 100])
def test_what_is_not_signed_is_told(data: bytes) -> None:
    with pytest.raises(PacketError):
        Signer(SECRET).verify(data)


def test_another_secret_is_another_signature() -> None:
    signed = Signer(SECRET + "!").sign(MESSAGE)
    with pytest.raises(PacketError):
        Signer(SECRET).verify(signed)
    # All of a long one counts.
    long = "x" * 1000
    with pytest.raises(PacketError):
        Signer(long + "a").verify(Signer(long + "b").sign(MESSAGE))
    assert Signer(long).verify(Signer(long).sign(MESSAGE)) == MESSAGE


def test_a_signature_is_worth_nothing_elsewhere() -> None:
    signed = Signer(SECRET).sign(MESSAGE, b"here")
    for place in (b"there", b"", b"her"):
        with pytest.raises(PacketError):
            Signer(SECRET).verify(signed, place)
    # Nor may what is said begin where the place's name ends.
    shifted = Signer(SECRET).signature(b"abc", b"here")
    with pytest.raises(PacketError):
        Signer(SECRET).check(shifted, b"eabc", b"her")


def test_framed_is_different_for_whatever_is_different() -> None:
    told = [(), (b"",), (b"", b""), (b"a", b"b"), (b"ab",), (b"a",)]
    made = {framed(*parts) for parts in told}
    assert len(made) == len(told)


def test_without_a_secret_nothing_changes() -> None:
    assert signer(None) is UNSIGNED
    assert not UNSIGNED.signs
    assert UNSIGNED.sign(MESSAGE, b"here") == MESSAGE
    assert UNSIGNED.verify(MESSAGE, b"there") == MESSAGE
    UNSIGNED.check(b"", MESSAGE)


@pytest.mark.parametrize("secret", ["", "short", b"fifteen bytes..", 5, ["x" * 20]])
def test_a_secret_that_is_none_is_told(secret: Any) -> None:
    with pytest.raises(OptionError, match="secret"):
        signer(secret)
