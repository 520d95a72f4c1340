import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { encodeFrames } from "../src/engine/frames.ts";
import { transports } from "../src/engine/transports.ts";
import { WebTransport as WT } from "../src/transports/webtransport.ts";
import { pipe, record, settled } from "./pipe.js";

const HANDSHAKE = '{"sid":"abc","upgrades":[],"pingInterval":60000,"pingTimeout":1}';

/** What a browser has by this name; the test is the server at its other end. */
class FakeSession {
  static made = [];
  written = [];
  streamEnded = false;
  closeCalled = 0;

  constructor(url, options) {
    Object.assign(this, { url, options });
    FakeSession.made.push(this);
    this.ready = new Promise((resolve, reject) => Object.assign(this, { accept: resolve, refuse: reject }));
    this.closed = new Promise((resolve, reject) => Object.assign(this, { end: resolve, fail: reject }));
  }

  async createBidirectionalStream() {
    const session = this;
    const readable = new ReadableStream({ start: (controller) => void (this.incoming = controller) });
    const writable = new WritableStream({
      write: (bytes) => void session.written.push(...bytes),
      close: () => void (session.streamEnded = true),
    });
    return { readable, writable };
  }

  close() {
    this.closeCalled++;
    this.end({ closeCode: 0, reason: "" });
  }

  async say(type, data) {
    this.incoming.enqueue(await encodeFrames([{ type, data }]));
    for (let turn = 0; turn < 5; turn++) await settled();
  }

  text() {
    return Buffer.from(this.written.splice(0)).toString("latin1");
  }
}

function begin(t, options = {}, url = "http://a.test:3000/") {
  const before = globalThis.WebTransport;
  const rejected = [];
  const listen = (reason) => rejected.push(reason);
  process.on("unhandledRejection", listen);
  t.after(() => {
    globalThis.WebTransport = before;
    process.off("unhandledRejection", listen);
    assert.deepEqual(rejected, []);
  });
  globalThis.WebTransport = FakeSession;
  FakeSession.made = [];
  const engine = new Engine(url, { transports: [WT], ...options });
  const seen = record(engine, "open", "message", "error", "close", "upgrade", "upgradeError");
  return { engine, seen };
}

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await settled();
};

async function opened(t, options, url) {
  const { engine, seen } = begin(t, options, url);
  await turns();
  const session = FakeSession.made[0];
  session.accept();
  await turns();
  assert.equal(session.text(), "\x010");
  await session.say("open", HANDSHAKE);
  return { engine, seen, session };
}

test("packets are frames in one stream, after an open packet", async (t) => {
  const { engine, seen, session } = await opened(t, { query: { a: 1 } });
  assert.equal(session.url, "https://a.test:3000/engine.io/?a=1&EIO=4&transport=webtransport");
  assert.deepEqual(session.options, {});
  engine.send("hello").send(Uint8Array.of(1, 2)).send(new Uint8Array(0));
  await turns();
  assert.equal(session.text(), "\x064hello\x82\x01\x02\x01b");
  await session.say("message", "back");
  assert.deepEqual(seen, [["open"], ["message", "back"]]);
  engine.close();
  await turns();
  assert.deepEqual([session.streamEnded, session.closeCalled, engine.readyState], [true, 1, "closed"]);
});

test("the port is always that of the server, and only the usual one is left out", async (t) => {
  for (const [url, host] of [
    ["https://a.test", "a.test"],
    ["http://a.test", "a.test:80"],
    ["https://[::1]:8443", "[::1]:8443"],
  ]) {
    const { engine } = begin(t, { transportOptions: { webtransport: { fetchCertificateHashes: false } } }, url);
    await turns();
    assert.equal(FakeSession.made[0].url.split("/")[2], host);
    engine.close();
  }
});

test("hashes are handed on, text as bytes; other options of a browser's, too", async (t) => {
  const value = Uint8Array.of(1, 2, 3);
  const { engine } = begin(t, {
    transportOptions: {
      webtransport: { serverCertificateHashes: [{ value }, { algorithm: "x", value: "AQID" }], allowPooling: true },
    },
  });
  await turns();
  assert.deepEqual(FakeSession.made[0].options, {
    allowPooling: true,
    serverCertificateHashes: [{ algorithm: "sha-256", value }, { algorithm: "x", value }],
  });
  engine.close();
});

test("on this computer the server is asked for them, and may have none", async (t) => {
  const before = globalThis.fetch;
  t.after(() => (globalThis.fetch = before));
  const asked = [];
  const answers = [
    Response.json({ serverCertificateHashes: [{ algorithm: "sha-256", value: "AQID" }] }),
    new Response("", { status: 404 }),
  ];
  globalThis.fetch = async (url) => {
    asked.push(url);
    const answer = answers.shift();
    if (!answer) throw new Error("nobody there");
    return answer;
  };
  const found = [];
  for (const url of ["http://127.0.0.1:3000", "http://localhost:1", "http://x.localhost:2", "http://a.test"]) {
    const { engine } = begin(t, {}, url);
    await turns();
    found.push(FakeSession.made[0].options.serverCertificateHashes?.[0].value ?? null);
    engine.close();
  }
  assert.deepEqual(found, [Uint8Array.of(1, 2, 3), null, null, null]);
  assert.deepEqual(asked, [
    "http://127.0.0.1:3000/engine.io/webtransport.json",
    "http://localhost:1/engine.io/webtransport.json",
    "http://x.localhost:2/engine.io/webtransport.json",
  ]);
});

test("an end is told, with the reason of a server that refuses", async (t) => {
  for (const [info, expected] of [
    [{ closeCode: 0, reason: "" }, ["close", "transport close", "webtransport connection closed"]],
    [{ closeCode: 403, reason: "no" }, ["error", "webtransport error", 403]],
  ]) {
    const { seen, session } = await opened(t);
    session.end(info);
    await turns();
    const [event, first, second] = seen[1];
    assert.deepEqual([event, first.message ?? first, first.description ?? second.description], expected);
  }
});

test("the end of the stream is the end, too", async (t) => {
  const { engine, session } = await opened(t);
  session.incoming.close();
  await turns();
  assert.equal(engine.readyState, "closed");
});

test("a session that is lost or never begins is an error", async (t) => {
  const first = await opened(t);
  first.session.fail(new Error("lost"));
  await turns();
  assert.equal(first.seen[1][1].description.message, "lost");
  const second = begin(t);
  await turns();
  const refused = new Error("refused");
  FakeSession.made[0].refuse(refused);
  FakeSession.made[0].fail(refused);
  await turns();
  assert.deepEqual(second.seen.map(([event, what]) => [event, what.message ?? what]), [
    ["error", "webtransport error"],
    ["close", "transport error"],
  ]);
});

test("where there is no WebTransport, that is an error like any other", async (t) => {
  const { seen } = begin(t);
  globalThis.WebTransport = undefined;
  await turns();
  assert.equal(seen[0][1].message, "webtransport error");
});

test("one that is closed while it opens does not stay", async (t) => {
  const { engine } = begin(t);
  await turns();
  const [session] = FakeSession.made;
  engine.close();
  session.accept();
  await turns();
  assert.ok(session.closeCalled);
  assert.equal(session.incoming === undefined || session.written.length === 0, true);
});

test("a session moves there, which its id tells", async (t) => {
  const before = { ...transports };
  t.after(() => {
    for (const name of Object.keys(transports)) if (!before[name]) delete transports[name];
  });
  const Pipe = pipe();
  const { engine, seen } = begin(t, { transports: [Pipe, WT] });
  Pipe.last.accept({ upgrades: ["webtransport"] });
  await turns();
  const [session] = FakeSession.made;
  assert.match(session.url, /&sid=one$/);
  session.accept();
  await turns();
  assert.equal(session.text(), '\x0e0{"sid":"one"}\x062probe');
  await session.say("pong", "probe");
  await turns();
  assert.equal(session.text(), "\x015");
  assert.deepEqual(seen.map(([event]) => event), ["open", "upgrade"]);
  engine.close();
});

// Together with WebSocket.

/** A class in the place of WebSocket's. */
function rivals(t, options) {
  const Rival = pipe("websocket");
  return { Rival, ...begin(t, { transports: [WT, Rival], ...options }) };
}

const headStart = () => new Promise((resolve) => setTimeout(resolve, 260));

test("who arrives in time is alone", async (t) => {
  const { engine, Rival } = rivals(t);
  await turns();
  FakeSession.made[0].accept();
  await turns();
  await FakeSession.made[0].say("open", HANDSHAKE);
  await headStart();
  assert.deepEqual([engine.readyState, engine.transport.name, Rival.made.length], ["open", "webtransport", 0]);
  engine.close();
});

test("without an answer WebSocket sets out, and who opens first is taken", async (t) => {
  const { engine, seen, Rival } = rivals(t);
  await turns();
  const [session] = FakeSession.made;
  assert.equal(Rival.made.length, 0);
  await headStart();
  Rival.last.accept();
  assert.deepEqual([engine.readyState, engine.transport.name], ["open", "websocket"]);
  assert.ok(session.closeCalled);
  session.accept();
  await turns();
  assert.deepEqual(seen, [["open"]]);
  engine.close();
});

test("the slower of the two is called back", async (t) => {
  const { engine, Rival } = rivals(t);
  await turns();
  await headStart();
  FakeSession.made[0].accept();
  await turns();
  assert.ok(Rival.last.finished);
  await FakeSession.made[0].say("open", HANDSHAKE);
  assert.equal(engine.transport.name, "webtransport");
  engine.close();
});

test("who fails does not let the other wait; when both fail, that is the error", async (t) => {
  const { seen, Rival } = rivals(t);
  await turns();
  FakeSession.made[0].fail(new Error("no"));
  FakeSession.made[0].refuse(new Error("no"));
  await turns();
  Rival.last.fail("neither");
  assert.deepEqual(seen.map(([event, what]) => [event, what.message ?? what]), [
    ["error", "neither"],
    ["close", "transport error"],
  ]);
});

test("an engine that is closed meanwhile calls both back", async (t) => {
  const { engine, Rival } = rivals(t);
  await turns();
  await headStart();
  engine.close();
  await turns();
  assert.ok(Rival.last.finished && FakeSession.made[0].closeCalled);
});
