"""What other origins are told.

The requests come from pages that both servers admit: Nuncio refuses the others, on purpose.
"""

from __future__ import annotations

import re

from nuncio import Server
from tests.interop.differential.harness import (
    Differs,
    Log,
    open_packet,
    opened,
    scenario,
    with_header,
)

# An ordinary request, a refused one, a preflight with and without headers, a POST and a WebSocket.
REQUESTS = """
const headers = { origin: "https://a.example" };
await http("?EIO=4&transport=polling", { headers });
await http("?EIO=4&transport=tobi", { headers });
await http("?EIO=4&transport=polling");
await http("?EIO=4&transport=polling", {
  method: "OPTIONS",
  headers: { ...headers, "access-control-request-method": "POST" },
});
await http("?EIO=4&transport=polling", {
  method: "OPTIONS",
  headers: {
    ...headers,
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-one, x-two",
  },
});
const a = await polling("", { headers });
await a.post("40", { headers });
await a.get({ headers });
const b = await ws("", { headers });
await b.next();
"""


@scenario(server="", client=REQUESTS, options={"cors": {}})
def test_everybody_by_default(io: Server, log: Log) -> None: ...


@scenario(server="", client=REQUESTS, options={"cors": {"origin": "*"}})
def test_everybody(io: Server, log: Log) -> None: ...


@scenario(server="", client=REQUESTS, options={"cors": {"origin": True}})
def test_everybody_by_name(io: Server, log: Log) -> None: ...


@scenario(server="", client=REQUESTS, options={"cors": {"origin": "https://a.example"}})
def test_one_origin(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=REQUESTS,
    options={"cors": {"origin": ["https://b.example", "https://a.example"]}},
)
def test_a_list(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=REQUESTS,
    options={"cors": {"origin": re.compile(r"https://[a-c]\.example")}},
    js_options="{ cors: { origin: /^https:\\/\\/[a-c]\\.example$/ } }",
)
def test_a_pattern(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=REQUESTS,
    options={"cors": {"origin": lambda origin: origin == "https://a.example"}},
    js_options="""{
      cors: { origin: (origin, callback) => callback(null, origin === "https://a.example") },
    }""",
    differs=[
        Differs(
            "caches are told that answers depend on the origin even when there is none",
            "http",
            [opened(5)],
            [with_header(opened(5), vary="Origin")],
        )
    ],
)
def test_a_function(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=REQUESTS,
    options={
        "cors": {
            "origin": "https://a.example",
            "credentials": True,
            "methods": ["GET", "POST"],
            "allowed_headers": ["x-one", "x-three"],
            "exposed_headers": ["x-four", "x-five"],
            "max_age": 600,
            "options_success_status": 200,
        }
    },
)
def test_every_option(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    await http("?EIO=4&transport=polling");
    await http("?EIO=4&transport=polling", { method: "OPTIONS" });
    const a = await polling();
    await a.begin({ method: "OPTIONS" })();
    """,
    options={"cors": {"origin": False}},
)
def test_nobody(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=REQUESTS,
    options={"cors": {"origin": "https://a.example", "preflight_continue": True}},
)
def test_preflights_that_go_on(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    const headers = { origin: "https://b.example" };
    await http("?EIO=4&transport=polling", { headers });
    const a = await ws("", { headers });
    await a.until("frame", "close");
    """,
    options={"cors": {"origin": ["https://a.example"]}},
    differs=[
        Differs(
            "pages of other origins are refused, not only left without headers",
            "http",
            [with_header(opened(2), vary="Origin")],
            [
                [
                    "GET",
                    403,
                    {
                        "content-type": "application/json",
                        "vary": "Origin",
                    },
                    '{"code":4,"message":"Origin not allowed"}',
                ]
            ],
        ),
        Differs(
            "WebSockets, too",
            "a",
            [["open", {"vary": "Origin"}], ["frame", open_packet(1, "")]],
            [
                [
                    "refused",
                    400,
                    {"content-type": "text/html", "vary": "Origin"},
                    "Origin not allowed",
                ],
                ["close", 1006, ""],
            ],
        ),
    ],
)
def test_somebody_else(io: Server, log: Log) -> None: ...
