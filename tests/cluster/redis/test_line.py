"""Commands, as Redis reads them."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from nuncio.cluster.redis import line

COMMANDS: list[tuple[Any, ...]] = [
    ("PING",),
    ("SET", "key", b"\x00\xff\r\n", "PX", 1_000),
    ("XADD", "straße", "MAXLEN", "~", 10_000, "*", b"data", b""),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_hiredis_commands_are_the_same(
    command: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = line.packed(command)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "hiredis":
            raise ImportError(name)
        return real(name, *rest)

    assert "hiredis" in sys.modules
    monkeypatch.setattr(builtins, "__import__", without)
    slower = line._quickest()
    assert slower is not line.packed
    assert slower(command) == usual
