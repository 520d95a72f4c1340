"use strict";
// The reference server of one run: socket.io from npm, with the scenario's application on it.

const http = require("http");
const { Server } = require("socket.io");
const { eventually } = require("./transcript.js");

const AsyncFunction = (async () => {}).constructor;
const running = new Set();

class Reference {
  constructor(transcript) {
    this.seen = transcript.actor("server");
    this.commands = {};
  }

  async start(source, options) {
    this.httpServer = http.createServer();
    this.io = new Server(this.httpServer, new Function("require", `return (${options})`)(require));
    running.add(this);
    const log = (name, ...args) => this.seen.record(name, ...args);
    const watch = (nsp) => {
      nsp.on("connection", (socket) => {
        log("connection");
        socket.on("disconnecting", (reason) => log("disconnecting", reason, socket.rooms));
        socket.on("disconnect", (reason) => log("disconnect", reason, socket.rooms));
      });
    };
    const code = new AsyncFunction("io", "log", "watch", "does", "require", source);
    await code(this.io, log, watch, this.commands, require);
    await new Promise((resolve) => this.httpServer.listen(0, "127.0.0.1", resolve));
    return this.httpServer.address().port;
  }

  until(...names) {
    return this.seen.until(...names);
  }

  async do(name, ...args) {
    return this.commands[name](...args);
  }

  /** When a poll of this session waits at the server. */
  async polled(sid) {
    await eventually(() => {
      const session = this.io.engine.clients[sid];
      return session && session.transport.name === "polling" && session.transport.writable;
    }, "a poll waits");
  }

  /** When there are so many sessions. */
  async sessions(count) {
    await eventually(() => this.io.engine.clientsCount === count, `${count} sessions`);
  }

  async stop() {
    running.delete(this);
    await this.io.close();
    this.httpServer.closeAllConnections();
  }
}

/** What an application throws ends Node, unless somebody is told instead. */
function uncaught(error) {
  if (running.size === 0) console.error(error);
  for (const reference of running) reference.seen.record("uncaught", String(error.message));
}

process.on("uncaughtException", uncaught);

module.exports = { Reference };
