// The log on the screen: as many rows as fit, filled anew in each frame in which something has changed.
//
// So a thousand events a second cost sixty times the filling of some thirty rows, however long the log is.

import { el, onceAFrame } from "./dom.js";
import { inBytes, inTime, preview } from "./values.js";

const SIGNS = { in: "↓", out: "↑", ack: "✓", answer: "✓", on: "●", off: "○", error: "!", way: "⇄", packet: "·" };
const WORDS = {
  in: "received",
  out: "sent",
  ack: "acknowledged by the server",
  answer: "acknowledged by you",
  on: "",
  off: "",
  error: "error",
  way: "connection",
  packet: "packet",
};
const SPARE = 6;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** The time of day, with milliseconds. */
export function timeOfDay(at) {
  return `${clock.format(at)}.${String(at % 1000).padStart(3, "0")}`;
}

/** An entry in words, for who listens. */
export function inWords(entry) {
  return [WORDS[entry.kind], entry.nsp, entry.name, entry.note].filter(Boolean).join(" ");
}

export class LogView {
  /** Whether it stays at the newest entry. */
  following = true;
  /** The entry that is chosen, and the one whose details are shown. */
  chosen = null;

  #rows = [];
  #height = 30;
  #seenDropped = 0;
  #unseen = 0;
  #moved = false;
  #select;

  /**
   * @param store the entries.
   * @param log the element that scrolls, with a spacer and a window in it.
   * @param select called with an entry that shall be shown in full.
   */
  constructor(store, log, newer, select) {
    this.store = store;
    this.log = log;
    this.newer = newer;
    this.spacer = log.firstElementChild;
    this.window = this.spacer.firstElementChild;
    this.#select = select;
    this.update = onceAFrame(() => this.#draw());
    log.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    log.addEventListener("keydown", (event) => this.#onKey(event));
    log.addEventListener("click", (event) => this.#onClick(event));
    newer.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#onResize()).observe(log);
  }

  /** Go to the newest entry and stay there. */
  follow() {
    this.following = true;
    this.update();
  }

  /** Begin anew, after another choice of what is shown. */
  reset() {
    this.#seenDropped = this.store.shownDropped;
    this.#unseen = this.store.shown.length;
    this.follow();
  }

  #onResize() {
    const height = Number.parseFloat(getComputedStyle(this.log).getPropertyValue("--row"));
    this.#height = height || 30;
    this.update();
  }

  #onScroll() {
    if (this.#moved) {
      this.#moved = false;
      return;
    }
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    this.following = scrollTop + clientHeight >= scrollHeight - 4;
    this.update();
  }

  #draw() {
    const { store, log } = this;
    const { length } = store.shown;
    const height = this.#height;
    this.spacer.style.height = `${length * height}px`;
    const dropped = store.shownDropped - this.#seenDropped;
    this.#seenDropped = store.shownDropped;
    if (this.following) this.#scrollTo(length * height);
    // What one looks at stays where it is when older entries go.
    else if (dropped) this.#scrollTo(Math.max(0, log.scrollTop - dropped * height));
    const first = Math.max(0, Math.min(Math.floor(log.scrollTop / height) - SPARE, length));
    const count = Math.min(Math.ceil(log.clientHeight / height) + 2 * SPARE, length - first);
    this.window.style.transform = `translateY(${first * height}px)`;
    for (let index = 0; index < count; index++) this.#fill(this.#row(index), store.shown.at(first + index), first + index);
    for (let index = count; index < this.#rows.length; index++) this.#rows[index].hidden = true;
    const active = this.#rows.find((row) => !row.hidden && row.entry === this.chosen);
    if (active) log.setAttribute("aria-activedescendant", active.id);
    else log.removeAttribute("aria-activedescendant");
    this.#tellNewer(length);
  }

  #scrollTo(top) {
    const before = this.log.scrollTop;
    this.log.scrollTop = top;
    if (this.log.scrollTop !== before) this.#moved = true;
  }

  #tellNewer(length) {
    const total = length + this.store.shownDropped;
    if (this.following) this.#unseen = total;
    const more = total - this.#unseen;
    this.newer.hidden = this.following;
    if (!this.following) this.newer.textContent = more > 0 ? `↓ ${more} newer` : "↓ Newest";
  }

  #row(index) {
    let row = this.#rows[index];
    if (!row) {
      const part = (name) => el("span", { className: name });
      row = el("div", { className: "row", role: "option", id: `row-${index}` });
      row.append(part("time"), part("sign"), part("nsp"), part("name"), part("text"), part("meta"));
      row.children[1].setAttribute("aria-hidden", "true");
      row.entry = null;
      this.#rows[index] = row;
      this.window.append(row);
    }
    row.hidden = false;
    return row;
  }

  #fill(row, entry, index) {
    const chosen = entry === this.chosen;
    row.setAttribute("aria-selected", chosen);
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.store.shown.length);
    if (row.entry === entry && row.note === entry.note) return;
    row.entry = entry;
    row.note = entry.note;
    row.dataset.kind = entry.kind;
    row.toggleAttribute("data-failed", failed(entry));
    const [time, sign, nsp, name, text, meta] = row.children;
    time.textContent = entry.time ??= timeOfDay(entry.at);
    sign.textContent = SIGNS[entry.kind];
    nsp.textContent = entry.nsp;
    name.textContent = entry.name;
    entry.line ??= lineOf(entry);
    text.textContent = [entry.kind === "in" || entry.kind === "out" ? "" : (entry.note ?? ""), entry.line].filter(Boolean).join("  ");
    meta.textContent = entry.answer ? "wants an answer" : metaOf(entry);
    row.setAttribute("aria-label", `${inWords(entry)} ${entry.line.slice(0, 120)}`);
  }

  #onClick(event) {
    const row = event.target.closest(".row");
    if (row?.entry) this.choose(row.entry, true);
  }

  /** Choose an entry, and show all of it. */
  choose(entry, open) {
    this.chosen = entry;
    if (open) this.#select(entry);
    this.update();
  }

  /** Where the chosen entry is among the shown ones; -1 when it is not. */
  #index() {
    const { shown } = this.store;
    for (let index = shown.length - 1; index >= 0; index--) if (shown.at(index) === this.chosen) return index;
    return -1;
  }

  #onKey(event) {
    const { shown } = this.store;
    const last = shown.length - 1;
    if (last < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.log.clientHeight / this.#height) - 1);
    const now = this.#index();
    const from = now < 0 ? last + 1 : now;
    const to = {
      ArrowDown: Math.min(last, now < 0 ? last : now + 1),
      ArrowUp: Math.max(0, from - 1),
      PageDown: Math.min(last, from + page),
      PageUp: Math.max(0, from - page),
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.choose(shown.at(to), !document.getElementById("details").hidden);
      this.#show(to);
    } else if ((event.key === "Enter" || event.key === " ") && now >= 0) {
      event.preventDefault();
      this.choose(this.chosen, true);
    }
  }

  #show(index) {
    const { log } = this;
    const top = index * this.#height;
    this.following = index === this.store.shown.length - 1;
    if (top < log.scrollTop) log.scrollTop = top;
    else if (top + this.#height > log.scrollTop + log.clientHeight) log.scrollTop = top + this.#height - log.clientHeight;
  }
}

/** Whether an answer says by its form that something was not done. */
function failed({ kind, args: [answer] }) {
  return kind === "ack" && !!answer && typeof answer === "object" && (answer.ok === false || !!answer.error);
}

/** The values of an entry on one line; a packet's text as it is. */
function lineOf({ kind, args }) {
  return kind === "packet" && typeof args[0] === "string" ? args[0].slice(0, 300) : preview(args);
}

function metaOf({ ms, size }) {
  const parts = [];
  if (ms !== undefined) parts.push(inTime(ms));
  if (size) parts.push(inBytes(size));
  return parts.join(" · ");
}
