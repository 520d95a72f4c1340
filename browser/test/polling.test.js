import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { record, settled } from "./pipe.js";

const HANDSHAKE = '0{"sid":"abc","upgrades":[],"pingInterval":60000,"pingTimeout":1}';

/** A session by long-polling; the test answers its requests, which are `asked`. */
function polling(t, options) {
  const asked = [];
  t.mock.method(globalThis, "fetch", (url, { method, body, ...rest }) => {
    return new Promise((resolve, reject) => {
      const answer = (text, status = 200) => resolve(new Response(text, { status }));
      asked.push({ method, body, url: new URL(url), answer, fail: reject, ...rest });
    });
  });
  const engine = new Engine("http://a.test", { transports: ["polling"], ...options });
  const take = () => asked.splice(0);
  return { engine, take };
}

async function opened(t, options) {
  const { engine, take } = polling(t, options);
  take()[0].answer(HANDSHAKE);
  await settled();
  return { engine, take };
}

test("one GET waits, and its answer brings the next", async (t) => {
  const { engine, take } = await opened(t);
  const seen = record(engine, "message");
  const [poll, ...others] = take();
  assert.deepEqual(others, []);
  assert.deepEqual([poll.method, poll.body, poll.url.searchParams.get("sid")], ["GET", undefined, "abc"]);
  poll.answer("4a\x1ebAQI=\x1e6\x1e4");
  await settled();
  assert.deepEqual(seen, [["message", "a"], ["message", Uint8Array.of(1, 2).buffer], ["message", undefined]]);
  const [again] = take();
  assert.notEqual(again.url.href, poll.url.href);
  engine.close();
});

test("one POST at a time carries what has gathered", async (t) => {
  const { engine, take } = await opened(t);
  take();
  engine.send("a").send(new Blob(["\x01"])).send("b");
  await settled();
  const [first, ...others] = take();
  assert.deepEqual([first.method, first.body, others], ["POST", "4a", []]);
  first.answer("ok");
  await settled();
  const [second] = take();
  assert.equal(second.body, "bAQ==\x1e4b");
  second.answer("ok");
  await settled();
  engine.close();
  await settled();
  const [last] = take();
  assert.deepEqual([last.body, last.keepalive], ["1", true]);
});

test("requests are made as the options say", async (t) => {
  const { engine, take } = polling(t, {
    path: "/p",
    extraHeaders: { "x-a": "b" },
    withCredentials: true,
    requestTimeout: 60_000,
    timestampRequests: false,
    forceBase64: true,
    query: { q: "é" },
  });
  const [request] = take();
  assert.equal(request.url.href, "http://a.test/p/?q=%C3%A9&EIO=4&transport=polling&b64=1");
  assert.deepEqual(request.headers, { "x-a": "b" });
  assert.equal(request.credentials, "include");
  assert.ok(request.signal instanceof AbortSignal);
  engine.close();
});

test("a request that the server refuses, or that does not get there, ends the session", async (t) => {
  const cases = [
    ["GET", (request) => request.answer('{"code":1}', 400), "xhr poll error", 400, '{"code":1}'],
    ["POST", (request) => request.answer("", 413), "xhr post error", 413, ""],
    ["GET", (request) => request.fail(new TypeError("no network")), "xhr poll error", 0, undefined],
  ];
  for (const [method, end, message, description, text] of cases) {
    const { engine, take } = await opened(t);
    const seen = record(engine, "error", "close");
    engine.send("a");
    await settled();
    end(take().find((request) => request.method === method));
    await settled();
    assert.deepEqual(seen.map(([event]) => event), ["error", "close"]);
    const [[, error], [, reason, details]] = seen;
    assert.deepEqual([reason, details, error.type], ["transport error", error, "TransportError"]);
    assert.deepEqual([error.message, error.description], [message, description]);
    assert.equal(error.context.responseText, text);
  }
});

test("the server may close", async (t) => {
  const { engine, take } = await opened(t);
  const seen = record(engine, "message", "close");
  take()[0].answer("4a\x1e1\x1e4b");
  await settled();
  assert.deepEqual(seen, [
    ["message", "a"],
    ["close", "transport close", { description: "transport closed by the server" }],
  ]);
});

test("a session that opens after it was given up is closed at the server", async (t) => {
  const { engine, take } = polling(t);
  engine.close();
  const [late] = take();
  late.answer(HANDSHAKE);
  await settled();
  const [goodbye, ...others] = take();
  assert.deepEqual([goodbye.body, goodbye.url.searchParams.get("sid"), others], ["1", "abc", []]);
});

test("it rests when both requests have come back, and can go on", async (t) => {
  const { engine, take } = await opened(t);
  const seen = record(engine, "message");
  let resting = false;
  engine.send("a");
  await settled();
  const [poll, post] = take();
  engine.transport.pause(() => (resting = true));
  poll.answer("4last");
  await settled();
  assert.deepEqual([resting, seen], [false, [["message", "last"]]]);
  post.answer("ok");
  await settled();
  assert.deepEqual([resting, take()], [true, []]);
  engine.transport.resume();
  const [again, ...others] = take();
  assert.deepEqual([again.method, others], ["GET", []]);
  engine.close();
});

test("it can go on before it has come to rest", async (t) => {
  const { engine, take } = await opened(t);
  const [poll] = take();
  engine.transport.pause(() => assert.fail("it does not rest"));
  engine.transport.resume();
  assert.deepEqual(take(), []);
  poll.answer("6");
  await settled();
  assert.equal(take().length, 1);
  engine.close();
});
