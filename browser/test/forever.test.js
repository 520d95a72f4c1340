// Packets as scripts in a frame, with as much of a page as that needs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { Forever } from "../src/transports/forever.ts";
import { FakeServer, HANDSHAKE, until } from "./downs.js";
import { fakePage, record, settled } from "./pipe.js";

const HELLO = "0" + JSON.stringify(HANDSHAKE);

/** A page whose frames are `frames`; the scripts in them `say` something. */
function page(t, readyState = "complete") {
  const frames = [];
  const events = fakePage();
  globalThis.location = new URL("http://a.test/page");
  globalThis.document = {
    readyState,
    createElement: () => ({ remove() { this.gone = true; } }),
    documentElement: {
      append(frame) {
        frame.query = Object.fromEntries(new URL(frame.src).searchParams);
        frame.say = (number, payload) => globalThis.__nuncio[frame.query.k]?.(number, payload);
        frames.push(frame);
      },
    },
  };
  const engines = [];
  const open = () => {
    engines.push(new Engine("http://a.test", { transports: [Forever] }));
    return engines.at(-1);
  };
  t.after(async () => {
    for (const engine of engines) engine._onClose("forced close");
    await settled();
    events.leave();
    delete globalThis.location;
    delete globalThis.document;
  });
  return { frames, events, open };
}

async function opened(t) {
  const server = new FakeServer(t);
  const { frames, open } = page(t);
  const engine = open();
  await until(() => frames.length);
  const frame = frames.shift();
  frame.say(-1, "15000");
  frame.say(1, HELLO);
  return { frames, frame, server, engine };
}

test("a hidden frame brings packets", async (t) => {
  const { engine, frame, server } = await opened(t);
  const { k, max, ...query } = frame.query;
  assert.match(k, /^\d{1,9}$/);
  assert.deepEqual([query, frame.hidden, max], [{ EIO: "4", transport: "forever" }, true, "25"]);
  const seen = record(engine, "message");
  frame.say(3, "4a\x1ebAQI=");
  frame.say(0, "6");
  assert.deepEqual(seen.map(([, data]) => data), ["a", Uint8Array.of(1, 2).buffer]);
  engine.send("b");
  const { ack, transport } = (await server.post()).query;
  assert.deepEqual([ack, transport], ["3", "forever"]);
});

test("a frame that ends is followed by another, which goes on there", async (t) => {
  const { engine, frame, frames } = await opened(t);
  frame.say(2, "4a");
  frame.say(0, "6end");
  frame.onload();
  await until(() => frames.length);
  assert.equal(frames[0].query.ack, "2");
  assert.notEqual(frames[0].query.k, frame.query.k);
  await until(() => frame.gone);
  const seen = record(engine, "message");
  frame.say(3, "4late");
  frames[0].say(3, "4b");
  assert.deepEqual(seen, [["message", "b"]]);
});

test("silence is a loss, as long as the server says", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  new FakeServer(t);
  const { frames, open } = page(t);
  open();
  await settled();
  frames[0].say(-1, "1000");
  frames[0].say(1, HELLO);
  t.mock.timers.tick(1499);
  frames[0].say(0, "6");
  t.mock.timers.tick(1499);
  assert.equal(frames[0].gone, undefined);
  t.mock.timers.tick(1);
  t.mock.timers.tick(1);
  await settled();
  assert.equal(frames[0].gone, true);
  assert.equal(frames[1].query.ack, "1");
});

test("a frame without any script is a refusal", async (t) => {
  const { engine, frame, frames } = await opened(t);
  const seen = record(engine, "close");
  frame.onload();
  await until(() => frames.length);
  frames[0].onload();
  assert.equal(seen[0][2].message, "forever error");
});

test("a page that is being loaded is not held up by it", async (t) => {
  const { frames, events, open } = page(t, "interactive");
  open();
  await settled();
  assert.deepEqual(frames, []);
  events.tell("load");
  assert.equal(frames.length, 1);
});

test("who leaves before the page is loaded makes no frame", async (t) => {
  const { frames, events, open } = page(t, "interactive");
  const engine = open();
  await settled();
  engine.close();
  events.tell("load");
  assert.deepEqual(frames, []);
});

test("it says what it needs: a page, from the server's origin", async (t) => {
  const failure = async (url) => {
    const engine = new Engine(url, { transports: [Forever] });
    const seen = record(engine, "close");
    await until(() => seen.length);
    return seen[0][2].description.message;
  };
  assert.match(await failure("http://a.test"), /needs a page/);
  page(t);
  assert.match(await failure("http://b.test"), /own origin/);
});
