import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Acks } from "../src/acks.ts";
import { Backoff } from "../src/backoff.ts";
import { NodeCookies } from "../src/engine/cookies.ts";
import { Emitter } from "../src/emitter.ts";
import { RetryQueue } from "../src/retries.ts";
import { record } from "./pipe.js";

test("delays double up to their limit, and begin anew", () => {
  const backoff = new Backoff(100, 500, 0);
  assert.deepEqual([1, 2, 3, 4].map(() => backoff.duration()), [100, 200, 400, 500]);
  backoff.reset();
  assert.equal(backoff.duration(), 100);
});

test("a delay differs by the part that it may, either way", (t) => {
  for (const [random, expected] of [[0.999, 149], [0.899, 56], [0, 100]]) {
    t.mock.method(Math, "random", () => random);
    assert.equal(new Backoff(100, 500, 0.5).duration(), expected);
  }
});

test("listeners are called in order, once if they are to be, until they are removed", () => {
  const emitter = new Emitter();
  const seen = [];
  const first = (value) => seen.push(["first", value]);
  const once = (value) => seen.push(["once", value]);
  emitter.on("e", first).once("e", once).on("other", first);
  emitter.emit("e", 1).emit("e", 2);
  assert.deepEqual(seen, [["first", 1], ["once", 1], ["first", 2]]);
  emitter.once("e", once);
  assert.equal(emitter.listeners("e").length, 2);
  emitter.off("e", once).removeListener("e", first);
  assert.equal(emitter.hasListeners("e"), false);
  emitter.removeAllListeners();
  emitter.emit("other", 3);
  assert.equal(seen.length, 3);
});

test("a listener may remove another while they are called", () => {
  const emitter = new Emitter();
  const late = mock.fn();
  emitter.on("e", () => emitter.off("e", late).on("e", () => assert.fail("too early")));
  emitter.addEventListener("e", late);
  emitter.emit("e");
  assert.equal(late.mock.callCount(), 1);
});

test("names that objects have by nature are names of events like any other", () => {
  const emitter = new Emitter();
  const seen = record(emitter, "__proto__", "toString");
  emitter.emit("__proto__", 1).emit("toString").emit("constructor");
  assert.deepEqual(seen, [["__proto__", 1], ["toString"]]);
});

const timers = { start: (task) => task, stop() {} };

test("an acknowledgement comes once, and only to who waits", () => {
  const acks = new Acks(timers);
  const ack = mock.fn();
  acks.add(0, ack, undefined);
  acks.settle(1, ["x"]);
  acks.settle(0, ["a", "b"]);
  acks.settle(0, ["c"]);
  assert.deepEqual(ack.mock.calls.map((call) => call.arguments), [["a", "b"]]);
});

test("when the connection is lost, callbacks that take an error get one, others are forgotten", () => {
  const acks = new Acks(timers);
  const [plain, timed, kept] = [mock.fn(), mock.fn(), mock.fn()];
  acks.add(0, plain, undefined);
  acks.add(1, timed, 100, () => {});
  acks.add(2, kept, 100, () => {});
  acks.fail(new Set([2]));
  acks.settle(0, ["late"]);
  acks.settle(2, ["in time"]);
  assert.equal(plain.mock.callCount(), 0);
  assert.match(timed.mock.calls[0].arguments[0].message, /disconnected/);
  assert.deepEqual(kept.mock.calls[0].arguments, [null, "in time"]);
});

test("an event is sent again until it is acknowledged or given up, and then the next", () => {
  const sent = [];
  let connected = false;
  const queue = new RetryQueue(1, () => connected, (args) => sent.push(args));
  const done = mock.fn();
  queue.add(["a", done], {});
  queue.add(["b"], {});
  assert.equal(sent.length, 0);
  connected = true;
  queue.drain(true);
  sent[0][1](new Error("lost"));
  sent[1][1](new Error("lost"));
  assert.deepEqual(sent.map(([event]) => event), ["a", "a", "b"]);
  assert.equal(done.mock.calls[0].arguments[0].message, "lost");
  // Two answers to one event: the second is nobody's.
  sent[2][1](null, "answer");
  sent[2][1](null, "again");
  assert.equal(queue.length, 0);
});

test("a plain answer is no error, even without a time-out", () => {
  const sent = [];
  const done = mock.fn();
  new RetryQueue(3, () => true, (args) => sent.push(args)).add(["a", done], {});
  assert.equal(sent[0][1].withError, true);
  sent[0][1](null, "value");
  assert.deepEqual(done.mock.calls[0].arguments, [null, "value"]);
  assert.equal(sent.length, 1);
});

test("cookies go back until they end", () => {
  const cookies = new NodeCookies();
  const take = (...lines) => cookies.take({ headers: { getSetCookie: () => lines } });
  take("a=1; Path=/; HttpOnly", "b=x=y; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", " c = 3 ");
  assert.equal(cookies.header(), "a=1; b=x=y; c=3");
  take("a=2", "b=; max-age=0", "c=; expires=Thu, 01 Jan 1970 00:00:00 GMT");
  assert.equal(cookies.header(), "a=2");
});
