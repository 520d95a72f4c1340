"""Socket.IO packets, right and wrong."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Differs, Log, scenario

TWO = WATCHES + 'watch(io.of("/admin"));'


def two(io: Server, log: Log) -> None:
    watches(io, log)
    log.watch(io.of("/admin"))


def _ended(id: int, reason: str) -> list[list[object]]:
    """What is told of a socket that ends, the id-th of the transcript."""
    return [
        ["disconnecting", reason, {"$set": [f"<{id}>"]}],
        ["disconnect", reason, {"$set": []}],
        ["closed", reason],
    ]


def _fatal(*packets: str) -> str:
    """A script that sends each of some packets on a connection of its own, which it ends."""
    listed = ", ".join(packets)
    return f"""
    for (const packet of [{listed}]) {{
      const a = await ws();
      await a.enter();
      a.send(packet);
      await a.until("close");
      await server.until("closed");
    }}
    """


@scenario(
    server=WATCHES,
    client=_fatal("'4'", "'47'", "'4x'", "'48[\"x\"]'", "'49'", "'4-1[\"x\"]'", "'4{}'"),
    differs=[
        Differs("the text tells what came", "server", [["error", theirs]], [["error", ours]])
        for theirs, ours in (
            ("Cannot read properties of undefined (reading 'base64')", "unknown packet type"),
            ("unknown packet type NaN", "unknown packet type 'x'"),
            ("unknown packet type NaN", "unknown packet type '-'"),
            ("unknown packet type NaN", "unknown packet type '{'"),
        )
    ],
)
def test_types_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal(
        "'42{}'",
        "'42[]'",
        "'42null'",
        "'42\"x\"'",
        "'421'.concat('{}')",
        "'42[{}]'",
        "'42[[]]'",
        "'42[null]'",
        "'42[true]'",
        "'42[\"x\"'",
        "'42[\"x\",NaN]'",
        "'42[\"x\",Infinity]'",
        "'42[\"x\",]'",
        "'42[\\'x\\']'",
        "'42[\"x\"]trailing'",
        "'42undefined'",
    ),
)
def test_events_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal(
        *(
            f"'42[\"{name}\"]'"
            for name in (
                "connect",
                "connect_error",
                "disconnect",
                "disconnecting",
                "newListener",
                "removeListener",
            )
        )
    ),
)
def test_reserved_names(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    for (const name of ["connection", "error", "message", "ping", "__proto__", "constructor",
      "toString", "hasOwnProperty", "", " ", "é", "\\\\u2028", "data", "a,b", "/x,"]) {
      a.send(`42["${name}"]`);
      await server.until("event");
    }
    a.send('42[1,"number"]', '42[1.5]', '42[-1]', '42[1e3]');
    for (let i = 0; i < 4; i++) await server.until("event");
    """,
)
def test_ordinary_names(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    a.send("42");
    await Promise.race([server.until("event"), a.until("close")]);
    """,
    differs=[
        Differs(
            "an event without a name is refused",
            "server",
            [["event", None]],
            [
                ["error", "invalid payload"],
                ["disconnecting", "forced close", {"$set": ["<2>"]}],
                ["disconnect", "forced close", {"$set": []}],
                ["closed", "forced close"],
            ],
        ),
        Differs("and ends the connection", "a", [], [["close", 1005, ""]], at=3),
    ],
)
def test_no_payload(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal(
        "'40[]'",
        "'40\"x\"'",
        "'40null'",
        "'401'",
        "'40{'",
        "'41{}'",
        "'41[]'",
        "'41\"x\"'",
    ),
)
def test_connect_and_disconnect_with_other_payloads(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal("'44'", "'44{}'", "'44\"x\"'", "'44[]'"),
    differs=[
        Differs(
            "without a payload it is also no packet",
            "server",
            [["connection"], ["disconnecting", "forced close", {"$set": ["<2>"]}]],
            [
                ["connection"],
                ["error", "invalid payload"],
                ["disconnecting", "forced close", {"$set": ["<2>"]}],
            ],
        )
    ],
)
def test_clients_do_not_refuse(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal(
        "'40'",
        "'40/,'",
        "'42/unknown,[\"x\"]'",
        "'41/unknown,'",
        "'43/unknown,1[]'",
    ),
)
def test_packets_in_the_wrong_state(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=TWO,
    client="""
    for (const packet of ['42["x"]', "41", "431[]", "44", "x", '451-["x"]']) {
      const a = await ws();
      await a.next();
      a.send(packet);
      if (packet.startsWith("45")) a.send(Buffer.from([1]));
      await a.until("close");
      await server.until("closed");
    }
    // Joined elsewhere only.
    const b = await ws();
    await b.enter("/admin,");
    b.send('42["x"]');
    await b.until("close");
    await server.until("closed");
    """,
)
def test_packets_before_joining(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server=TWO,
    client="""
    const a = await ws();
    await a.enter();
    await a.enter("/admin,");
    a.send("42{}");
    await a.until("close");
    await server.until("closed");
    """,
)
def test_garbage_ends_every_socket_of_the_connection(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    await a.post('42{}');
    await a.get();
    await server.until("closed");
    await a.get();
    // With a poll that waits.
    const b = await polling();
    await b.enter();
    const poll = await b.hold();
    await b.post('42{}');
    await poll();
    await server.until("closed");
    """,
)
def test_garbage_over_polling(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    await a.post('40');
    await server.until("disconnect");
    await a.get();
    await server.until("closed");
    const b = await polling();
    await b.enter();
    const poll = await b.hold();
    await b.post('42/other,["x"]');
    await poll();
    await server.until("closed");
    """,
)
def test_violations_over_polling(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    a.send("4399[]", '431["x"]', "4399999999999[]", '4301["x",{}]');
    a.send('42["after"]');
    await server.until("event");
    """,
)
def test_answers_to_nothing(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal("'43{}'", "'431{}'", "'431\"x\"'", "'431null'", "'431'.concat('[')", "'431true'"),
)
def test_answers_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client=_fatal(
        "'450-[\"x\"]'",
        "'45[\"x\"]'",
        "'451[\"x\"]'",
        "'45-[\"x\"]'",
        "'45x-[\"x\"]'",
        "'45-1-[\"x\"]'",
        "'451.5-[\"x\"]'",
        "'4511-[\"x\"]'",
        "'4599999999999999999999-[\"x\"]'",
        "'45'",
        "'451'",
        "'451-{}'",
        "'451-[\"connect\"]'",
    ),
    differs=[
        Differs(
            "a count of so many digits is none",
            "server",
            [
                ["error", "too many attachments"],
                ["disconnecting", "forced close", {"$set": ["<18>"]}],
            ],
            [
                ["error", "Illegal attachments"],
                ["disconnecting", "forced close", {"$set": ["<18>"]}],
            ],
        )
    ],
)
def test_attachments_that_cannot_be(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    a.send('451-["x",{"_placeholder":true,"num":0}]', '42["y"]');
    await a.until("close");
    await server.until("closed");
    const b = await ws();
    await b.enter();
    b.send(Buffer.from([1]));
    await b.until("close");
    await server.until("closed");
    for (const num of ["1", "-1", '"0"', "true", "null", '{"a":1}']) {
      const c = await ws();
      await c.enter();
      c.send(`451-["x",{"_placeholder":true,"num":${num}}]`, Buffer.from([1]));
      await c.until("close");
      await server.until("closed");
    }
    """,
)
def test_placeholders_that_do_not_fit(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    const holder = (num) => `{"_placeholder":true,"num":${num}}`;
    const one = Buffer.from([1]), two = Buffer.from([2]);
    // In another order, and where they are none.
    a.send(`452-["a",${holder(1)},${holder(0)}]`, one, two);
    a.send(`42["d",${holder(0)}]`);
    a.send(`451-["e",{"_placeholder":1,"num":0},{"_placeholder":"true"},[{"x":${holder(0)}}]]`, one);
    a.send(`451-["f",{"_placeholder":true,"num":0,"more":1}]`, Buffer.alloc(0));
    a.send(`4510-["g",${[...Array(10).keys()].map(holder)}]`, ...Array(10).fill(two));
    for (let i = 0; i < 5; i++) await server.until("event");
    """,
)
def test_placeholders(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const holder = (num) => `{"_placeholder":true,"num":${num}}`;
    const one = Buffer.from([1]), two = Buffer.from([2]);
    for (const text of [`["b",${holder(0)},${holder(0)}]`, '["c"]', `["d",${holder(0.5)}]`]) {
      const a = await ws();
      await a.enter();
      a.send(`451-${text}`, one);
      await server.until("event", "error");
      a.close();
      await a.until("close");
      await server.until("closed");
    }
    """,
    differs=[
        difference
        for at, event in (
            (2, ["event", "b", {"$bytes": "AQ=="}, {"$bytes": "AQ=="}]),
            (4, ["event", "c"]),
            (6, ["event", "d", None]),
        )
        for difference in (
            Differs(
                "every attachment has its place, and one only",
                "server",
                [event, *_ended(at, "transport close")],
                [["error", "illegal attachments"], *_ended(at, "forced close")],
            ),
        )
    ],
)
def test_attachments_without_one_place(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES
    + """
    io.of("/a-1").on("connection", (socket) => {
      socket.onAny((event, ...args) => {
        log("event", event, ...args.filter((value) => typeof value !== "function"));
      });
    });
    """,
    client="""
    const a = await ws();
    await a.next();
    a.send("40/a-1,");
    await a.next();
    a.send('42/a-1,["x",1]', '42/a-1,7["y"]', '451-/a-1,8["z",{"_placeholder":true,"num":0}]',
      Buffer.from([1]));
    for (let i = 0; i < 3; i++) await server.until("event");
    // Numbers and dashes that belong to the payload.
    const b = await ws();
    await b.enter("/,");
    b.send('42["a-1",1]', '421["1-[2]"]', '42/,["slash"]');
    for (let i = 0; i < 3; i++) await server.until("event");
    """,
)
def test_heads_of_packets(io: Server, log: Log) -> None:
    watches(io, log)

    @io.of("/a-1").on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(lambda event, *args: log("event", event, *args))


@scenario(
    server=WATCHES,
    client=r"""
    const a = await ws();
    await a.enter();
    for (const json of ['1e3', '-0', '1.0', '12345678901234567890', '"\\ud800"', '"\\u0000"',
      '{"a":1,"a":2}', '{"__proto__":{"x":1}}', '[[[[[[]]]]]]', '  {  }  ', 'true', '0.1',
      '"\\u2028"', '9007199254740993', '1E-7', '"\\/"']) {
      a.send(`42["x",${json}]`);
      await server.until("event");
    }
    """,
    differs=[
        Differs(
            "an integer, which has no sign at zero",
            "server",
            [["event", "x", {"$js": "-0"}]],
            [["event", "x", 0]],
        )
    ],
)
def test_json_that_is_read(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    for (const number of ["1e308", "1e-400", "1e400"]) {
      const a = await ws();
      await a.enter();
      a.send(`42["x",${number}]`);
      await server.until("event", "error");
      a.close();
      await a.until("close");
      await server.until("closed");
    }
    """,
    differs=[
        Differs(
            "what is too large for a number is none, not infinity",
            "server",
            [["event", "x", {"$js": "Infinity"}], *_ended(6, "transport close")],
            [["error", "invalid payload"], *_ended(6, "forced close")],
        )
    ],
)
def test_numbers_that_are_too_large(io: Server, log: Log) -> None:
    watches(io, log)
