// What the log holds: a bounded number of entries and of bytes. The oldest go first, and are counted.

const MOST_ENTRIES = 5000;
const MOST_BYTES = 64e6;
// Even an entry without anything in it takes memory.
const OVERHEAD = 200;
const SEARCHED = 4000;

import { preview } from "./values.js";

/** What is shown together, by the names of the switches. */
export const GROUPS = { in: "in", out: "out", ack: "ack", answer: "ack", on: "link", off: "link", error: "link", way: "link", packet: "packet" };

/** A list that gives away at its front what it got at its end. */
class Line {
  items = [];
  first = 0;

  get length() {
    return this.items.length - this.first;
  }

  at(index) {
    return this.items[this.first + index];
  }

  push(item) {
    this.items.push(item);
  }

  shift() {
    const item = this.items[this.first];
    this.items[this.first++] = undefined;
    if (this.first > 1000 && this.first * 2 > this.items.length) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
    return item;
  }
}

/** Tell one entry from the others by words in it. */
function searched(entry) {
  entry.searched ??= `${entry.name} ${entry.nsp} ${entry.note ?? ""} ${preview(entry.args, SEARCHED)}`.toLowerCase();
  return entry.searched;
}

export class Store {
  /** All entries; those that pass the filter; and those that wait while the log is paused. */
  all = new Line();
  shown = new Line();
  held = new Line();
  paused = false;
  /** Entries that went because there were too many, and the shown ones among them. */
  dropped = 0;
  shownDropped = 0;
  /** How many events came and went, ever. */
  events = 0;
  filter = { words: [], nsp: null, groups: new Set(["in", "out", "ack", "link", "packet"]) };

  #bytes = 0;
  #ids = 0;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Add an entry: `kind`, `nsp`, `name`, `args`, and what else is known. */
  push(entry) {
    entry.id = ++this.#ids;
    entry.at = Date.now();
    entry.args ??= [];
    entry.bytes = OVERHEAD + (entry.size ?? 0);
    if (entry.kind === "in" || entry.kind === "out") this.events++;
    this.#bytes += entry.bytes;
    if (this.paused) this.held.push(entry);
    else this.#add(entry);
    while (this.all.length + this.held.length > MOST_ENTRIES || this.#bytes > MOST_BYTES) {
      if (!this.#drop()) break;
    }
    this.#changed();
    return entry;
  }

  #add(entry) {
    this.all.push(entry);
    if (this.passes(entry)) this.shown.push(entry);
  }

  #drop() {
    const from = this.all.length ? this.all : this.held;
    if (from.length <= 1) return false;
    const entry = from.shift();
    this.#bytes -= entry.bytes;
    this.dropped++;
    if (this.shown.length && this.shown.at(0) === entry) {
      this.shown.shift();
      this.shownDropped++;
    }
    return true;
  }

  /** Hold back what comes, or let it in. */
  pause(paused) {
    this.paused = paused;
    while (!paused && this.held.length) this.#add(this.held.shift());
    this.#changed();
  }

  clear() {
    this.all = new Line();
    this.shown = new Line();
    this.held = new Line();
    this.dropped = this.shownDropped = this.#bytes = 0;
    this.#changed();
  }

  /** Choose anew what is shown. */
  choose(filter) {
    Object.assign(this.filter, filter);
    this.shown = new Line();
    this.shownDropped = 0;
    for (let index = 0; index < this.all.length; index++) {
      const entry = this.all.at(index);
      if (this.passes(entry)) this.shown.push(entry);
    }
    this.#changed();
  }

  /** Whether an entry is shown. */
  passes(entry) {
    const { words, nsp, groups } = this.filter;
    if (!groups.has(GROUPS[entry.kind])) return false;
    // What has no namespace concerns them all.
    if (nsp !== null && entry.nsp && entry.nsp !== nsp) return false;
    return words.every((word) => searched(entry).includes(word));
  }

  /** The shown entries as plain objects, for others to read. */
  export() {
    const entries = [];
    for (let index = 0; index < this.shown.length; index++) entries.push(plain(this.shown.at(index)));
    return entries;
  }
}

/** An entry as others read it. */
export function plain({ at, kind, nsp, name, args, note, ms, size }) {
  const entry = { at: new Date(at).toISOString(), kind };
  if (nsp) entry.namespace = nsp;
  if (name) entry.name = name;
  if (args.length) entry.args = args;
  if (note) entry.note = note;
  if (ms !== undefined) entry.milliseconds = Math.round(ms * 10) / 10;
  if (size) entry.bytes = size;
  return entry;
}
