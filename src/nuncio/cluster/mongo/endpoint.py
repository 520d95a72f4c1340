"""Where MongoDB is, and the collection there: by pymongo, which is asked for when it is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from nuncio.errors import OptionError

MISSING: Final = "clusters over MongoDB need pymongo 4.9 or newer: pip install 'nuncio[mongo]'"
SCHEMES: Final = ("mongodb", "mongodb+srv")

# What an address does not say itself. Half a minute, pymongo's own, is long to notice a loss.
_DEFAULTS: Final = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "appname": "nuncio",
}


def library() -> ModuleType:
    """pymongo.

    Raises:
        OptionError: when it is not installed, or has no asyncio API, naming what to install.
    """
    try:
        import pymongo
    except ImportError as error:
        raise OptionError(MISSING) from error
    if not hasattr(pymongo, "AsyncMongoClient"):
        raise OptionError(MISSING)
    return pymongo


class Opened:
    """A collection that can be used, and the client that ends with it.

    Attributes:
        collection: pymongo's.
    """

    def __init__(self, collection: Any, client: Any = None) -> None:
        self.collection = collection
        self._client = client

    async def end(self) -> None:
        """End the connections of a client that runs in an event loop, if they are ours."""
        if self._client is not None:
            from nuncio.cluster.mongo.answers import closed

            await closed(self._client.close())

    def close(self) -> None:
        """End the connections of a client that blocks, if they are ours."""
        if self._client is not None:
            self._client.close()


class Endpoint:
    """A collection of MongoDB.

    Args:
        where: a URL (`mongodb://`, `mongodb+srv://`), or a collection of pymongo's.
        database: the database's name; None for the one that the URL names.
        collection: the collection's name, where `where` is a URL.

    Raises:
        OptionError: for what is neither, or when pymongo is not installed.
    """

    def __init__(self, where: Any, database: str | None, collection: str) -> None:
        pymongo = library()
        self._where = where
        self._database = ""
        self._name = collection
        self.by_address = isinstance(where, str)
        if self.by_address:
            _check_name("collection", collection)
            self._database = _database_of(where, database)
            return
        if isinstance(where, (pymongo.AsyncMongoClient, pymongo.MongoClient)):
            raise OptionError(
                "url: give a collection, not the client: client['mydb']['socket.io-adapter-events']"
            )
        self._blocks = isinstance(where, _blocking_kind())
        if not self._blocks and not isinstance(where, _loop_kind()):
            raise OptionError(
                "url must be an address such as 'mongodb://localhost:27017/mydb', or a collection "
                f"of pymongo.AsyncMongoClient, not {type(where).__name__}"
            )
        if database is not None:
            raise OptionError("database: a collection has its own; leave it out")

    def open(self) -> Opened:
        """The collection, for code that runs in an event loop.

        Raises:
            OptionError: for a collection whose client blocks.
        """
        if self.by_address:
            return self._dialled(library().AsyncMongoClient)
        if self._blocks:
            raise OptionError(
                "url: a collection of pymongo.MongoClient blocks; give one of AsyncMongoClient"
            )
        return Opened(self._where)

    def open_blocking(self) -> Opened:
        """The collection, for code that blocks.

        Raises:
            OptionError: for a collection whose client runs in an event loop.
        """
        if self.by_address:
            # Not before there is something to say: a process may be forked before.
            return self._dialled(library().MongoClient, connect=False)
        if not self._blocks:
            raise OptionError(
                "a blocking emitter needs MongoDB's address or a collection of pymongo.MongoClient"
            )
        return Opened(self._where)

    def _dialled(self, kind: Any, **more: Any) -> Opened:
        said = self._where.lower()
        options = {name: value for name, value in _DEFAULTS.items() if name.lower() not in said}
        client = kind(self._where, **options, **more)
        return Opened(client[self._database][self._name], client)


def _blocking_kind() -> type:
    from pymongo.collection import Collection

    return Collection


def _loop_kind() -> type:
    from pymongo.asynchronous.collection import AsyncCollection

    return AsyncCollection


def _database_of(url: str, given: str | None) -> str:
    """The database's name. The address may hold a password, so no error shows it.

    Raises:
        OptionError: when there is none, or the address is none.
    """
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    scheme = url.partition("://")[0]
    if scheme not in SCHEMES or "://" not in url:
        raise OptionError("url: an address of MongoDB begins with mongodb:// or mongodb+srv://")
    found = given
    try:
        if scheme == "mongodb":
            # Of the other kind the name server would be asked.
            found = given or parse_uri(url)["database"]
        else:
            found = given or urlsplit(url).path.strip("/")
    except (PyMongoError, ValueError) as error:
        raise OptionError(f"url: this is no address of MongoDB: {error}") from error
    if not found:
        raise OptionError(
            "database: the address names none; write it there, as in"
            " 'mongodb://localhost:27017/mydb', or give database='mydb'"
        )
    _check_name("database", found)
    return found


def _check_name(argument: str, name: object) -> None:
    if not isinstance(name, str) or not name or "\0" in name:
        raise OptionError(f"{argument} must be a non-empty str, not {name!r}")
