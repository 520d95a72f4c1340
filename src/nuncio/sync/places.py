"""Where blocking is a mistake: in the thread of an event loop, which stands still meanwhile."""

from __future__ import annotations

import asyncio
import sys

IN_A_LOOP = (
    "nuncio.sync blocks the thread that calls it, and an event loop runs in this one, which would "
    "stand still: write `await nuncio.connect(…)` here, or call from another thread, as with "
    "`await asyncio.to_thread(…)`"
)

IN_OUR_LOOP = (
    "this function is called in the thread of the connections, which cannot wait for itself: it "
    "must not call blocking methods of nuncio.sync; handlers may"
)


def check_place(home: asyncio.AbstractEventLoop | None = None) -> None:
    """Refuse to block an event loop.

    In a notebook it is none of the application's: its kernel runs a loop in the thread of the
    cells, and knows that they block.

    Args:
        home: the loop of the blocking clients, if there is one yet.

    Raises:
        RuntimeError: with the fix.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if loop is home:
        raise RuntimeError(IN_OUR_LOOP)
    if not in_notebook():
        raise RuntimeError(IN_A_LOOP)


def in_notebook() -> bool:
    """Whether IPython runs the code: in Jupyter and the like, or in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", None)
    return shell is not None and shell() is not None
