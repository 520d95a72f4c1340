from __future__ import annotations

from redis.crc import key_slot

from nuncio.cluster.redis.topology import SEED, Topology, topology_of

TOLD = [
    [10923, 16383, [b"10.0.0.3", 7003, b"id"], [b"10.0.0.9", 7009, b"replica"]],
    [0, 5460, [b"", 7001, b"id"]],
    [5461, 10922, [b"10.0.0.2", 7002, b"id", []]],
]


def test_one_server_has_everything() -> None:
    topology = Topology([])
    assert not topology.clustered
    assert topology.nodes == [SEED]
    assert topology.node_of("anything") == SEED


def test_each_key_has_its_server() -> None:
    topology = topology_of(TOLD, "seed")
    assert topology.clustered
    assert topology.nodes == [("10.0.0.2", 7002), ("10.0.0.3", 7003), ("seed", 7001)]
    owners = [("seed", 7001), ("10.0.0.2", 7002), ("10.0.0.3", 7003)]
    for number in range(100):
        key = f"key{number}"
        slot = key_slot(key.encode())
        expected = owners[(slot > 5460) + (slot > 10922)]
        assert topology.node_of(key) == expected
    assert topology.node_of("") == topology.nodes[0]
