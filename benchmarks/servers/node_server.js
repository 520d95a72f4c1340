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
 * Redis at `--redis`, with the official adapters on node-redis. `--second-port` makes it two workers
 * with a port each, joined by the official adapter for Node's own clusters.
 */

const cluster = require("node:cluster");
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
    "second-port": { type: "string", default: "" },
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

function lead() {
  require("@socket.io/cluster-adapter").setupPrimary();
  cluster.setupPrimary({ serialization: "advanced" });
  cluster.fork();
  cluster.fork();
}

async function main() {
  if (values["second-port"] && cluster.isPrimary) {
    lead();
    return;
  }
  if (cluster.isWorker) io.adapter(require("@socket.io/cluster-adapter").createAdapter());
  if (values.adapter) await join(values.adapter, values.redis);
  const port = cluster.worker?.id === 2 ? values["second-port"] : values.port;
  // Exclusive: each worker is to be reached by itself.
  httpServer.listen({ port: Number(port), host: "127.0.0.1", exclusive: true });
}

main();
