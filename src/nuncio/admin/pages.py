"""The open admin pages, on this server and on others: to them everything is told."""

from __future__ import annotations

import logging
from typing import Any

from nuncio.cluster.base import ClusterAdapter

logger = logging.getLogger("nuncio.admin")


class Pages:
    """Speaks to all of them.

    Args:
        nsp: the admin namespace.
    """

    def __init__(self, nsp: Any) -> None:
        self.nsp = nsp
        adapter = nsp.adapter
        self._cluster = adapter if isinstance(adapter, ClusterAdapter) else None

    @property
    def any(self) -> bool:
        """Whether there may be any: of other servers' pages nothing is known."""
        return bool(self.nsp.sockets) or self._cluster is not None

    def tell(self, event: str, *args: object) -> None:
        """Send an event to all pages. That it cannot be sent is nobody else's trouble."""
        nsp = self.nsp
        if not self.any or not nsp.takes_part:
            return
        everywhere = self._cluster is None or self._cluster.healthy
        try:
            (nsp if everywhere else nsp.local).emit(event, *args)
        except Exception as error:
            logger.debug("the admin pages were not told of %s: %r", event, error)
