"""The type variables of `Server[Data, User]`, `Namespace[Data, User]` and `Socket[Data, User]`.

They have defaults, so that a bare `nuncio.Socket` is `Socket[Any, Any]` even for strict type
checkers. Before Python 3.13 only `typing_extensions` has such variables; type checkers bring it
along, and at run time, where nothing looks at the defaults, it is not needed. This module is apart
because a compiled module cannot say one thing to the type checker and do another.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    D = TypeVar("D", default=Any)
    U = TypeVar("U", default=Any)
else:
    from typing import TypeVar

    D = TypeVar("D")
    U = TypeVar("U")


def subscripted(cls: Any, parameters: Any) -> Any:
    """What `cls[parameters]` is at run time: `typing` alone would insist on both parameters."""
    return GenericAlias(cls, parameters)
