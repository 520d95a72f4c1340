"""Rooms and broadcasts, on one server or many: the adapter interface and its engines."""

from nuncio.cluster.adapter import Adapter as Adapter
from nuncio.cluster.base import ClusterAdapter as ClusterAdapter
from nuncio.cluster.local import LocalBus as LocalBus
from nuncio.cluster.memory import MemoryAdapter as MemoryAdapter
from nuncio.cluster.mongo.adapter import MongoAdapter as MongoAdapter
from nuncio.cluster.nats.adapter import NatsAdapter as NatsAdapter
from nuncio.cluster.options import BroadcastOptions as BroadcastOptions
from nuncio.cluster.postgres.adapter import PostgresAdapter as PostgresAdapter
from nuncio.cluster.recovery import SavedSession as SavedSession
from nuncio.cluster.redis.classic import RedisAdapter as RedisAdapter
from nuncio.cluster.redis.meeting import RedisMeeting as RedisMeeting
from nuncio.cluster.redis.sharded import RedisShardedAdapter as RedisShardedAdapter
from nuncio.cluster.redis.streams import RedisStreamsAdapter as RedisStreamsAdapter
