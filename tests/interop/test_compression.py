"""Compressed WebSockets and long-polling answers, with the official client and Node's own zlib."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import Ack, Server, Socket
from tests.support.aio import eventually, run_async
from tests.support.live import HOSTS
from tests.support.node import WEBSOCKET, Client, Node

TEXT = "all the same " * 10_000
EXTENSIONS = "socket.io.engine.transport.ws.extensions"
PARAMETERS = """Object.entries(
  socket.io.engine.transport.ws._extensions["permessage-deflate"].params
).map(([name, value]) => (value === true ? name : `${name}=${value}`))
"""

# What the server is configured with, what the client is, and what they agree upon.
AGREEMENTS: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({}, {}, {"server_no_context_takeover", "client_no_context_takeover"}),
    (
        {"server_no_context_takeover": False},
        {},
        {"client_no_context_takeover"},
    ),
    (
        {"client_no_context_takeover": False},
        {},
        {"server_no_context_takeover"},
    ),
    (
        {"server_no_context_takeover": False, "client_no_context_takeover": False},
        {},
        set(),
    ),
    (
        {"server_no_context_takeover": False, "client_no_context_takeover": False},
        {"serverNoContextTakeover": True, "clientNoContextTakeover": True},
        {"server_no_context_takeover", "client_no_context_takeover"},
    ),
    (
        {
            "server_no_context_takeover": False,
            "client_no_context_takeover": False,
            "server_max_window_bits": 9,
            "client_max_window_bits": 10,
        },
        {},
        {"server_max_window_bits=9", "client_max_window_bits=10"},
    ),
    (
        {"server_max_window_bits": 12, "level": 9, "mem_level": 1},
        {"serverMaxWindowBits": 10, "clientMaxWindowBits": 11},
        {
            "server_no_context_takeover",
            "client_no_context_takeover",
            "server_max_window_bits=10",
            "client_max_window_bits=11",
        },
    ),
]


def echo_server(**options: Any) -> Server:
    io = Server(**options)
    io.on("echo", lambda socket, *args: Ack(*args))
    return io


async def bytes_read(client: Client) -> int:
    """How much has come over the client's connection."""
    count: int = await client.value("socket.io.engine.transport.ws._socket.bytesRead")
    return count


@pytest.mark.parametrize(("server", "client", "agreed"), AGREEMENTS)
@run_async
async def test_what_is_agreed_upon_works_both_ways(
    node: Node, server: dict[str, Any], client: dict[str, Any], agreed: set[str]
) -> None:
    io = echo_server(per_message_deflate={"threshold": 100, **server})
    async with node.clients(io) as clients:
        peer = await clients.connect(perMessageDeflate={"threshold": 100, **client})
        assert set(await peer.value(PARAMETERS)) == agreed
        # Those that come again would refer to the first, if anything was kept.
        for round in range(3):
            for args in (
                [TEXT, round],
                ["short"],
                [TEXT.encode(), b"", b"short", {"deep": bytes(50_000)}],
                ["é€\N{GRINNING FACE}" * 5_000],
                [bytes(range(256)) * 20, "x" * 95],
            ):
                assert await peer.ask("echo", *args) == args


@pytest.mark.parametrize("takeover", [False, True])
@run_async
async def test_fragments_of_a_compressed_message(node: Node, takeover: bool) -> None:
    io = echo_server(per_message_deflate={"client_no_context_takeover": not takeover})
    async with node.clients(io) as clients:
        client = await clients.connect(perMessageDeflate={"threshold": 0})
        for number in range(2):
            answer = await client.run(
                """
                const ws = socket.io.engine.transport.ws;
                const packet = '42' + args[0] + JSON.stringify(["echo", args[1]]);
                const answered = new Promise((resolve) => (socket.acks[args[0]] = resolve));
                const pieces = packet.match(/[^]{1,9999}/g);
                pieces.forEach((piece, index) => {
                  ws.send(piece, { compress: true, fin: index === pieces.length - 1 });
                  if (index === 0) ws.ping("between");
                });
                return [await answered, pieces.length];
                """,
                900 + number,
                TEXT,
            )
            assert answer == [TEXT, 14]


@run_async
async def test_one_broadcast_reaches_clients_of_every_kind(node: Node) -> None:
    io = Server(per_message_deflate=True)
    kinds: list[Any] = [
        {},
        {},
        False,
        {"serverMaxWindowBits": 9},
        {"serverMaxWindowBits": 12},
        {"serverMaxWindowBits": 9},
        {"threshold": 0},
    ]
    async with node.clients(io) as clients:
        peers = [await clients.connect(perMessageDeflate=kind) for kind in kinds]
        for args in ([TEXT], [TEXT, b"x" * 5000, "tail"], ["short"], [bytes(1500), b"short"]):
            before = [await bytes_read(peer) for peer in peers]
            io.emit("all", *args)
            for peer in peers:
                assert await peer.next("all") == args
            after = [await bytes_read(peer) for peer in peers]
            spent = [new - old for old, new in zip(before, after, strict=True)]
            if args != ["short"]:
                assert all(spent[2] > 3 * some for some in spent[:2] + spent[3:])
                # The same window, the same bytes.
                assert spent[0] == spent[1] == spent[6]
                assert spent[3] == spent[5]
            else:
                assert len(set(spent)) == 1


@run_async
async def test_the_threshold_holds_for_each_text_and_attachment(node: Node) -> None:
    io = Server(per_message_deflate={"threshold": 1000})
    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)

        async def cost(*args: Any) -> int:
            before = await bytes_read(client)
            socket.emit("x", *args)
            assert await client.next("x") == list(args)
            return await bytes_read(client) - before

        # `42["x","…"]` has ten characters beside the text.
        assert await cost("a" * 989) == 4 + 999
        assert await cost("a" * 990) < 100
        assert await cost(bytes(999)) > 999
        assert await cost(bytes(1000)) < 150
        assert await cost(b"a" * 999, bytes(100_000)) < 2500


@run_async
async def test_a_client_that_inflates_too_far_is_sent_away_alone(node: Node) -> None:
    reasons: list[str] = []
    io = echo_server(per_message_deflate=True, max_http_buffer_size=100_000)
    io.on("disconnect", lambda socket, reason: reasons.append(reason))
    async with node.clients(io) as clients:
        other = await clients.connect()
        bomber = await clients.connect()
        assert await other.ask("echo", "x" * 90_000) == ["x" * 90_000]
        await bomber.emit("echo", "x" * 5_000_000)
        assert (await bomber.next("disconnect"))[0] == "transport close"
        await eventually(lambda: reasons == ["transport error"])
        assert await other.ask("echo", "y" * 90_000) == ["y" * 90_000]


@run_async
async def test_a_client_that_offers_nothing_gets_nothing_compressed(node: Node) -> None:
    io = echo_server(per_message_deflate={"threshold": 0})
    async with node.clients(io) as clients:
        client = await clients.connect(perMessageDeflate=False)
        assert await client.value(EXTENSIONS) == ""
        assert await client.ask("echo", TEXT) == [TEXT]
    io = echo_server()
    async with node.clients(io) as clients:
        client = await clients.connect(perMessageDeflate={"threshold": 0})
        assert await client.value(EXTENSIONS) == ""
        assert await client.ask("echo", TEXT) == [TEXT]


# Long-polling: one poll for each Accept-Encoding, undone by Node's zlib.
POLLS = """
const http = require("http");
const zlib = require("zlib");
const undo = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, undefined: (body) => body };
const get = (target, headers) => new Promise((resolve, reject) => {
  http.get(target, { headers }, (response) => {
    const parts = [];
    response.on("data", (part) => parts.push(part));
    response.on("end", () => resolve([response, Buffer.concat(parts)]));
  }).on("error", reject);
});
const found = [];
for (const accepted of args[1]) {
  const url = args[0] + "/socket.io/?EIO=4&transport=polling";
  const [, opened] = await get(url);
  const { sid } = JSON.parse(opened.toString().slice(1));
  const target = url + "&sid=" + sid;
  const headers = accepted === null ? {} : { "Accept-Encoding": accepted };
  const post = await fetch(target, { method: "POST", body: "40" });
  await post.text();
  let text = "";
  let last;
  while (!text.includes("42[")) {
    const [response, body] = await get(target, headers);
    last = [response.headers["content-encoding"] || null, body.length];
    text += undo[response.headers["content-encoding"]](body).toString() + "\\x1e";
  }
  found.push([...last, text.split("\\x1e").find((packet) => packet.startsWith("42["))]);
}
return found;
"""


async def polls(node: Node, io: Server, host: str, *accepted: str | None) -> list[Any]:
    async with node.clients(io, host=host) as clients:
        found: list[Any] = await clients.run(POLLS, clients.url, accepted)
        for session in list(io.engine.sessions.values()):
            session.close(discard=True)
        return found


def greeting_server(text: str, **options: Any) -> Server:
    io = Server(**options)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("hello", text)

    return io


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_the_coding_of_a_poll_is_the_one_asked_for(node: Node, host: str) -> None:
    io = greeting_server(TEXT)
    wanted = {
        "gzip": "gzip",
        "deflate": "deflate",
        "gzip, deflate, br": "gzip",
        "gzip;q=0.2, deflate;q=0.8": "deflate",
        "*": "gzip",
        "identity;q=0, *": "gzip",
        "*;q=0": None,
        "identity;q=0": None,
        "br": None,
        None: None,
    }
    found = await polls(node, io, host, *wanted)
    assert [coding for coding, _, _ in found] == list(wanted.values())
    for coding, size, packet in found:
        assert packet == f'42["hello","{TEXT}"]'
        assert (size < 5000) is (coding is not None)


@run_async
async def test_the_settings_of_a_polls_compression(node: Node) -> None:
    text = "".join(f"{number},{number * 7 % 1000};" for number in range(20_000))
    sizes = {}
    for level in (1, 9):
        io = greeting_server(text, http_compression={"level": level})
        [[coding, sizes[level], _]] = await polls(node, io, "native", "gzip")
        assert coding == "gzip"
    assert sizes[9] < sizes[1] < len(text) / 2
    for option in (False, {"threshold": 1_000_000}):
        io = greeting_server(text, http_compression=option)
        [[coding, size, _]] = await polls(node, io, "native", "gzip")
        assert coding is None
        assert size >= len(text)


@run_async
async def test_moving_to_a_compressed_websocket(node: Node) -> None:
    io = echo_server(per_message_deflate=True)
    async with node.clients(io) as clients:
        client = await clients.connect(transports=["polling", *WEBSOCKET.transports])
        await client.upgraded()
        assert "permessage-deflate" in await client.value(EXTENSIONS)
        assert await client.ask("echo", TEXT, b"x" * 10_000) == [TEXT, b"x" * 10_000]
