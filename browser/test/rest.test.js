// How a WebSocket is left for another transport.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Rest } from "../src/transports/rest.ts";
import { pipe, settled } from "./pipe.js";

/** A WebSocket that is left, and what is tried; the engine is as much as is used of it. */
function make() {
  const [Old, Next] = [pipe("websocket"), pipe("webrtc")];
  const engine = { readyState: "open", upgrading: false, flushed: 0, flush: () => engine.flushed++ };
  const old = new Old({ socket: engine });
  const next = new Next({ socket: engine });
  old.onOpen();
  next.onOpen();
  let moved = 0;
  const rest = new Rest(next, old, engine);
  const pause = () => {
    engine.upgrading = true;
    old.pause(() => moved++);
  };
  return { engine, old, next, rest, pause, moved: () => moved };
}

test("it is left with a last packet of each side", () => {
  for (const order of [["pause", "noop"], ["noop", "pause"]]) {
    const { old, pause, moved } = make();
    for (const step of order) {
      assert.equal(moved(), 0);
      if (step === "pause") pause();
      else old.receive("noop");
    }
    assert.equal(moved(), 1);
    assert.deepEqual(old.take(), [["noop"]]);
    assert.equal(old.readyState, "paused");
    assert.ok(old.finished);
  }
});

test("what is being sent leaves first", () => {
  const { old, pause, moved } = make();
  old.fast = false;
  old.send([{ type: "message", data: "a" }]);
  pause();
  old.receive("noop");
  assert.deepEqual(old.take(), [["message", "a"]]);
  old.drain();
  assert.deepEqual([old.take(), moved()], [[["noop"]], 0]);
  old.drain();
  assert.deepEqual([moved(), old.finished], [1, true]);
});

test("other packets do not count, and it is left once", () => {
  const { old, pause, moved } = make();
  pause();
  old.say("a");
  assert.equal(moved(), 0);
  old.receive("noop");
  old.receive("noop");
  old.drain();
  assert.equal(moved(), 1);
  assert.deepEqual(old.take(), [["noop"]]);
});

test("when the other ends before the move, the session goes on", async () => {
  const { engine, old, next, rest, pause, moved } = make();
  old.fast = false;
  old.send([{ type: "message", data: "a" }]);
  pause();
  next.end();
  rest.end();
  old.receive("noop");
  old.drain();
  await settled();
  assert.deepEqual([engine.upgrading, engine.flushed, moved(), old.finished], [false, 1, 0, false]);
  assert.deepEqual(old.take(), [["message", "a"]]);
  assert.equal(old.readyState, "open");
  // It is as it was: who comes next brings his own.
  let paused = 0;
  old.pause(() => paused++);
  assert.equal(paused, 1);
});

test("an end behind the move, or of an attempt that was not answered, changes nothing", () => {
  const first = make();
  first.pause();
  first.old.receive("noop");
  first.rest.end();
  const second = make();
  second.rest.end();
  assert.deepEqual([first.engine.flushed, second.engine.flushed], [0, 0]);
});
