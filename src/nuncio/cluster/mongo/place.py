"""The collection, made if it is not there: documents are forgotten by size, or by age.

A capped collection keeps what has room. One without that limit, whose documents say when they were
made, forgets them after a time; there they can be taken away, too. What is there already stays as
it is.
"""

from __future__ import annotations

import logging
from typing import Any

from pymongo import ReadPreference
from pymongo.errors import CollectionInvalid, OperationFailure

from nuncio.cluster.mongo.wire import RAW, SESSION

logger = logging.getLogger("nuncio.cluster")

_EXISTS = 48


class Keeping:
    """How documents are kept.

    Args:
        capped_bytes: the size of a new collection without dates.
        expire_after: seconds after which documents with a date are forgotten.
        created_at: whether documents have one.
    """

    def __init__(self, capped_bytes: int, expire_after: float, created_at: bool) -> None:
        self.capped_bytes = capped_bytes
        self.expire_after = expire_after
        self.created_at = created_at


async def make(collection: Any, keeping: Keeping) -> None:
    """Make a collection, unless it is there or we may not.

    Raises:
        PyMongoError: when MongoDB cannot be asked.
    """
    options: dict[str, Any] = {}
    if not keeping.created_at:
        options = {"capped": True, "size": keeping.capped_bytes}
    database, name = collection.database, collection.name
    try:
        if name in await database.list_collection_names(filter={"name": name}):
            return
        await database.create_collection(name, check_exists=False, **options)
        if keeping.created_at:
            await collection.create_index("createdAt", expireAfterSeconds=keeping.expire_after)
        # Clients that lost their connection are found by it.
        await collection.create_index("data.pid", partialFilterExpression={"type": SESSION})
    except CollectionInvalid:
        return
    except OperationFailure as error:
        if error.code != _EXISTS:
            logger.debug("the collection is not made here: %s", error)


def reading(collection: Any) -> Any:
    """A collection as clients that come back need it: nothing that is written may be missing."""
    return collection.with_options(codec_options=RAW, read_preference=ReadPreference.PRIMARY)
