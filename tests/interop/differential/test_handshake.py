"""How a session begins, and every way in which it does not."""

from __future__ import annotations

from nuncio import Request, Server, Socket
from nuncio.engine.refusal import ConnectionFailure
from tests.interop.differential.harness import Differs, Log, opened, refused, scenario

# In both languages: tell of every refused request.
TELLS = """
io.engine.on("connection_error", (error) => {
  const { error: cause, ...context } = error.context;
  log("connection_error", error.code, error.message, context);
});
"""


def tells(io: Server, log: Log) -> None:
    """The same in Python, under the reference's keys."""

    @io.engine.on("connection_error")
    def connection_error(failure: ConnectionFailure) -> None:
        context = {
            "".join(
                part.capitalize() if at else part for at, part in enumerate(key.split("_"))
            ): value
            for key, value in failure.context.items()
            if key != "error"
        }
        log("connection_error", failure.code, failure.message, context)


@scenario(
    server="",
    client="""
    await http("?EIO=4&transport=polling");
    const a = await ws();
    await a.next();
    """,
)
def test_the_open_packet(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    await http("?EIO=4&transport=polling");
    """,
    options={
        "ping_interval": 1.5,
        "ping_timeout": 0.75,
        "max_http_buffer_size": 1234,
        "allow_upgrades": False,
    },
)
def test_the_open_packet_tells_the_options(io: Server, log: Log) -> None: ...


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=polling");
    await http("?EIO=4&transport=websocket");
    await ws();
    """,
    options={"transports": ["polling"]},
)
def test_polling_only(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=polling");
    await http("?EIO=4&transport=websocket");
    const a = await ws();
    await a.next();
    """,
    options={"transports": ["websocket"]},
)
def test_websocket_only(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4");
    await http("");
    await http("?EIO=4&transport=");
    await http("?EIO=4&transport=tobi");
    await http("?EIO=4&transport=constructor");
    await http("?EIO=4&transport=__proto__");
    await http("?EIO=4&transport=webtransport");
    await http("?EIO=4&transport=Polling");
    await http("?EIO=4&transport=tobi", { method: "POST", body: "x" });
    await ws("?EIO=4&transport=tobi");
    await ws("?EIO=4&transport=__proto__");
    await ws("?EIO=4");
    """,
    differs=[
        Differs(
            "an absent parameter is told as empty",
            "server",
            [["connection_error", 0, "Transport unknown", {"transport": None}]] * count,
            [["connection_error", 0, "Transport unknown", {"transport": ""}]] * count,
        )
        for count in (2, 1)
    ],
)
def test_unknown_transports(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    for (const sid of ["unknown", "__proto__", "constructor", "toString", ""]) {
      await http(`?EIO=4&transport=polling&sid=${sid}`);
      await http(`?EIO=4&transport=polling&sid=${sid}`, { method: "POST", body: "4x" });
      await ws(`&sid=${sid}`);
    }
    """,
)
def test_unknown_sessions(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
      await http("?EIO=4&transport=polling", { method });
    }
    await http("?EIO=4&transport=websocket", { method: "POST", body: "x" });
    """,
)
def test_methods_that_open_nothing(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server="",
    client="""
    const a = await polling();
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      await a.begin({ method })();
    }
    // The session lives on.
    await a.enter();
    """,
)
def test_methods_that_a_session_does_not_know(io: Server, log: Log) -> None: ...


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=websocket");
    await http("?EIO=4&transport=websocket", { headers: { upgrade: "websocket" } });
    """,
)
def test_a_websocket_needs_an_upgrade(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=3&transport=polling");
    await http("?transport=polling");
    await http("?EIO=5&transport=polling");
    await http("?EIO=04&transport=polling");
    await http("?EIO=&transport=polling");
    """,
)
def test_revisions_of_the_protocol(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    const a = await ws("?EIO=3&transport=websocket");
    await a.until("close");
    """,
    differs=[
        Differs(
            "refused before the handshake, not by text on an accepted connection",
            "a",
            [["open", {}], ["close", 1006, ""]],
            [
                [
                    "refused",
                    400,
                    {"content-type": "text/html"},
                    "Unsupported protocol version",
                ],
                ["close", 1006, ""],
            ],
        )
    ],
)
def test_an_old_websocket(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=tobi&transport=polling");
    await http("?EIO=3&EIO=4&transport=polling");
    await http("?EIO=4&transport=polling&transport=tobi");
    await http("?EIO=4&transport=polling&b64=1&x=%C3%BC&&=&t=a+b");
    """,
)
def test_repeated_parameters(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server="""
    io.on("connection", (socket) => log("url", socket.handshake.url));
    """,
    client="""
    await http("/socket.io/more/path?EIO=4&transport=polling");
    await http("/socket.io//?EIO=4&transport=polling");
    """,
)
def test_what_follows_the_path(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    await http("/socket.io?EIO=4&transport=polling");
    await http("/socket.iox?EIO=4&transport=polling");
    """,
    options={"add_trailing_slash": False},
    differs=[
        Differs(
            "a path does not reach into its neighbours",
            "http",
            [opened(2)],
            [["GET", 404, {"content-type": "text/plain"}, "Not Found"]],
        )
    ],
)
def test_no_trailing_slash(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    await http("/chat/v1/?EIO=4&transport=polling");
    const a = await ws("/chat/v1/?EIO=4&transport=websocket");
    await a.next();
    const b = await connect("/", { path: "/chat/v1" });
    """,
    options={"path": "/chat/v1"},
)
def test_another_path(io: Server, log: Log) -> None: ...


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=polling", { headers: { origin: "http://a\\xfcb.example" } });
    """,
    differs=[
        Differs(
            "an origin is ASCII",
            "http",
            [opened(1)],
            [refused(3, "Bad request")],
        ),
        Differs(
            "an origin is ASCII",
            "server",
            [],
            [
                [
                    "connection_error",
                    3,
                    "Bad request",
                    {"name": "INVALID_ORIGIN", "origin": "http://aüb.example"},
                ]
            ],
        ),
    ],
)
def test_an_origin_that_is_none(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    const a = await polling();
    await http(`?EIO=4&transport=websocket&sid=${a.sid}`);
    await http(`?EIO=3&transport=polling&sid=${a.sid}`);
    await http(`?transport=polling&sid=${a.sid}`);
    const b = await ws();
    const sid = JSON.parse((await b.next()).slice(1)).sid;
    await http(`?EIO=4&transport=polling&sid=${sid}`);
    await http(`?EIO=4&transport=polling&sid=${sid}`, { method: "POST", body: "4x" });
    // Both live on.
    await a.enter();
    b.send("40");
    await b.next();
    """,
)
def test_requests_that_do_not_fit_their_session(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server=TELLS,
    client="""
    await http("?EIO=4&transport=polling&answer=no");
    await http("?EIO=4&transport=polling&answer=late");
    await http("?EIO=4&transport=polling&answer=full");
    // Asked before the revision is looked at.
    await http("?EIO=3&transport=polling&answer=no");
    await http("?EIO=3&transport=polling&answer=yes");
    await ws("&answer=no");
    await ws("&answer=full");
    const a = await ws("&answer=yes");
    await a.next();
    await http("?EIO=4&transport=polling&answer=yes");
    """,
    js_options="""{
      allowRequest: (req, callback) => {
        const answer = req._query.answer;
        if (answer === "yes") callback(null, true);
        else if (answer === "no") callback(null, false);
        else if (answer === "late") setTimeout(callback, 5, null, false);
        else callback("we are full", false);
      },
    }""",
    options={
        "allow_request": lambda request: {"yes": True, "full": "we are full"}.get(
            request.query["answer"], False
        )
    },
    differs=[
        Differs(
            "the context always has the message",
            "server",
            [["connection_error", 4, "Forbidden", {"message": None}]] * count,
            [["connection_error", 4, "Forbidden", {"message": "Forbidden"}]] * count,
        )
        for count in (2, 1, 1)
    ],
)
def test_the_application_refuses(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server="",
    client="""
    const a = await polling("&name=a");
    const wait = await a.hold();
    await a.post("40");
    await wait();
    const options = { transports: ["polling", "websocket"], query: { name: "b" } };
    const b = await connect("/", { ...options });
    await b.upgraded();
    await http("?EIO=4&transport=polling");
    """,
    js_options="""{
      // It is not asked again by later requests of a session.
      allowRequest: (req, callback) => callback(null, "name" in req._query && !req._query.sid),
    }""",
    options={
        "allow_request": lambda request: "name" in request.query and "sid" not in request.query
    },
)
def test_the_application_is_asked_once_for_each_session(io: Server, log: Log) -> None: ...


def _id(request: Request) -> str:
    if "fail" in request.query:
        raise RuntimeError("no id")
    return f"id-of-{request.query['name']}"


@scenario(
    server="""
    io.engine.generateId = async (req) => {
      if (req._query.fail) throw new Error("no id");
      return `id-of-${req._query.name}`;
    };
    """
    + TELLS,
    client="""
    await http("?EIO=4&transport=polling&name=a");
    const a = await ws("&name=b");
    await a.next();
    await http("?EIO=4&transport=polling&fail=1");
    """,
    options={"generate_id": _id},
    js_options="{}",
    complains=True,
)
def test_ids_of_the_application(io: Server, log: Log) -> None:
    tells(io, log)


@scenario(
    server="",
    client="""
    await http("?EIO=4&transport=polling");
    const a = await ws();
    await a.next();
    await a.next();
    """,
    options={"initial_packet": "hello ü"},
)
def test_an_initial_packet(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    for (const agent of [";MSIE 9", "Trident/7.0", "Mozilla"]) {
      const headers = { "user-agent": agent };
      await http("?EIO=4&transport=polling", { headers });
    }
    await http("?EIO=4&transport=tobi", { headers: { "user-agent": "Trident/7.0" } });
    """,
)
def test_old_browsers_are_told_a_header(io: Server, log: Log) -> None: ...


@scenario(
    server="""
    io.on("connection", (socket) => {
      const { headers, time, address, xdomain, secure, issued, url, query, auth } = socket.handshake;
      log("handshake", headers["x-name"], typeof time, address, xdomain, secure, typeof issued);
      log("query", query, auth, url.split("?")[0]);
      log("request", socket.request.method, socket.request.headers["x-name"]);
      log("conn", socket.conn.transport.name, socket.conn.protocol, socket.conn.readyState,
        socket.conn.remoteAddress, socket.conn.id === socket.id);
    });
    """,
    client="""
    const options = {
      transports: ["websocket"], query: { name: "ä b&c=d" },
      extraHeaders: { "X-Name": "ada" }, auth: { token: [1, { two: null }] },
    };
    await connect("/", options);
    await server.until("conn");
    const a = await ws("&x=1&x=2&y", { headers: { origin: url } });
    await a.enter();
    await server.until("conn");
    """,
)
def test_what_the_handshake_tells(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        handshake = socket.handshake
        log(
            "handshake",
            handshake.headers.get("x-name"),
            "string",
            handshake.address,
            handshake.xdomain,
            handshake.secure,
            "number" if isinstance(handshake.issued, float) else "",
        )
        log("query", handshake.query, handshake.auth, handshake.url.partition("?")[0])
        log("request", socket.request.method, socket.request.headers.get("x-name"))
        conn = socket.conn
        log(
            "conn",
            conn.transport.name,
            conn.protocol,
            conn.ready_state,
            conn.remote_address,
            conn.id == socket.id,
        )
