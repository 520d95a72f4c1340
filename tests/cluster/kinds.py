"""The rows of the matrix: every adapter, ours and Node's side by side."""

from __future__ import annotations

from nuncio.cluster import (
    MongoAdapter,
    NatsAdapter,
    PostgresAdapter,
    RedisAdapter,
    RedisShardedAdapter,
    RedisStreamsAdapter,
)
from nuncio.cluster.nats.subjects import Subjects
from tests.support.clusters import Kind

NODE_CLIENTS = """
const { createClient } = require("redis");
const lines = [createClient({ url: args[0] }), createClient({ url: args[0] })];
for (const line of lines) {
  line.on("error", () => {});
  await line.connect();
}
io.lines.push(...lines);
"""


def _node(package: str, call: str) -> str:
    return f'{NODE_CLIENTS} const adapters = require("{package}"); io.adapter(adapters.{call});'


def _sharded(mode: str) -> Kind:
    prefix = f"sharded-{mode}"
    options = f'{{ subscriptionMode: "{mode}", channelPrefix: "{prefix}" }}'
    return Kind(
        prefix,
        lambda url: RedisShardedAdapter(url, subscription_mode=mode, channel_prefix=prefix),
        _node("@socket.io/redis-adapter", f"createShardedAdapter(...lines, {options})"),
        room_channel=None if mode == "static" else f"{prefix}#/#{{}}#".format,
    )


def _classic(name: str, specific: bool) -> Kind:
    options = f'{{ key: "{name}", publishOnSpecificResponseChannel: {str(specific).lower()} }}'
    return Kind(
        name,
        lambda url: RedisAdapter(url, key=name, publish_on_specific_response_channel=specific),
        _node("@socket.io/redis-adapter", f"createAdapter(...lines, {options})"),
    )


def _streams(name: str, sharded: bool) -> Kind:
    options = (
        f'{{ streamName: "{name}", channelPrefix: "{name}",'
        f" useShardedPubSub: {str(sharded).lower()}, blockTimeInMs: 100 }}"
    )
    return Kind(
        name,
        lambda url: RedisStreamsAdapter(
            url, stream_name=name, channel_prefix=name, use_sharded_pub_sub=sharded
        ),
        _node("@socket.io/redis-streams-adapter", f"createAdapter(lines[0], {options})"),
    )


def _nats(name: str, stream: str | None = None) -> Kind:
    return Kind(
        name,
        lambda url: NatsAdapter(url, subject_prefix=name, stream=stream),
        options={} if stream is None else {"connection_state_recovery": True},
        room_channel=Subjects(name, "/").room,
        bus="nats",
    )


# The collection is there before Node's server watches it: ours makes it, or nobody need. One of the
# connections listens. With several others Node's servers keep no order at all.
NODE_COLLECTION = """
const { MongoClient } = require("mongodb");
const client = new MongoClient(args[0], { maxPoolSize: 2 });
await client.connect();
io.lines.push({ quit: () => client.close() });
const collection = client.db().collection(NAME);
"""


def _mongo(name: str, dated: bool) -> Kind:
    options = f"{{ heartbeatInterval: 500, addCreatedAtField: {str(dated).lower()} }}"
    return Kind(
        name,
        lambda url: MongoAdapter(
            url, collection=name, heartbeat_interval=0.5, add_created_at_field=dated
        ),
        NODE_COLLECTION.replace("NAME", f'"{name}"')
        + 'const adapters = require("@socket.io/mongo-adapter");'
        f"io.adapter(adapters.createAdapter(collection, {options}));",
        bus="mongod",
    )


# One of the connections listens. With several others Node's servers keep no order at all.
NODE_POOL = """
const pool = new (require("pg").Pool)({ connectionString: args[0], max: 2 });
pool.on("error", () => {});
io.lines.push({ quit: () => pool.end() });
"""


def _postgres(name: str) -> Kind:
    options = f'{{ channelPrefix: "{name}", tableName: "{name}" }}'
    return Kind(
        name,
        lambda url: PostgresAdapter(url, channel_prefix=name, table_name=name),
        f'{NODE_POOL} await pool.query("CREATE TABLE IF NOT EXISTS {name} (id bigserial UNIQUE,'
        ' created_at timestamptz DEFAULT NOW(), payload bytea)");'
        'const adapters = require("@socket.io/postgres-adapter");'
        f"io.adapter(adapters.createAdapter(pool, {options}));",
        bus="postgres",
        node_overtakes=True,
    )


SECRET = "a secret of all servers"


def _classic_signed(name: str) -> Kind:
    return Kind(name, lambda url: RedisAdapter(url, key=name, secret=SECRET))


def _streams_signed(name: str) -> Kind:
    return Kind(
        name,
        lambda url: RedisStreamsAdapter(
            url, stream_name=name, channel_prefix=name, secret=SECRET, block_time=0.1
        ),
    )


CLASSIC = _classic("classic", False)
STREAMS = _streams("streams", False)
POSTGRES = _postgres("postgres")
KINDS = (
    CLASSIC,
    _classic("classic-specific", True),
    _sharded("static"),
    _sharded("dynamic"),
    _sharded("dynamic-private"),
    STREAMS,
    _streams("streams-sharded", True),
    POSTGRES,
    _classic_signed("classic-signed"),
    _streams_signed("streams-signed"),
    _nats("nats"),
    _nats("jetstream", stream="jetstream"),
    _mongo("mongo", dated=False),
    _mongo("mongo-dated", dated=True),
)
