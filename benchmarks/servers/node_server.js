"use strict";
/*
 * The application of the load generator on Node.js: the official socket.io server, default options.
 *
 * What its "Performance tuning" page recommends and costs the application nothing is done:
 * production mode (set by run.py), no serving of the client's files, bufferutil for ws where npm
 * could install it, permessage-deflate off (the default). `--drop-request` also frees the HTTP
 * request of each connection as that page shows; it is a contender of its own, because an
 * application that reads `socket.request` later cannot do it. `--parser msgpack` speaks MessagePack,
 * `--eio3` admits old clients, `--recovery` remembers events. `--adapter` joins a cluster over the
 * Redis at `--redis`, with the official adapters on node-redis.
 */

const { createServer } = require("node:http");
const { parseArgs } = require("node:util");
const { Server } = require("socket.io");

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "3000" },
    "drop-request": { type: "boolean", default: false },
    parser: { type: "string", default: "json" },
    eio3: { type: "boolean", default: false },
    recovery: { type: "boolean", default: false },
    adapter: { type: "string", default: "" },
    redis: { type: "string", default: "redis://127.0.0.1:6379" },
  },
});

const httpServer = createServer();
const parser = values.parser === "msgpack" ? require("socket.io-msgpack-parser") : undefined;
const io = new Server(httpServer, {
  serveClient: false,
  ...(parser && { parser }),
  ...(values.eio3 && { allowEIO3: true }),
  ...(values.recovery && { connectionStateRecovery: {} }),
});

if (values["drop-request"]) {
  io.engine.on("connection", (rawSocket) => {
    rawSocket.request = null;
  });
}

io.on("connection", (socket) => {
  socket.on("echo", (x) => socket.emit("echo", x));
  socket.on("ack", (x, answer) => answer(x));
  socket.on("bin", (data) => socket.emit("bin", data));
  socket.on("bcast", (x) => io.emit("bcast", x));
  socket.on("join", (room) => socket.join(room));
  socket.on("room", (room, x) => io.to(room).emit("room", x));
});

async function join(adapter, url) {
  const { createClient } = require("redis");
  const publishing = createClient({ url });
  await publishing.connect();
  if (adapter === "streams") {
    io.adapter(require("@socket.io/redis-streams-adapter").createAdapter(publishing));
    return;
  }
  const subscribing = publishing.duplicate();
  await subscribing.connect();
  const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
  const create = adapter === "sharded" ? createShardedAdapter : createAdapter;
  io.adapter(create(publishing, subscribing));
}

async function main() {
  if (values.adapter) await join(values.adapter, values.redis);
  httpServer.listen(Number(values.port), "127.0.0.1");
}

main();
