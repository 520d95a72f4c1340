"""Code that connects by itself reaches a server in memory."""

from __future__ import annotations

import pytest

import nuncio
from nuncio.client import EngineClient
from nuncio.testing import Network, Stage, run, serve, settle
from nuncio.testing.here import here
from tests.testing.stages import staged

URL = "https://prices.example"


class Follower:
    """Code under test: it follows prices, and knows a URL."""

    def __init__(self) -> None:
        self.prices: list[float] = []

    async def follow(self, count: int) -> None:
        async with nuncio.connect(f"{URL}/prices", auth={"key": "k"}) as socket:
            async for event in socket.events("price"):
                self.prices.append(event.args[0])
                if len(self.prices) == count:
                    break


@staged
async def test_a_url_leads_to_a_server_in_memory() -> None:
    fake = nuncio.Server()
    prices = fake.of("/prices")

    @prices.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        assert socket.handshake.auth == {"key": "k"}
        assert socket.handshake.secure
        assert socket.handshake.headers["host"] == "prices.example"
        for number in (1.5, 2.5):
            socket.emit("price", number)

    follower = Follower()
    with serve(fake, URL):
        await follower.follow(2)
    assert follower.prices == [1.5, 2.5]


@staged
async def test_its_network_goes_wrong_when_told() -> None:
    fake = nuncio.Server()
    network = Network()
    with serve(fake, URL, network) as served:
        assert served is network
        manager = nuncio.Manager(URL, reconnection_delay=0.01)
        socket = manager.socket()
        await socket.wait_connected()
        first = socket.id
        network.cut()
        await settle()
        assert not socket.connected
        await socket.wait_connected()
        assert socket.id != first
        await manager.close()


@staged
async def test_what_is_served_may_be_nested_and_ends() -> None:
    one, two = nuncio.Server(), nuncio.Server()
    with serve(one, URL):
        with serve(two.asgi(), URL + ":443/chat"):
            async with nuncio.connect(URL):
                assert two.engine.sessions
                assert not one.engine.sessions
        async with nuncio.connect(URL):
            assert one.engine.sessions
    # From here on it would be looked for in the network.
    client = EngineClient(URL)
    assert nuncio.client.tools.tools().stand_ins == {}
    assert client.ready_state == "closed"


@staged
async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(nuncio.OptionError, match="scheme"):
        serve(nuncio.Server(), "ftp://prices.example").__enter__()


def test_what_its_handlers_raise_fails_the_test() -> None:
    fake = nuncio.Server()

    @fake.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        raise KeyError("oops")

    async def scenario() -> None:
        with serve(fake, URL):
            async with nuncio.connect(URL):
                pass

    with pytest.raises(ExceptionGroup) as caught:
        run(scenario())
    assert isinstance(caught.value.exceptions[0], KeyError)
    assert len(caught.value.exceptions) == 1


@staged
async def test_what_its_handlers_raise_is_the_business_of_both_who_use_it() -> None:
    fake = nuncio.Server()

    @fake.event
    def fail(socket: nuncio.Socket) -> None:
        raise KeyError("oops")

    stage = here().stage
    assert stage is not None
    async with Stage() as other:
        await other.connect(fake)
        with serve(fake, URL):
            async with nuncio.connect(URL) as socket:
                socket.emit("fail")
        await settle()
        assert len(other.take_errors()) == 1
        assert len(stage.take_errors()) == 1
