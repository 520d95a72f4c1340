"""What an engine is to do for a server, and who waits for it. [compiled]"""

from __future__ import annotations

import asyncio
from typing import Any

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Order:
    """One thing that is to be sent; a derived one sets the attributes.

    Attributes:
        size: in bytes, roughly.
        answer: told what became of it; None when nobody wants to know.
    """

    __slots__ = ("answer", "size")

    size: int
    answer: asyncio.Future[Any] | None

    def succeed(self, value: Any = None) -> None:
        """The engine has it, and answered."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(value)

    def fail(self, error: Exception) -> None:
        """The engine refused, or cannot be reached."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any longer."""
        return self.answer is not None and self.answer.done()
