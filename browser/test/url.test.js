import assert from "node:assert/strict";
import { test } from "node:test";

import { parse, readQuery, target, writeQuery } from "../src/url.ts";

const page = { protocol: "https:", host: "page.test:81", hostname: "page.test", port: "81" };

const TARGETS = [
  // What is written, the namespace, and what makes a connection of its own.
  [undefined, "/", "https://page.test:81"],
  ["/chat", "/chat", "https://page.test:81"],
  ["//other.test/chat", "/chat", "https://other.test:443"],
  ["other.test:3000/chat", "/chat", "https://other.test:3000"],
  ["localhost:3000", "/", "https://localhost:3000"],
  ["http://a.test", "/", "http://a.test:80"],
  ["http://a.test:80/", "/", "http://a.test:80"],
  ["ws://a.test/x?y=1#z", "/x", "ws://a.test:80"],
  ["wss://a.test", "/", "wss://a.test:443"],
  ["http://user:word@a.test/x", "/x", "http://a.test:80"],
  ["http://a.test/x@y?z=@", "/x@y", "http://a.test:80"],
  ["http://[::1]:8080/x", "/x", "http://[::1]:8080"],
  ["https://a.test/Ünï côde/..", "/Ünï côde/..", "https://a.test:443"],
];

for (const [uri, path, id] of TARGETS) {
  test(`${uri} is ${path} at ${id}`, () => {
    const found = target(uri, "/socket.io", page);
    assert.equal(found.path, path);
    assert.equal(found.id, id + "/socket.io");
    // What is complete stays what it is.
    assert.equal(target(found.source, "/socket.io").id, found.id);
  });
}

test("without a page an address is needed, and is secure unless it says otherwise", () => {
  assert.throws(() => target(undefined), /needs an address/);
  assert.throws(() => target("/chat"), /needs an address/);
  assert.equal(target("a.test").id, "https://a.test:443");
});

test("an address has a greatest length", () => {
  assert.throws(() => target("http://a.test/" + "x".repeat(8000)), /too long/);
});

test("an address is taken apart", () => {
  const { secure, host, port, query } = parse("wss://[::1]:1/x?a=b?c");
  assert.deepEqual([secure, host, port, query], [true, "::1", "1", "a=b?c"]);
});

test("queries are written and read", () => {
  const query = { "&a": "&=?a +é", b: "", c: "%" };
  assert.equal(writeQuery(query), "%26a=%26%3D%3Fa%20%2B%C3%A9&b=&c=%25");
  assert.deepEqual(readQuery(writeQuery(query)), query);
  assert.deepEqual(readQuery("a=1+1&b&c=%zz"), { a: "1+1", b: "", c: "%zz" });
});
