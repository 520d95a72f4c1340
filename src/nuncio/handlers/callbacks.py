"""Functions that an acknowledgement is given to. [compiled]

They come with an emit, and so many times over: the same function again and again, or a new one
each time from the same `def` or `lambda`. To work out from a signature how to call it costs ten
times as much as the rest of the emit, so it is done once for each piece of code.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any, Final

from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler

# How many pieces of code are remembered; a program that makes code as it runs starts over then.
MOST: Final = 500


class Known:
    """How to call what was made from a piece of code.

    Attributes:
        code: kept, so that its address, by which it is looked up, stays its own.
        handler: without the function, which may hold much else.
    """

    __slots__ = ("code", "handler")

    def __init__(self, code: object, handler: Handler) -> None:
        self.code = code
        self.handler = handler


# A method's first parameter is bound, a function's is not.
_FUNCTIONS: Final[dict[int, Known]] = {}
_METHODS: Final[dict[int, Known]] = {}


def bind_callback(callback: Any) -> Handler:
    """Work out how to call a function with the values of an acknowledgement.

    Raises:
        OptionError: when it cannot be called so.
    """
    known = _FUNCTIONS
    function = callback
    if isinstance(callback, MethodType):
        known = _METHODS
        function = callback.__func__
    # Attributes may say that the signature is another function's: then the code tells nothing.
    if not isinstance(function, FunctionType) or function.__dict__:
        return _bind(callback)
    code = function.__code__
    found = known.get(id(code))
    if found is not None:
        return found.handler.rebound(callback, callback)
    handler = _bind(callback)
    if len(known) >= MOST:
        known.clear()
    known[id(code)] = Known(code, handler.rebound(bind_callback, bind_callback))
    return handler


def _bind(callback: Any) -> Handler:
    return bind(callback, "acknowledgement", takes_socket=False, lifecycle=True, injects=False)
