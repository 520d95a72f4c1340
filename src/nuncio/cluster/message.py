"""A message between servers, whatever carries it. [compiled]"""

from __future__ import annotations

from typing import Any


class ClusterMessage:
    """Who says what, about which namespace.

    Args:
        uid: the adapter that says it.
        nsp: the namespace.
        type: one of `Kind`, or of those that a family has besides.
        data: what is said: where it has arrived perhaps as plain data, which is to be checked.
        dated: whether what has arrived may hold dates.
    """

    __slots__ = ("data", "dated", "nsp", "type", "uid")

    def __init__(
        self, uid: str, nsp: str, type: int, data: Any = None, dated: bool = False
    ) -> None:
        self.uid = uid
        self.nsp = nsp
        self.type = type
        self.data = data
        self.dated = dated

    def __repr__(self) -> str:
        return f"ClusterMessage({self.uid!r}, {self.nsp!r}, {self.type!r}, {self.data!r})"
