from __future__ import annotations

from nuncio.client.keys import Keys


def test_keys_are_four_bytes_and_none_comes_twice() -> None:
    keys = Keys()
    # Several times what is asked of the system at once.
    given = [keys.next() for _ in range(5000)]
    assert {len(key) for key in given} == {4}
    # Of five thousand out of four thousand million a few at most are equal.
    assert len(set(given)) > 4990


def test_keys_of_different_loops_have_nothing_in_common() -> None:
    one, other = Keys(), Keys()
    assert not {one.next() for _ in range(100)} & {other.next() for _ in range(100)}


def test_every_byte_varies() -> None:
    keys = Keys()
    given = [keys.next() for _ in range(1000)]
    for position in range(4):
        assert len({key[position] for key in given}) > 200
