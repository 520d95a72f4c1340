from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

import nuncio
from nuncio.client import ManagerOptions
from nuncio.errors import OptionError

NAMES = [field.name for field in fields(nuncio.ClientLimits)]


def test_the_defaults_hold_what_an_everyday_client_needs() -> None:
    limits = nuncio.ClientLimits()
    assert limits.buffered_events == 10_000
    assert limits.buffered_bytes == limits.outgoing_bytes == 16 * 1024 * 1024
    assert limits.message_bytes == 100_000_000
    assert (limits.attachments, limits.pending_acks, limits.queued_events) == (10, 10_000, 1000)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "10"])
def test_limits_are_whole_numbers_above_zero(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        nuncio.ClientLimits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_beyond_all_machines_is_told(name: str) -> None:
    assert getattr(nuncio.ClientLimits(**{name: 1 << 60}), name) == 1 << 60
    with pytest.raises(OptionError, match=name):
        nuncio.ClientLimits(**{name: (1 << 60) + 1})


def test_an_unknown_limit_is_told_with_the_nearest_name() -> None:
    options: dict[str, Any] = {"bufferedEvents": 5}
    with pytest.raises(OptionError, match=r"did you mean 'buffered_events'\?"):
        nuncio.ClientLimits(**options)


def test_limits_do_not_change() -> None:
    limits: Any = nuncio.ClientLimits()
    with pytest.raises(FrozenInstanceError):
        limits.attachments = 5


def test_limits_are_told_from_other_objects() -> None:
    wrong: Any
    for wrong in ({"attachments": 5}, nuncio.Limits(), 5):
        with pytest.raises(OptionError, match=r"limits must be nuncio.ClientLimits\(…\)"):
            ManagerOptions(limits=wrong)
