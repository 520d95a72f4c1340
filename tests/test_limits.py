from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from nuncio import Limits
from nuncio.errors import OptionError

NAMES = [field.name for field in fields(Limits)]


def test_every_limit_has_a_default_and_none_is_missing() -> None:
    limits = Limits()
    assert all(0 < getattr(limits, name) < math.inf for name in NAMES)
    assert limits.attachments == 10
    assert limits.attachment_bytes == 10_000_000
    assert limits.attachment_seconds == 60.0
    assert limits.payload_packets == 10_000


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
    given: dict[str, Any] = {name: value}
    with pytest.raises(OptionError, match=rf"Limits\({name}=…\)"):
        Limits(**given)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_seconds")])
def test_counts_are_whole_numbers(name: str) -> None:
    given: dict[str, Any] = {name: 1.5}
    with pytest.raises(OptionError, match="a whole number"):
        Limits(**given)


def test_limits_cannot_be_changed_afterwards() -> None:
    limits: Any = Limits()
    with pytest.raises(FrozenInstanceError):
        limits.rooms = 5
