from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from nuncio import Limits, Rate
from nuncio.errors import OptionError

RATES = [field.name for field in fields(Limits) if "Rate" in str(field.type)]
OPTIONAL = [*RATES, "connections_per_address"]
NAMES = [field.name for field in fields(Limits) if field.name not in (*RATES, "on_event_rate")]


def test_every_limit_has_a_default_and_none_is_missing() -> None:
    limits = Limits()
    assert all(0 < getattr(limits, name) < math.inf for name in NAMES if name not in OPTIONAL)
    assert limits.attachments == 10
    assert limits.attachment_bytes == 10_000_000
    assert limits.attachment_seconds == 60.0
    assert limits.payload_packets == 10_000


def test_no_honest_client_meets_a_rate_unless_one_is_set() -> None:
    limits = Limits()
    found = {name: getattr(limits, name) for name in OPTIONAL}
    assert found.pop("joins_per_connection") == Rate(10, burst=1000)
    assert found.pop("peer_signals") == Rate(20, burst=400)
    assert set(found.values()) == {None}
    assert not limits.event_rates
    # A client may join all namespaces it is allowed, several times over.
    assert (limits.joins_per_connection or Rate(1)).span >= 5 * limits.namespaces / 10
    assert limits.on_event_rate == "pause"


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_can_be_set(name: str) -> None:
    given: dict[str, Any] = {name: 7}
    limits = Limits(**given)
    assert getattr(limits, name) == 7
    others = Limits()
    assert all(getattr(limits, one) == getattr(others, one) for one in NAMES if one != name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, None, "7", True, math.inf, math.nan])
def test_a_wrong_limit_is_refused_by_name(name: str, value: Any) -> None:
    if value is None and name in OPTIONAL:
        return
    given: dict[str, Any] = {name: value}
    with pytest.raises(OptionError, match=rf"Limits\({name}=…\)"):
        Limits(**given)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_seconds")])
def test_counts_are_whole_numbers(name: str) -> None:
    given: dict[str, Any] = {name: 1.5}
    with pytest.raises(OptionError, match="a whole number"):
        Limits(**given)


@pytest.mark.parametrize("name", RATES)
def test_a_rate_can_be_set_and_switched_off(name: str) -> None:
    for rate in (Rate(5), None):
        given: dict[str, Any] = {name: rate}
        assert getattr(Limits(**given), name) == rate


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("value", [5, "5/s", (5, 1), True])
def test_a_rate_is_a_rate(name: str, value: Any) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(OptionError, match=rf"Limits\({name}=…\) must be a nuncio.Rate"):
        Limits(**given)


@pytest.mark.parametrize("value", ["ignore", None, 1, ["pause"]])
def test_what_happens_beyond_a_rate_is_one_of_three(value: Any) -> None:
    with pytest.raises(OptionError, match=r"Limits\(on_event_rate=…\) must be one of pause, drop"):
        Limits(on_event_rate=value)


def test_limits_cannot_be_changed_afterwards() -> None:
    limits: Any = Limits()
    with pytest.raises(FrozenInstanceError):
        limits.rooms = 5
