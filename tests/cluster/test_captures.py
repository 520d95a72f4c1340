"""Every case that was captured is replayed in both places; one that is forgotten fails here."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.cluster import captures
from tests.cluster.mongo import test_replay as mongo
from tests.cluster.postgres import test_replay as postgres
from tests.cluster.redis import test_replay as redis
from tests.cluster.test_emitter import ACTIONS

COUNTS = {
    "redis-classic": 60,
    "redis-classic-specific": 60,
    "redis-sharded-static": 49,
    "redis-sharded-dynamic": 49,
    "redis-sharded-dynamic-private": 49,
    "redis-streams": 59,
    "redis-streams-sharded": 59,
    "postgres": 65,
    "mongo": 61,
}

# In the first place emitters are what they are; what they say is compared with ours by family.
# These families have the emitters of others.
EMITTERS = {"redis-classic-specific": "redis-classic", "redis-streams-sharded": "redis-streams"}
WITH_EMITTERS = ("redis-classic", "redis-streams", "postgres", "mongo")


def names(*lists: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """The cases that a test is given."""
    return Counter((case["adapter"], case["action"]) for cases in lists for case in cases)


def emitted(adapter: str) -> list[dict[str, Any]]:
    """What emitters said in a family."""
    cases = captures.replays(adapter, bus=adapter if adapter in captures.BUSES else "redis")
    return [case for case in cases if case["action"].startswith("emitter_")]


def test_all_cases_are_here() -> None:
    assert captures.counts() == COUNTS


def test_all_cases_are_replayed_in_the_second_place() -> None:
    replayed = names(redis.CASES, postgres.HEARD, postgres.BEATING, mongo.HEARD, mongo.BEATING)
    assert set(replayed.values()) == {1}
    assert Counter(adapter for adapter, _ in replayed) == COUNTS


def test_all_cases_are_replayed_in_the_first_place() -> None:
    acted = names(redis.ACTED, postgres.ACTED, postgres.BEATING, mongo.ACTED, mongo.BEATING)
    assert set(acted.values()) == {1}
    by_emitters = names(*(emitted(adapter) for adapter in (*WITH_EMITTERS, *EMITTERS)))
    assert Counter(adapter for adapter, _ in acted + by_emitters) == COUNTS
    for adapter in WITH_EMITTERS:
        said = {case["action"] for case in emitted(adapter)}
        assert said - set(ACTIONS) == (
            {"emitter_emit_big_text"} if adapter == "postgres" else set()
        )


@pytest.mark.parametrize("adapter", EMITTERS)
def test_other_settings_of_a_family_are_nothing_to_its_emitter(adapter: str) -> None:
    for mine, theirs in zip(emitted(adapter), emitted(EMITTERS[adapter]), strict=True):
        assert mine["action"] == theirs["action"]
        assert mine["published_by_A_or_emitter"] == theirs["published_by_A_or_emitter"]
