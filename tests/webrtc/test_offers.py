"""How many offers there may be at once, and which were made before."""

from __future__ import annotations

from nuncio.webrtc import offers as module
from nuncio.webrtc.offers import MOST_REMEMBERED, REMEMBERED_SECONDS, Offers
from nuncio.webrtc.options import WebRTCOptions


def test_there_is_a_limit_for_all_and_one_for_each_address() -> None:
    offers = Offers(WebRTCOptions(offers=3, offers_per_address=2))
    offers.begin("a")
    offers.begin("a")
    assert (offers.full, offers.full_for("a"), offers.full_for("b")) == (False, True, False)
    offers.begin("")
    assert offers.full
    assert not offers.full_for("")
    offers.end("a")
    assert (offers.full, offers.full_for("a")) == (False, False)


def test_nothing_is_kept_of_who_has_gone() -> None:
    offers = Offers(WebRTCOptions())
    for address in ("a", "b", "a", ""):
        offers.begin(address)
    for address in ("a", "b", "a", ""):
        offers.end(address)
    assert offers.open == 0
    assert offers._of_address == {}


def test_an_offer_is_new_once_within_half_a_minute() -> None:
    offers = Offers(WebRTCOptions())
    assert offers.is_new("x", 0)
    assert not offers.is_new("x", REMEMBERED_SECONDS - 1)
    assert offers.is_new("y", 1)
    assert offers.is_new("x", REMEMBERED_SECONDS)


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    offers = Offers(WebRTCOptions())
    for number in range(MOST_REMEMBERED + 10):
        assert offers.is_new(str(number), 0)
    assert len(offers._seen) == MOST_REMEMBERED
    assert not offers.is_new(str(MOST_REMEMBERED + 9), 0)
    assert module.MOST_REMEMBERED < 10_000
