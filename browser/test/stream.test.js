// Transports by one long response and POSTs, as `stream` does it: what is common to all of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { Stream } from "../src/transports/stream.ts";
import { end, FakeServer, HANDSHAKE, opened, until } from "./downs.js";
import { pipe, record, settled } from "./pipe.js";

async function streaming(t, options, handshake) {
  const all = await opened(t, Stream, options, handshake);
  await all.down.frames(all.hello);
  await until(() => all.engine.readyState === "open");
  return all;
}

test("it opens with one long response, and says goodbye", async (t) => {
  const { engine, server, request, down } = await streaming(t);
  assert.deepEqual(request.query, { EIO: "4", transport: "stream" });
  assert.deepEqual([engine.id, engine.transport.name, engine.transport.writable], ["abc", "stream", true]);
  const seen = record(engine, "message", "close");
  await down.frames("4a", Uint8Array.of(1, 2), "4", "6");
  await until(() => seen.length === 3);
  assert.deepEqual(seen, [["message", "a"], ["message", Uint8Array.of(1, 2).buffer], ["message", ""]].map(([event, data]) => [event, data || undefined]));
  engine.close();
  assert.equal(down.left, true);
  const goodbye = await server.post();
  assert.deepEqual([goodbye.body, goodbye.keepalive], ["1", true]);
  assert.deepEqual(goodbye.query, { EIO: "4", transport: "stream", sid: "abc", ack: "4", seq: "1" });
});

test("text goes up as text, with bytes as frames, one POST at a time", async (t) => {
  const { engine, server } = await streaming(t);
  engine.send("a").send("é").send(Uint8Array.of(1, 2)).send(new Blob([])).send("b");
  const first = await server.post();
  assert.deepEqual([first.body, first.query.seq, first.query.ack], ["4a", "1", "1"]);
  assert.equal(first.headers.get("content-type"), null);
  await settled();
  assert.deepEqual(server.posts, []);
  first.answer();
  const second = await server.post();
  assert.equal(second.bytes(), "\x034\xc3\xa9\x82\x01\x02\x01b\x024b");
  assert.deepEqual([second.headers.get("content-type"), second.query.seq], ["application/octet-stream", "2"]);
  second.answer();
  await until(() => engine.transport.writable);
  engine.send("\x1e");
  assert.equal((await server.post()).bytes(), "\x024\x1e");
});

test("without bytes, everything is text", async (t) => {
  const { engine, server } = await streaming(t, { forceBase64: true });
  engine.send(Uint8Array.of(1, 2));
  const post = await server.post();
  assert.deepEqual([post.body, post.query.b64], ["bAQI=", "1"]);
});

test("no request is larger than the server takes, but for a single packet", async (t) => {
  const { engine, server } = await streaming(t, {}, { maxPayload: 1000 });
  engine.send("first");
  (await server.post()).answer();
  for (const size of [400, 300, 500, 2000, 10]) engine.send("x".repeat(size));
  const sizes = [];
  for (let seq = 2; seq <= 6; seq++) {
    const post = await server.post();
    assert.equal(post.query.seq, String(seq));
    sizes.push(post.body.split("\x1e").map(({ length }) => length - 1));
    post.answer();
    if (sizes.flat().length === 5) break;
  }
  assert.deepEqual(sizes.flat(), [400, 300, 500, 2000, 10]);
  assert.ok(sizes.every((some) => some.length === 1 || some.reduce((sum, size) => sum + size) < 1000));
});

test("requests are made as the options say", async (t) => {
  const { engine, request, server } = await streaming(t, {
    path: "/p",
    extraHeaders: { "x-a": "b" },
    withCredentials: true,
    query: { q: "é" },
  });
  engine.send("a");
  for (const { url, headers, credentials, cache } of [request, await server.post()]) {
    assert.deepEqual([url.pathname, url.searchParams.get("q"), headers.get("x-a")], ["/p/", "é", "b"]);
    assert.deepEqual([credentials, cache], ["include", "no-store"]);
  }
});

test("a response that breaks off is followed by one that goes on there", async (t) => {
  const { engine, server, down } = await streaming(t);
  const seen = record(engine, "message", "close");
  await down.frames("4a", "6", "4b");
  await until(() => seen.length === 2);
  down.break();
  const again = await server.get();
  assert.deepEqual(again.query, { EIO: "4", transport: "stream", sid: "abc", ack: "3" });
  again.fail();
  const third = await server.get();
  assert.equal(third.query.ack, "3");
  third.answer("away", 502);
  await (await server.get()).begin().frames("4c");
  await until(() => seen.length === 3);
  assert.deepEqual(seen.map(([, data]) => data), ["a", "b", "c"]);
});

test("half a packet counts for nothing", async (t) => {
  const { engine, server, down } = await streaming(t);
  const seen = record(engine, "message");
  down.write(Uint8Array.of(5, 52, 97));
  await settled();
  down.break();
  const again = await server.get();
  assert.equal(again.query.ack, "1");
  await again.begin().frames("4abcd");
  await until(() => seen.length);
  assert.deepEqual(seen, [["message", "abcd"]]);
});

test("a response that the server ends is followed by the next at once", async (t) => {
  const { engine, server, down } = await streaming(t);
  const seen = record(engine, "message");
  await down.frames("4a", "6end");
  down.end();
  const again = await server.get();
  assert.equal(again.query.ack, "2");
  await again.begin().frames("4b");
  await until(() => seen.length === 2);
});

test("when nothing comes, not even a heartbeat, the response is lost", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new FakeServer(t);
  const engine = new Engine("http://a.test", { transports: [Stream] });
  end(t, engine);
  await settled();
  const down = server.gets.shift().begin();
  const seen = record(engine, "packet");
  await down.frames("0" + JSON.stringify(HANDSHAKE), "4a");
  while (seen.length < 2) await settled();
  t.mock.timers.tick(22_499);
  assert.equal(down.left, false);
  t.mock.timers.tick(1);
  assert.equal(down.left, true);
  t.mock.timers.tick(0);
  while (!server.gets.length) await settled();
  assert.equal(server.gets[0].query.ack, "2");
});

test("a refusal is an error with its status, and there is nobody to say goodbye to", async (t) => {
  const { engine, server, down } = await streaming(t);
  const seen = record(engine, "close");
  down.break();
  (await server.get()).answer('{"code":1}', 400);
  await until(() => seen.length);
  const [[, reason, error]] = seen;
  assert.deepEqual([reason, error.message, error.description], ["transport error", "stream error", 400]);
  assert.equal(error.context.responseText, '{"code":1}');
  await settled();
  assert.deepEqual(server.posts, []);
});

test("a server that does not come back is given up in time", async (t) => {
  const { engine, server, down } = await streaming(t, {}, { pingTimeout: 100 });
  const seen = record(engine, "close");
  t.mock.method(globalThis, "fetch", async () => {
    throw new TypeError("no network");
  });
  down.break();
  await until(() => seen.length);
  const [[, reason, error]] = seen;
  assert.deepEqual([reason, error.message, error.description.message], ["transport error", "stream error", "no network"]);
  assert.equal(server.gets.length, 0);
});

test("a POST whose answer is lost is sent again, and is the same", async (t) => {
  const { engine, server } = await streaming(t);
  engine.send("a");
  const first = await server.post();
  first.fail();
  engine.send("b");
  const second = await server.post();
  second.answer("away", 503);
  const third = await server.post();
  for (const post of [second, third]) assert.deepEqual([post.body, post.query.seq], [first.body, "1"]);
  third.answer();
  const next = await server.post();
  assert.deepEqual([next.body, next.query.seq], ["4b", "2"]);
});

test("a POST that the server refuses ends the session", async (t) => {
  const { engine, server } = await streaming(t);
  const seen = record(engine, "close");
  engine.send("a");
  (await server.post()).answer("too large", 413);
  await until(() => seen.length);
  const [[, reason, error]] = seen;
  assert.deepEqual([reason, error.message, error.description], ["transport error", "stream post error", 413]);
});

test("the server may close, and garbage ends the session", async (t) => {
  for (const [packet, reason] of [["1", "transport close"], ["9", "transport error"]]) {
    const { engine, down } = await streaming(t);
    const seen = record(engine, "close");
    down.write(Uint8Array.of(1, packet.charCodeAt(0)));
    await until(() => seen.length);
    assert.equal(seen[0][1], reason);
    t.mock.restoreAll();
  }
});

test("what cannot be opened is an error: a refusal, no network, no body that can be read, an end", async (t) => {
  const ways = [
    [(request) => request.answer("no", 403), 403],
    [(request) => request.fail(), /no network/],
    [(request) => request.begin().end(), undefined],
  ];
  for (const [happen, description] of ways) {
    const server = new FakeServer(t);
    const engine = new Engine("http://a.test", { transports: [Stream] });
    const seen = record(engine, "close");
    happen(await server.get());
    await until(() => seen.length);
    const [[, , error]] = seen;
    assert.equal(error.message, "stream error");
    if (description instanceof RegExp) assert.match(error.description.message, description);
    else assert.equal(error.description, description);
    t.mock.restoreAll();
  }
  t.mock.method(globalThis, "fetch", async () => ({ ok: true, headers: new Headers() }));
  const engine = new Engine("http://a.test", { transports: [Stream] });
  const seen = record(engine, "close");
  await until(() => seen.length);
  assert.match(seen[0][2].description.message, /as they come/);
});

test("whoever holds back the response is found out", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new FakeServer(t);
  const engine = new Engine("http://a.test", { transports: [Stream] });
  const seen = record(engine, "close");
  await settled();
  server.gets.shift().begin();
  await settled();
  t.mock.timers.tick(8000);
  assert.match(seen[0][2].description.message, /in time/);
});

// --- upgrades

/** A session on a transport without a network that moves to `stream`. */
async function trying(t, upgrades = ["stream"], ...others) {
  const server = new FakeServer(t);
  const First = pipe("first");
  const engine = new Engine("http://a.test", { transports: [First, Stream, ...others] });
  end(t, engine);
  First.last.accept({ ...HANDSHAKE, upgrades });
  return { server, engine, first: First.last };
}

test("it can be moved to", async (t) => {
  const { server, engine, first } = await trying(t);
  const seen = record(engine, "upgrade", "message");
  const get = await server.get();
  assert.deepEqual(get.query, { EIO: "4", transport: "stream", sid: "abc" });
  const down = get.begin();
  await down.frames("6");
  const probe = await server.post();
  assert.deepEqual([probe.body, probe.query.seq, probe.query.transport], ["2probe", "1", "stream"]);
  // The answer may be there before that to the POST.
  first.pause = (done) => done();
  await down.frames("3probe");
  await until(() => seen.length === 1);
  engine.send("a");
  await settled();
  assert.deepEqual(server.posts, []);
  probe.answer();
  const upgrade = await server.post();
  assert.deepEqual([upgrade.body, upgrade.query.seq, upgrade.query.ack], ["5", "2", "1"]);
  upgrade.answer();
  const next = await server.post();
  assert.equal(next.body, "4a");
  await down.frames("4b");
  await until(() => seen.length === 2);
  assert.deepEqual(seen[1], ["message", "b"]);
});

test("an attempt that fails says no goodbye for the session", async (t) => {
  const { server, engine } = await trying(t);
  const seen = record(engine, "upgradeError");
  const down = (await server.get()).begin();
  await down.frames("6");
  (await server.post()).answer();
  await down.frames("3wrong");
  await until(() => seen.length);
  assert.equal(down.left, true);
  await settled();
  assert.deepEqual([engine.readyState, server.posts], ["open", []]);
});

test("it waits for better ones, and begins when they have failed", async (t) => {
  const Better = pipe("websocket");
  const { server } = await trying(t, ["websocket", "stream"], Better);
  await settled();
  assert.deepEqual(server.gets, []);
  Better.last.fail("blocked");
  await server.get();
});

test("it does not wait for ever", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { server, engine } = await trying(t, ["websocket", "stream"], pipe("websocket"));
  t.mock.timers.tick(1999);
  await settled();
  assert.deepEqual(server.gets, []);
  t.mock.timers.tick(1);
  await settled();
  assert.equal(server.gets.length, 1);
  engine.close();
});

/** A session on `stream` that is about to move to another transport. */
async function leaving(t) {
  const Next = pipe("next");
  const all = await opened(t, Stream, { transports: [Stream, Next] }, { upgrades: ["next"] });
  await all.down.frames(all.hello);
  await until(() => Next.last);
  Next.last.onOpen();
  return { ...all, next: Next.last, seen: record(all.engine, "upgrade", "message", "upgradeError") };
}

test("it rests when the server has ended the response, and everything has got there", async (t) => {
  const { engine, server, down, next, seen } = await leaving(t);
  engine.send("a");
  const post = await server.post();
  next.receive("pong", "probe");
  await down.frames("4b", "6end");
  down.end();
  await until(() => seen.length === 1);
  await settled();
  assert.deepEqual(seen, [["message", "b"]]);
  post.answer();
  await until(() => seen.length === 2);
  assert.deepEqual([seen[1][0], engine.transport.name, server.gets, server.posts], ["upgrade", "next", [], []]);
});

test("what breaks off meanwhile is asked for before it rests", async (t) => {
  const { server, down, next, seen } = await leaving(t);
  next.receive("pong", "probe");
  down.break();
  const again = (await server.get()).begin();
  await again.frames("4b", "6end");
  again.end();
  await until(() => seen.length === 2);
  assert.deepEqual(seen.map(([event]) => event), ["message", "upgrade"]);
});

test("the end may come before the answer to the probe", async (t) => {
  const { server, down, next, seen } = await leaving(t);
  await down.frames("6end");
  down.end();
  const again = (await server.get()).begin();
  next.receive("pong", "probe");
  await again.frames("6end");
  again.end();
  await until(() => seen.length);
  assert.equal(seen[0][0], "upgrade");
});

test("it goes on when the other one fails after all", async (t) => {
  const { engine, server, down, next, seen } = await leaving(t);
  next.receive("pong", "probe");
  await down.frames("6end");
  engine.send("a");
  next.fail("broken");
  down.end();
  await (await server.get()).begin().frames("4b");
  assert.equal((await server.post()).body, "4a");
  await until(() => seen.length === 2);
  assert.deepEqual(seen.map(([event]) => event), ["upgradeError", "message"]);
});
