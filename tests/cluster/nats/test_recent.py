"""What a server remembers of the log by itself."""

from __future__ import annotations

from nuncio.cluster.nats.recent import Recent


def test_what_came_after_a_place_is_known_as_far_back_as_it_reaches() -> None:
    recent = Recent(3, 10_000)
    assert recent.after(5, b"a") is None
    recent.begin(5)
    assert recent.after(5, b"a") == []
    assert recent.after(4, b"a") is None
    for place, subject in ((6, b"a"), (8, b"b"), (9, b"a")):
        recent.add(place, subject, b"%d" % place)
    assert recent.after(5, b"a") == [(6, b"6"), (9, b"9")]
    assert recent.after(7, b"a") == [(9, b"9")]
    assert recent.after(9, b"a") == []
    # The future may be known to others.
    assert recent.after(10, b"a") is None
    recent.add(10, b"b", b"10")
    assert recent.after(5, b"a") is None
    assert recent.after(6, b"a") == [(9, b"9")]


def test_it_is_bounded_by_bytes() -> None:
    recent = Recent(1000, 3000)
    recent.begin(0)
    for place in range(1, 50):
        recent.add(place, b"a", bytes(800))
    assert recent.after(47, b"a") == [(48, bytes(800)), (49, bytes(800))]
    assert recent.after(45, b"a") is None
