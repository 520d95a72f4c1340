// How long responses may be, with six connections to a server for all tabs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { place } from "../src/transports/crowd.ts";

/** Locks as browsers have them for all tabs of a site. */
function locks() {
  const held = new Set();
  return {
    held,
    async request(name, { ifAvailable }, callback) {
      assert.equal(ifAvailable, true);
      if (held.has(name)) return callback(null);
      held.add(name);
      await callback({ name });
      held.delete(name);
    },
  };
}

function browser(t, { entries = [], ...navigator } = {}) {
  const had = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  globalThis.location = new URL("https://a.test/");
  t.mock.method(performance, "getEntries", () => entries);
  t.after(() => {
    delete globalThis.location;
    if (had) Object.defineProperty(globalThis, "navigator", had);
    else delete globalThis.navigator;
  });
}

const entry = (name, nextHopProtocol) => ({ name, nextHopProtocol });

test("without a browser there are as many connections as one likes", async () => {
  assert.equal((await place("http://a.test/")).max, undefined);
});

test("three hold long responses, others short ones, until a place is free", async (t) => {
  const all = locks();
  browser(t, { locks: all });
  const places = [];
  for (let tab = 0; tab < 5; tab++) places.push(await place("http://a.test/"));
  assert.deepEqual(places.map(({ max }) => max), [undefined, undefined, undefined, 2, 2]);
  assert.equal((await place("http://b.test/")).max, undefined);
  places[1].leave();
  places[4].leave();
  await new Promise(setImmediate);
  assert.deepEqual([(await place("http://a.test/")).max, (await place("http://a.test/")).max], [undefined, 2]);
});

test("tabs that cannot count each other hold them as long as a poll", async (t) => {
  browser(t);
  assert.equal((await place("http://a.test/")).max, 25);
});

test("so do those that may not", async (t) => {
  browser(t, { locks: { request: async () => { throw new Error("SecurityError"); } } });
  assert.equal((await place("http://a.test/")).max, 2);
});

test("HTTP/2 and HTTP/3 need no such thing, as far as the page can know", async (t) => {
  const cases = [
    [[entry("https://a.test/", "h2"), { name: "first-paint" }], undefined],
    [[entry("https://a.test/", "h2"), entry("https://a.test/x", "h3")], undefined],
    [[entry("https://a.test/x", "h2"), entry("https://a.test/y", "http/1.1")], 25],
    [[entry("https://a.test/x", "")], 25],
    [[entry("https://b.test/x", "h2")], 25],
    [[], 25],
  ];
  for (const [entries, max] of cases) {
    browser(t, { entries });
    assert.equal((await place("https://a.test/")).max, max);
    t.mock.restoreAll();
  }
});
