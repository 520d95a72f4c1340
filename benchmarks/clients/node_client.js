"use strict";
/*
 * The client of the benchmarks on Node.js: the official socket.io-client, default options but for
 * what makes it comparable (WebSocket from the start, a connection each, no reconnection).
 *
 * drive.py beside this file does the same for the clients in Python and says what the modes are.
 * `--await` waits for acknowledgements with `emitWithAck` instead of taking a callback.
 */

const { parseArgs } = require("node:util");
const { setTimeout: sleep } = require("node:timers/promises");
const { io } = require("socket.io-client");

const OPENING = 64; // connections opened at a time
const ASKED = 256; // pushed events asked for at a time; twice as many are under way
const DRAIN_MS = 30000;

const text = (preset) => ({ type: "string", default: preset });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: text("3000"),
    conns: text("64"),
    pipeline: text("16"),
    payload: text("64"),
    seconds: text("3"),
    warmup: text("1"),
    settle: text("1.5"),
    await: { type: "boolean", default: false },
  },
});
const mode = positionals[0];
const [conns, pipeline, seconds, warmup, settle] = [
  values.conns, values.pipeline, values.seconds, values.warmup, values.settle,
].map(Number);
const payload = Array.from({ length: Number(values.payload) }, (_, i) =>
  String.fromCharCode(97 + (i % 26)),
).join("");

let running = true;
let leaving = false;
let errors = 0;
let firstError = null;

function fault(message) {
  errors += 1;
  firstError ??= message;
}

function check(x) {
  if (x !== payload) fault(`received ${JSON.stringify(x)}`);
}

class Link {
  constructor() {
    this.sent = 0;
    this.received = 0;
    this.socket = io(`http://127.0.0.1:${values.port}`, {
      transports: ["websocket"],
      forceNew: true,
      reconnection: false,
    });
    this.socket.on("disconnect", (reason) => leaving || fault(`disconnected: ${reason}`));
    this.socket.on("echo", (x) => {
      check(x);
      this.received += 1;
      if (running) this.sendEcho();
    });
    this.socket.on("push", (x) => {
      check(x);
      this.received += 1;
      if (this.sent - this.received === ASKED && running) this.askForMore(ASKED);
    });
    this.answered = (x) => {
      check(x);
      this.received += 1;
      if (running) this.sendAck();
    };
  }

  open() {
    return new Promise((resolve, reject) => {
      this.socket.on("connect", resolve);
      this.socket.on("connect_error", reject);
    });
  }

  start() {
    if (mode === "receive") this.askForMore(2 * ASKED);
    for (let i = 0; i < pipeline; i++) {
      if (mode === "echo") this.sendEcho();
      else if (mode === "ack" && values.await) this.exchange();
      else if (mode === "ack") this.sendAck();
    }
  }

  sendEcho() {
    this.sent += 1;
    this.socket.emit("echo", payload);
  }

  askForMore(events) {
    this.sent += events;
    this.socket.emit("push", events);
  }

  sendAck() {
    this.sent += 1;
    this.socket.emit("ack", payload, this.answered);
  }

  async exchange() {
    while (running) {
      this.sent += 1;
      check(await this.socket.emitWithAck("ack", payload));
      this.received += 1;
    }
  }
}

async function openAll() {
  const links = [];
  const opener = async () => {
    while (links.length < conns) {
      const link = new Link();
      links.push(link);
      await link.open();
    }
  };
  await Promise.all(Array.from({ length: Math.min(OPENING, conns) }, opener));
  return links;
}

const total = (links, name) => links.reduce((sum, link) => sum + link[name], 0);

function now() {
  const { user, system } = process.cpuUsage();
  return { at: performance.now() / 1000, cpu: (user + system) / 1e6 };
}

async function drain(links) {
  running = false;
  const deadline = performance.now() + DRAIN_MS;
  while (links.some((link) => link.received < link.sent) && performance.now() < deadline) {
    await sleep(20);
  }
  for (const { sent, received } of links) {
    if (sent !== received) fault(`a connection expected ${sent} messages and received ${received}`);
  }
}

async function work(links) {
  for (const link of links) link.start();
  await sleep(warmup * 1000);
  const first = now();
  const before = total(links, "received");
  await sleep(seconds * 1000);
  const last = now();
  const count = total(links, "received") - before;
  if (count === 0) fault("nothing was completed");
  await drain(links);
  return {
    seconds: last.at - first.at,
    count,
    cpu_s: last.cpu - first.cpu,
    sent: total(links, "sent"),
    received: total(links, "received"),
  };
}

async function main() {
  const before = process.memoryUsage.rss();
  const began = now();
  const links = await openAll();
  const opened = now();
  const figures = {
    mode,
    conns,
    pipeline,
    open_s: opened.at - began.at,
    open_cpu_s: opened.cpu - began.cpu,
  };
  if (mode === "idle") await sleep(settle * 1000);
  else Object.assign(figures, await work(links));
  const after = process.memoryUsage.rss();
  leaving = true;
  for (const link of links) link.socket.disconnect();
  console.log(
    JSON.stringify({
      ...figures,
      client_rss_kib_before: Math.round(before / 1024),
      client_rss_kib: Math.round(after / 1024),
      errors,
      ...(firstError && { first_error: firstError }),
    }),
  );
  process.exitCode = errors ? 1 : 0;
}

if (!["echo", "receive", "ack", "idle"].includes(mode)) {
  console.error("usage: node_client.js echo|receive|ack|idle [options]");
  process.exit(2);
}
main();
