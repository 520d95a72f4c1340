"""The browser's client, served under the server's path."""

from __future__ import annotations

from pathlib import Path

from nuncio import Server
from tests.interop.differential.harness import HERE, Differs, Log, scenario

# The very files which the reference serves; npm fetches them.
FILES = Path(HERE.parent / "node_modules" / "socket.io" / "client-dist")

# The whole file is as it is; here its length and beginning are enough.
FETCH = """
const get = async (path, options = {}) => {
  const { status, headers, text } = await http(path, { record: false, ...options });
  // In chunks or not, and what caches may do with it: see below.
  const { etag, vary, "content-length": length, ...others } = headers;
  note(path, status, others, text.length, text.slice(0, 60));
  return headers;
};
"""


UNDEFINED = {"$js": "undefined"}


def _file(encoding: str) -> list[object]:
    """What is noted of the minified client."""
    headers = {
        "cache-control": "public, max-age=0",
        **({"content-encoding": encoding} if encoding else {}),
        "content-type": "application/javascript; charset=utf-8",
    }
    file = FILES / "socket.io.min.js"
    text = file.read_text() if file.exists() else ""
    return ["socket.io.min.js", 200, headers, len(text), text[:60]]


@scenario(
    server="",
    client=FETCH
    + """
    for (const name of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js",
      "socket.io.msgpack.min.js", "socket.io.js.map", "socket.io.min.js.map"]) {
      await get(name);
    }
    await get("socket.io.js?v=1&EIO=4");
    for (const name of ["socket.io.ts", "other.js", "socket.io.js/", "..%2fpackage.json",
      "package.json", "SOCKET.IO.JS"]) {
      await http(name);
    }
    """,
    options={"serve_client": FILES},
    js_options="{}",
)
def test_files(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=FETCH
    + """
    for (const encoding of ["gzip", "deflate", "br", "gzip, deflate, br", "identity", ""]) {
      await get("socket.io.min.js", { headers: { "accept-encoding": encoding } });
    }
    """,
    options={"serve_client": FILES},
    js_options="{}",
    differs=[
        Differs(
            "what everybody understands, kept compressed; other forms if there are files of them",
            "script",
            [_file(encoding)],
            [_file("")],
        )
        for encoding in ("deflate", "br")
    ],
)
def test_files_are_compressed(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=FETCH
    + """
    const { etag, vary } = await get("socket.io.js");
    note("caches", typeof etag, vary);
    for (const match of [etag, `W/${etag}`, '"other"']) {
      const again = await get("socket.io.js", { headers: { "if-none-match": match } });
      note("caches", typeof again.etag, again.vary);
    }
    """,
    options={"serve_client": FILES},
    js_options="{}",
    differs=[
        *(
            Differs(
                "RFC 9110 wants the headers of a 304 to be those of the file",
                "script",
                [["socket.io.js", 304, {}, 0, ""], ["caches", "undefined", UNDEFINED]],
                [
                    ["socket.io.js", 304, {"cache-control": "public, max-age=0"}, 0, ""],
                    ["caches", "string", "Accept-Encoding"],
                ],
            )
            for _ in range(2)
        ),
        *(
            Differs(
                "caches are told that the encoding was chosen",
                "script",
                [["caches", "string", UNDEFINED]],
                [["caches", "string", "Accept-Encoding"]],
            )
            for _ in range(2)
        ),
    ],
)
def test_files_that_are_known(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=FETCH
    + """
    await get("socket.io.min.js", { headers: { origin: "https://a.example" } });
    """,
    options={"serve_client": FILES, "cors": {"origin": "https://a.example"}},
    js_options='{ cors: { origin: "https://a.example" } }',
)
def test_files_for_others(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client="""
    await http("socket.io.js");
    """,
    options={"serve_client": False},
)
def test_nothing_is_served(io: Server, log: Log) -> None: ...
