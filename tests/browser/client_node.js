"use strict";
// A client in Node: node client_node.js CLIENT TRANSPORTS [URL [CLASSES]]
//
// The client is a file of Nuncio's, or "socket.io-client", the official one. The transports are names, or
// "official": the official client's classes; with CLASSES, a file of Nuncio's, they are those by these
// names. Without a URL it talks to the official server, in this process. What it sees is printed as JSON.

const { createRequire } = require("module");
const path = require("path");

const [client, transports, given, file] = process.argv.slice(2);
const others = createRequire(path.join(__dirname, "../interop/driver.js"));
const { Manager } = client === "socket.io-client" ? others(client) : require(client);

const { NodeXHR, NodeWebSocket } = others("engine.io-client");

// Node has its own from version 22 on.
globalThis.WebSocket ??= others("ws");

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

function official() {
  const { Server } = others("socket.io");
  const io = new Server({ connectionStateRecovery: {}, cookie: true });
  io.of("/refused").use((socket, go) => go(Object.assign(new Error("no"), { data: { code: 7 } })));
  io.on("connection", (socket) => {
    socket.onAny((event, ...args) => {
      const answer = args.pop();
      if (event === "echo") answer(...args);
      if (event === "ask back") socket.emit("question", 20, (number) => answer(number + 1));
      if (event === "end") socket.disconnect();
      if (event === "told") socket.emit("news", 1);
    });
  });
  io.listen(0);
  return io;
}

function chosen() {
  if (transports === "official") return [NodeXHR, NodeWebSocket];
  const names = transports.split(",");
  if (!file) return names;
  const classes = Object.values(require(file));
  return names.map((name) => classes.find((one) => one.prototype.name === name));
}

async function talk(url) {
  const manager = new Manager(url, {
    transports: chosen(),
    reconnectionDelay: 1,
    withCredentials: true,
    query: { "a&": "=" },
  });
  const socket = manager.socket("/", { auth: { token: "t" } });
  const seen = {};
  socket.on("question", (number, answer) => answer(2 * number));

  seen.kept = await socket.emitWithAck("echo", { text: "é\u2028", none: null, list: [1.5, true] });
  const bytes = new Uint8Array(await socket.emitWithAck("echo", Uint8Array.of(1, 2, 3)));
  seen.bytes = [...bytes];
  seen.asked = await socket.emitWithAck("ask back");
  const last = transports === "official" ? "websocket" : transports.split(",").at(-1);
  if (manager.engine.transport.name !== last) {
    await next(manager.engine, "upgrade");
  }
  seen.transport = manager.engine.transport.name;
  seen.large = (await socket.emitWithAck("echo", "é".repeat(100_000))).length;
  const all = Array.from({ length: 300 }, (_, number) => socket.emitWithAck("echo", number));
  seen.ordered = (await Promise.all(all)).every((number, at) => number === at);

  const news = next(socket, "news");
  socket.emit("told", 0);
  await news;
  const { id } = socket;
  const back = next(socket, "connect");
  manager.engine.close();
  await back;
  seen.recovered = [socket.recovered, socket.id === id];

  const refused = manager.socket("/refused");
  const [error] = await next(refused, "connect_error");
  seen.refused = [error.message, error.data, refused.active];

  const ended = next(socket, "disconnect");
  socket.emit("end", 0);
  [seen.ended] = await ended;
  seen.active = socket.active;
  return seen;
}

(async () => {
  const io = given ? undefined : official();
  const url = given ?? `http://localhost:${io.httpServer.address().port}`;
  console.log(JSON.stringify(await talk(url)));
  // With nothing open any more, Node ends by itself; the official server is closed for that.
  io?.close();
})();
