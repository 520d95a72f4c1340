"use strict";
// The official servers, told what to do by `tests.support.nodeserver` through lines of JSON:
//
//   -> {"id": 1, "do": "serve", "with": {...}}        <- {"id": 1, "ok": value} or {"id": 1, "error": text}
//                                                     <- {"ref": 1, "event": "name", "args": [...]}
//
// Several servers may run at once, each under a `ref`, on a port of 127.0.0.1.

const fs = require("fs");
const http = require("http");
const https = require("https");
const readline = require("readline");
const { pack, unpack } = require("../tagged.js");
const application = require("./application.js");
const bouncer = require("./bouncer.js");

const PACKAGES = { 4: "socket.io", 3: "socket.io-3", 2: "socket.io-2" };
// For goodbyes; who has none to say is cut off then.
const GRACE = 300;
const AsyncFunction = (async () => {}).constructor;

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

/** Requests may ask to be refused, or never to be answered. */
function allowRequest(request, answer) {
  const query = new URL(request.url, "http://host").searchParams;
  if (query.has("stall")) return;
  answer(null, !query.has("deny"));
}

function listener(tls) {
  return tls ? https.createServer(readAll(tls)) : http.createServer();
}

function readAll(tls) {
  const files = ["key", "cert", "ca"].filter((name) => tls[name]);
  return { ...tls, ...Object.fromEntries(files.map((name) => [name, fs.readFileSync(tls[name])])) };
}

/** Report each request; from now on only, as the engine takes away listeners that it finds. */
function watchRequests(server, report) {
  for (const event of ["request", "upgrade"]) {
    server.on(event, ({ method, url, headers }) => report("request", method, url, headers));
  }
}

/** Report the packets of Engine.IO that come and go, but none of heartbeats. */
function watchPackets(engine, report) {
  const quiet = ["ping", "pong", "noop"];
  engine.on("connection", (conn) => {
    conn.on("packet", ({ type, data }) => {
      if (!quiet.includes(type)) report("received", conn.id, type, data);
    });
    conn.on("packetCreate", ({ type, data }) => {
      if (!quiet.includes(type)) report("sent", conn.id, type, data);
    });
  });
}

class Served {
  constructor({ ref, version, options, tls }) {
    const report = (event, ...args) => say({ ref, event, args: pack(args) });
    this.report = report;
    this.http = listener(tls);
    this.connections = new Set();
    this.http.on(tls ? "secureConnection" : "connection", (connection) => this.keep(connection));
    if (version === "engine") {
      this.engine = require("engine.io").attach(this.http, { allowRequest, ...options });
      bouncer(this.engine, report);
    } else {
      const package_ = require(PACKAGES[version]);
      this.io = new (package_.Server || package_)(this.http, { allowRequest, ...options });
      application(this.io, report);
      this.engine = this.io.engine;
    }
    watchRequests(this.http, report);
    watchPackets(this.engine, report);
  }

  keep(connection) {
    this.connections.add(connection);
    connection.on("close", () => this.connections.delete(connection));
  }

  listen(port) {
    return new Promise((resolve, reject) => {
      this.http.once("error", reject);
      this.http.listen(port, "127.0.0.1", resolve);
    });
  }

  /** Close every session, then every connection; at once, without a word, if it is a crash. */
  close(crash) {
    return new Promise((resolve) => {
      this.http.once("close", resolve);
      const cut = () => this.connections.forEach((connection) => connection.destroy());
      if (crash) cut();
      if (this.io) this.io.close();
      else this.engine.close();
      this.http.close();
      setTimeout(cut, GRACE).unref();
    });
  }

  run(code, args) {
    const names = ["io", "engine", "http", "report", "args", "require"];
    return new AsyncFunction(...names, code)(this.io, this.engine, this.http, this.report, args, require);
  }
}

const servers = new Map();

const COMMANDS = {
  async serve({ port, ...given }) {
    const served = new Served(given);
    await served.listen(port);
    servers.set(given.ref, served);
  },
  async stop({ ref, crash }) {
    const served = servers.get(ref);
    servers.delete(ref);
    await served.close(crash);
  },
  // Any code; it sees `io`, `engine`, `http`, `report`, `args` and `require`.
  run: ({ ref, code, args }) => servers.get(ref).run(code, args),
};

async function handle({ id, do: name, with: given }) {
  try {
    say({ id, ok: pack(await COMMANDS[name](unpack(given))) });
  } catch (error) {
    say({ id, error: String((error && error.stack) || error) });
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => handle(JSON.parse(line)));
// It lives as long as the tests do.
lines.on("close", () => process.exit());
process.on("uncaughtException", (error) => say({ crash: String(error.stack) }));
