from __future__ import annotations

from typing import Any

import pytest

from nuncio import SlowConsumer, conflate
from nuncio.errors import OptionError
from nuncio.slow import BLOCK, CONFLATE, DROP_NEWEST, DROP_OLDEST, policy_of


def test_policies_by_name() -> None:
    assert policy_of("disconnect", "x") is None
    kinds = {"block": BLOCK, "drop_newest": DROP_NEWEST, "drop_oldest": DROP_OLDEST}
    for word, kind in kinds.items():
        slow = policy_of(word, "x")
        assert slow is not None
        assert (slow.kind, slow.word) == (kind, word)
        assert slow.droppable == (word != "block")
    given = conflate("k")
    assert policy_of(given, "x") is given


@pytest.mark.parametrize("value", ["drop", "", None, 1, True, ["block"], conflate])
def test_what_is_no_policy_is_refused_by_name(value: Any) -> None:
    with pytest.raises(OptionError, match="slow_consumer must be 'disconnect', 'block'"):
        policy_of(value, "slow_consumer")


def test_the_key_of_an_event() -> None:
    payload = ["price", "EUR", 1.08]

    def key(policy: SlowConsumer) -> tuple[str, object]:
        slow = policy.of_event("/ticker", payload)
        # It is that event's from now on.
        assert slow.of_event("/ticker", ["other"]) is slow
        assert (slow.kind, slow.droppable, slow.ack) == (CONFLATE, True, -1)
        return slow.nsp, slow.key

    assert key(conflate()) == ("/ticker", "price")
    assert key(conflate("k")) == ("/ticker", "k")
    assert key(conflate(("a", 1))) == ("/ticker", ("a", 1))
    assert key(conflate(lambda event, symbol, price: symbol)) == ("/ticker", "EUR")


def test_keys_can_be_hashed() -> None:
    with pytest.raises(OptionError, match="cannot be a key"):
        conflate(["a"])
    with pytest.raises(TypeError, match="cannot be a key"):
        conflate(lambda *args: [args]).of_event("/", ["e"])


def test_other_policies_are_the_same_for_every_event() -> None:
    slow = policy_of("drop_oldest", "x")
    assert slow is not None
    assert slow.of_event("/a", ["e"]) is slow
    asked = slow.with_ack("/a", 7)
    assert (asked.kind, asked.nsp, asked.ack) == (DROP_OLDEST, "/a", 7)
    assert slow.ack == -1
