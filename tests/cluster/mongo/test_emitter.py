"""Emitters over MongoDB: Node's reaches our clients, and ours need an address or a collection."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import warnings
from typing import Any

import pymongo
import pytest

import nuncio
import nuncio.sync
from nuncio import OptionError
from nuncio.cluster import MongoAdapter
from tests.cluster.kinds import NODE_COLLECTION
from tests.cluster.test_emitter import reaches
from tests.support.aio import eventually, run_async
from tests.support.clusters import Cluster, Kind
from tests.support.mongod.server import COLLECTION, DATABASE, Mongod
from tests.support.nodeserver import NodeHome, NodeServer

DEFAULT = Kind("default", MongoAdapter)


@run_async
async def test_the_official_emitter_reaches_our_clients(home: NodeHome, mongod: Mongod) -> None:
    cluster = Cluster(DEFAULT, mongod.url, home.program)
    try:
        ours = await cluster.our_side()
        id = str(ours.client.socket.id)
        async with NodeServer(home.program) as node:
            await node.run(
                "io.lines = [];"
                + NODE_COLLECTION.replace("NAME", f'"{COLLECTION}"')
                + 'const { Emitter } = require("@socket.io/mongo-emitter");'
                "io.emitter = new Emitter(collection);",
                mongod.url,
            )

            async def emitter(code: str) -> None:
                await node.run(f"io.emitter.{code}", id)

            await reaches(ours, emitter)
            assert await ours.count() == 1
            await node.run("for (const line of io.lines) await line.quit()")
    finally:
        await cluster.close()


@run_async
async def test_an_address_or_a_collection_is_enough(home: NodeHome, mongod: Mongod) -> None:
    cluster = Cluster(DEFAULT, mongod.url, home.program)
    client: Any = pymongo.AsyncMongoClient(mongod.url)
    blocking: Any = pymongo.MongoClient(mongod.url)
    try:
        side = await cluster.our_side()
        for where in (mongod.url, client[DATABASE][COLLECTION]):
            async with nuncio.Emitter(where) as emitter:
                await emitter.emit("e", 1)
            assert await side.client.next("e") == [1]
        for either in (mongod.url, blocking[DATABASE][COLLECTION]):
            await asyncio.to_thread(say_blocking, either)
            assert await side.client.next("e") == [2]
        # In the order in which it is said.
        async with nuncio.Emitter(mongod.url) as emitter:
            for number in range(50):
                emitter.emit("e", number)
        heard = [await side.client.next("e") for _ in range(50)]
        assert heard == [[number] for number in range(50)]
        # Those that are not ours stay open.
        assert (await client.admin.command("ping"))["ok"] == 1
        assert (await asyncio.to_thread(blocking.admin.command, "ping"))["ok"] == 1
    finally:
        await client.close()
        await asyncio.to_thread(blocking.close)
        await cluster.close()


def say_blocking(where: Any) -> None:
    """Emit without a loop."""
    with nuncio.sync.Emitter(where) as emitter:
        emitter.emit("e", 2)


@run_async
async def test_when_it_was_said_is_told_where_it_is_wanted(mongod: Mongod) -> None:
    mongod.clear()
    adapter = MongoAdapter(mongod.url, add_created_at_field=True)
    async with nuncio.Emitter(adapter) as emitter:
        await emitter.emit("e")
    await asyncio.to_thread(say_blocking, adapter)
    assert ["createdAt" in one for one in mongod.documents()] == [True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_emits_for_itself(mongod: Mongod) -> None:
    mongod.clear()
    with nuncio.sync.Emitter(mongod.url) as emitter:
        emitter.emit("e", "parent")
        context = multiprocessing.get_context("fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = context.Process(target=emitter.emit, args=("e", "child"))
            child.start()
        child.join(30)
        assert child.exitcode == 0
        emitter.emit("e", "parent again")
    said = [one["data"]["packet"]["data"][1] for one in mongod.documents()]
    assert said == ["parent", "child", "parent again"]


@run_async
async def test_what_cannot_be_sent_is_told(mongod: Mongod) -> None:
    async with nuncio.Emitter(mongod.url) as emitter:
        with pytest.raises(OptionError, match="16777216"):
            await emitter.emit("e", b"x" * (16 << 20))
        with pytest.raises(TypeError):
            await emitter.emit("e", object())
        await emitter.emit("e")
    with nuncio.sync.Emitter(mongod.url) as blocking:
        with pytest.raises(OptionError, match="16777216"):
            blocking.emit("e", b"x" * (16 << 20))
        await eventually(lambda: any(one["uid"] == "emitter" for one in mongod.documents()))


@run_async
async def test_a_client_of_the_other_kind_is_told(mongod: Mongod) -> None:
    blocking: Any = pymongo.MongoClient(mongod.url, connect=False)
    client: Any = pymongo.AsyncMongoClient(mongod.url)
    emitter = nuncio.Emitter(blocking[DATABASE][COLLECTION])
    with pytest.raises(OptionError, match="AsyncMongoClient"):
        await emitter.emit("e")
    with pytest.raises(OptionError, match=r"pymongo\.MongoClient"):
        nuncio.sync.Emitter(client[DATABASE][COLLECTION])
    with pytest.raises(OptionError, match="collection, not the client"):
        nuncio.Emitter(client)
    await client.close()
    blocking.close()
