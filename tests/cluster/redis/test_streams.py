from __future__ import annotations

import pytest

from nuncio.cluster.redis.streams_adapter import stream_of


# Found at Node's servers; a negative one is read by none of them.
@pytest.mark.parametrize(
    ("nsp", "index"), [("/", "3"), ("/chat", "3"), ("/admin", "0"), ("/dashboard", "-3")]
)
def test_a_namespace_is_in_the_stream_in_which_node_looks_for_it(nsp: str, index: str) -> None:
    assert stream_of("sc", 4, nsp) == f"sc-{index}"


def test_one_stream_has_no_number() -> None:
    assert stream_of("socket.io", 1, "/dashboard") == "socket.io"
