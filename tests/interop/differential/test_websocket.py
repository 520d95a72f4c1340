"""WebSockets: what may be in a frame, and how they end."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Differs, Log, refused, scenario


def _frames(*frames: str) -> str:
    """A script that sends each of some frames, as bytes, on a WebSocket of its own."""
    return f"""
    for (const bytes of [{", ".join(frames)}]) {{
      const a = await ws();
      await a.enter();
      a.raw(bytes);
      await a.until("close");
      await server.until("closed");
    }}
    """


@scenario(
    server=WATCHES,
    client="""
    for (const message of ["x", "7", "", "é", "8[]"]) {
      const a = await ws();
      await a.enter();
      a.send('42["before"]');
      await server.until("event");
      a.send(message, '42["after"]');
      await a.until("close");
      await server.until("closed");
    }
    """,
)
def test_messages_that_are_garbage(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    for (const message of ["2", "2x", "2probe"]) {
      const a = await ws();
      await a.enter();
      a.send(message);
      await a.until("close");
      await server.until("closed");
    }
    const b = await ws();
    await b.enter();
    for (const message of ["0", "1", "3", "3x", "5", "6"]) b.send(message);
    b.send('42["after"]');
    await server.until("event");
    """,
)
def test_packets_that_clients_do_not_send(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    for (const [code, reason] of [[1000, ""], [1001, "away"], [4000, "mine"], [undefined, ""]]) {
      const a = await ws();
      await a.enter();
      a.close(code, reason);
      await a.until("close");
      await server.until("closed");
    }
    const b = await ws();
    await b.enter();
    b.socket.terminate();
    await server.until("closed");
    """,
)
def test_clients_close(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_frames(
        # Reserved bits, an opcode that is none, a frame without a mask.
        "[0xc1, 0x80, 0, 0, 0, 0]",
        "[0xa1, 0x80, 0, 0, 0, 0]",
        "[0x83, 0x80, 0, 0, 0, 0]",
        "[0x81, 0x01, 0x78]",
        # A ping in parts, one too long, a continuation of nothing.
        "[0x09, 0x80, 0, 0, 0, 0]",
        "[0x89, 0xfe, 0, 126, 0, 0, 0, 0]",
        "[0x80, 0x80, 0, 0, 0, 0]",
        # A message that begins before the other has ended.
        "[0x01, 0x81, 0, 0, 0, 0, 0x34, 0x01, 0x81, 0, 0, 0, 0, 0x34]",
        # A length beyond 2^53, a close frame of one byte, with a code that is none, with no text.
        "[0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]",
        "[0x88, 0x81, 0, 0, 0, 0, 3]",
        "[0x88, 0x82, 0, 0, 0, 0, 3, 0xed]",
        "[0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff]",
        # Text that is not UTF-8.
        "[0x81, 0x83, 0, 0, 0, 0, 0x34, 0xff, 0xff]",
    ),
    native_only="the host reads frames and answers those that are none",
)
def test_frames_that_break_the_protocol(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    a.send(`42["${"x".repeat(94)}"]`);
    await server.until("event");
    a.send(`42["${"x".repeat(95)}"]`);
    await a.until("close");
    await server.until("closed");
    const b = await ws();
    await b.enter();
    b.send(`451-["b",{"_placeholder":true,"num":0}]`, Buffer.alloc(100));
    await server.until("event");
    b.send(`451-["b",{"_placeholder":true,"num":0}]`, Buffer.alloc(101));
    await b.until("close");
    await server.until("closed");
    """,
    options={"max_http_buffer_size": 100},
)
def test_messages_that_are_too_large(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    // In parts, each of which is short.
    const a = await ws();
    await a.enter();
    for (let i = 0; i < 4; i++) {
      a.raw([i ? 0x00 : 0x01, 0x80 | 30, 0, 0, 0, 0, ...Buffer.alloc(30, 0x34)]);
    }
    await a.until("close");
    await server.until("closed");
    """,
    options={"max_http_buffer_size": 100},
    native_only="the host puts messages together, and has a limit of its own",
)
def test_parts_that_are_too_large_together(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    a.socket.ping("are you there?");
    await a.until("wspong");
    // In parts, with a ping between them.
    const text = [...Buffer.from('42["é"]')];
    a.raw([0x01, 0x85, 0, 0, 0, 0, ...text.slice(0, 5)]);
    a.raw([0x89, 0x81, 0, 0, 0, 0, 0x78]);
    a.raw([0x80, 0x80 | (text.length - 5), 0, 0, 0, 0, ...text.slice(5)]);
    await a.until("wspong");
    await server.until("event");
    // Byte by byte.
    for (const byte of [0x81, 0x88, 1, 2, 3, 4, ...text.map((c, i) => c ^ (i % 4 + 1))]) {
      a.raw([byte]);
    }
    await server.until("event");
    a.send('42["x"]');
    await server.until("event");
    """,
)
def test_frames_in_parts(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws("", { perMessageDeflate: true });
    await a.enter();
    """,
    native_only="the host decides what is compressed",
)
def test_compression_is_off(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES
    + """
    io.on("connection", (socket) => {
      socket.on("large", () => socket.emit("large", "x".repeat(2000)));
    });
    """,
    client="""
    const a = await ws("", { perMessageDeflate: true });
    note("extensions", a.socket.extensions.split(";")[0]);
    await a.enter();
    a.send('42["large"]');
    await a.next();
    a.send(`42["${"y".repeat(2000)}"]`);
    await server.until("event");
    await server.until("event");
    const b = await connect("/", { perMessageDeflate: { threshold: 10 } });
    b.emit("large");
    await b.until("large");
    b.emit("z".repeat(3000));
    await server.until("event");
    await server.until("event");
    """,
    options={"per_message_deflate": True},
    differs=[
        Differs(
            "nothing is kept between messages, to bound memory",
            "a",
            [["open", {"sec-websocket-extensions": "permessage-deflate"}]],
            [
                [
                    "open",
                    {
                        "sec-websocket-extensions": (
                            "permessage-deflate; server_no_context_takeover; "
                            "client_no_context_takeover"
                        )
                    },
                ]
            ],
        )
    ],
    native_only="the host decides what is compressed",
)
def test_compression(io: Server, log: Log) -> None:
    watches(io, log)

    @io.on("large")
    def large(socket: Socket) -> None:
        socket.emit("large", "x" * 2000)


@scenario(
    server=WATCHES,
    client="""
    for (const headers of [
      { "Sec-WebSocket-Version": "7" },
      { "Sec-WebSocket-Key": "short" },
      { "Upgrade": "other" },
    ]) {
      const t = await tcp();
      const usual = {
        Host: "x", Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", ...headers,
      };
      const lines = Object.entries(usual).map(([name, value]) => `${name}: ${value}\\r\\n`).join("");
      t.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\\r\\n${lines}\\r\\n`);
      await t.rest();
    }
    """,
    differs=[
        Differs(
            "the status and header of RFC 6455, section 4.4",
            "a",
            [
                [
                    "answer",
                    400,
                    {"content-type": "text/html", "sec-websocket-version": "13, 8"},
                    "Missing or invalid Sec-WebSocket-Version header",
                ]
            ],
            [
                [
                    "answer",
                    426,
                    {
                        "content-type": "text/plain",
                        "sec-websocket-version": "13",
                        "upgrade": "websocket",
                    },
                    "missing or unknown Sec-WebSocket-Version header",
                ]
            ],
        ),
        Differs(
            "the WebSocket library's own words",
            "b",
            [
                [
                    "answer",
                    400,
                    {"content-type": "text/html"},
                    "Missing or invalid Sec-WebSocket-Key header",
                ]
            ],
            [
                [
                    "answer",
                    400,
                    {"content-type": "text/plain"},
                    "missing or invalid Sec-WebSocket-Key header",
                ]
            ],
        ),
        Differs(
            "an upgrade to something else is an ordinary request",
            "c",
            [["answer", 400, {"content-type": "text/html"}, "Invalid Upgrade header"]],
            [["answer", *refused(3, "Bad request")[1:]]],
        ),
    ],
    native_only="the host answers those that are none",
)
def test_handshakes_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)
