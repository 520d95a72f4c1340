"""Values in recordings and lines of JSON come back as they were."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio.cli.values import dump, from_json, to_json

KEYS = st.text(max_size=5) | st.sampled_from(["$bytes", "$$bytes", "$date", "$number", "bytes"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=[]))
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20
)


@settings(max_examples=50)
@given(VALUES)
def test_every_value_comes_back(value: Any) -> None:
    line = dump(to_json(value))
    assert "\n" not in line
    line.encode()
    assert from_json(json.loads(line)) == value


def test_what_json_has_not_is_marked() -> None:
    assert to_json([b"hi", math.inf]) == [{"$bytes": "aGk="}, {"$number": "Infinity"}]
    assert math.isnan(from_json({"$number": "NaN"}))
    assert to_json(datetime(2026, 1, 31, tzinfo=UTC)) == {"$date": "2026-01-31T00:00:00+00:00"}


def test_a_mark_of_the_applications_own_is_escaped() -> None:
    assert to_json({"$bytes": 1}) == {"$$bytes": 1}
    assert to_json({"$bytes": 1, "other": 2}) == {"$bytes": 1, "other": 2}


def test_what_nothing_is_known_of_becomes_text() -> None:
    assert to_json({1: object}) == {"1": "<class 'object'>"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"$bytes": 1}, "needs a string"),
        ({"$bytes": "a"}, "needs Base64"),
        ({"$date": "soon"}, "soon"),
        ({"$number": "7"}, "NaN, Infinity"),
    ],
)
def test_a_mark_with_something_else_is_refused(wrong: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_json([wrong])


def test_halves_of_surrogate_pairs_are_escaped() -> None:
    assert dump("a\ud800") == '"a\\ud800"'
