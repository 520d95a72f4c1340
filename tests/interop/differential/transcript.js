"use strict";
// What one run of a scenario has seen: for every actor, the list of what happened to it, in order.

const DEADLINE = 30000;

/** A value as JSON can carry it, the same for both servers and both languages. */
function pack(value) {
  if (value === undefined) return { $js: "undefined" };
  if (typeof value === "function") return { $js: "function" };
  if (typeof value === "bigint") return { $js: `${value}n` };
  if (typeof value === "number" && !Number.isFinite(value)) return { $js: String(value) };
  if (Object.is(value, -0)) return { $js: "-0" };
  if (value === null || typeof value !== "object") return value;
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (value instanceof ArrayBuffer) return pack(Buffer.from(value));
  if (ArrayBuffer.isView(value)) {
    return pack(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Set) return { $set: [...value].map(pack) };
  if (value instanceof Error) return { $error: packError(value) };
  if (Array.isArray(value)) return value.map(pack);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, pack(item)]));
}

function packError(error) {
  const packed = { message: error.message };
  if (error.data !== undefined) packed.data = pack(error.data);
  if (typeof error.description === "number") packed.description = error.description;
  return packed;
}

/** What happens to one actor, and waiting for it. */
class Actor {
  constructor(name) {
    this.name = name;
    this.entries = [];
    this.taken = new Map();
    this.waiting = new Set();
  }

  /** Something happened; the arguments are packed already. */
  add(name, ...args) {
    this.entries.push([name, ...args]);
    for (const check of [...this.waiting]) check();
  }

  record(name, ...args) {
    this.add(name, ...args.map(pack));
  }

  /** The arguments of the next entry of one of these names that nobody has waited for yet. */
  until(...names) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = this.entries.findIndex(
          ([name], at) => names.includes(name) && at >= (this.taken.get(name) || 0),
        );
        if (found < 0) return;
        for (const name of names) this.taken.set(name, found + 1);
        this.waiting.delete(check);
        clearTimeout(timer);
        resolve(this.entries[found].slice(1));
      };
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        reject(new Error(`no "${names.join('" or "')}" came to ${this.name}`));
      }, DEADLINE);
      this.waiting.add(check);
      check();
    });
  }
}

/** The actors of one run, in the order in which they appeared. */
class Transcript {
  constructor() {
    this.actors = new Map();
  }

  actor(name) {
    if (!this.actors.has(name)) this.actors.set(name, new Actor(name));
    return this.actors.get(name);
  }

  toJSON() {
    return Object.fromEntries([...this.actors].map(([name, actor]) => [name, actor.entries]));
  }
}

/** Wait until something holds. */
async function eventually(condition, what) {
  const limit = Date.now() + DEADLINE;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`this never became true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

module.exports = { Transcript, eventually, pack };
