// One entry in full: its values laid out, binary as bytes or as a picture, and what can be done with it.

import { $, copy, el } from "./dom.js";
import { readValues } from "./jsontext.js";
import { timeOfDay } from "./logview.js";
import { plain } from "./store.js";
import { binariesIn, hexDump, inBytes, inTime, pictureKind, toJSON } from "./values.js";

const SHOWN = 8000;
const COLOURED = 200_000;
const MOST_BINARIES = 8;
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

const EVENTS = { in: "Event received", out: "Event sent", ack: "Acknowledged by the server", answer: "Acknowledged by you" };

export class Details {
  #entry = null;
  #urls = [];
  #again;
  #closed;

  /**
   * @param again called with an entry that shall be sent again.
   * @param closed called when the details are closed.
   */
  constructor(again, closed) {
    this.#again = again;
    this.#closed = closed;
    $("details-close").addEventListener("click", () => this.close());
    $("details-copy").addEventListener("click", () => copy(toJSON(plain(this.#entry), { base64: true }), "Entry"));
    $("details-again").addEventListener("click", () => this.#again(this.#entry));
    $("answer").addEventListener("submit", (event) => this.#answer(event));
  }

  get open() {
    return !$("details").hidden;
  }

  /** Show an entry. */
  show(entry) {
    this.#forget();
    this.#entry = entry;
    const { kind, name } = entry;
    $("details-title").textContent = `${EVENTS[kind] ?? (kind === "packet" ? "Packet" : "Connection")}: ${name}`;
    $("details-again").hidden = kind !== "out";
    $("answer").hidden = !entry.answer;
    $("answer-args").value = $("answer-problem").textContent = "";
    this.#facts(entry);
    $("details-body").replaceChildren(...this.#contents(entry));
    $("details-body").scrollTop = 0;
    $("details").hidden = false;
  }

  close() {
    this.#forget();
    $("details").hidden = true;
    this.#closed();
  }

  #forget() {
    for (const url of this.#urls.splice(0)) URL.revokeObjectURL(url);
    this.#entry = null;
  }

  #facts({ at, nsp, note, ms, size, args, kind }) {
    const facts = [["Time", timeOfDay(at)]];
    if (nsp) facts.push(["Namespace", nsp]);
    if (size) facts.push(["Size", inBytes(size)]);
    if (ms !== undefined) facts.push([kind === "on" ? "Took" : "Round trip", inTime(ms)]);
    if (args.length > 1) facts.push(["Arguments", String(args.length)]);
    if (note) facts.push([kind === "packet" ? "Transport" : "Note", note]);
    $("details-facts").replaceChildren(
      ...facts.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))),
    );
  }

  #contents({ args, kind }) {
    if (!args.length) return [el("p", { className: "hint" }, kind === "ack" || kind === "answer" ? "An empty acknowledgement." : "No arguments.")];
    // A packet's text is what travels, and no value of its own.
    if (kind === "packet" && typeof args[0] === "string") return [el("pre", {}, args[0])];
    const parts = args.map((value, index) => this.#value(value, args.length > 1 ? index : -1));
    const binaries = binariesIn(args);
    parts.push(...binaries.slice(0, MOST_BINARIES).map((bytes) => this.#binary(bytes)));
    if (binaries.length > MOST_BINARIES) parts.push(el("p", { className: "hint" }, `and ${binaries.length - MOST_BINARIES} more binary values`));
    return parts;
  }

  #value(value, index) {
    const text = toJSON(value);
    const place = el("pre", { className: "json" });
    const fill = (shown) => place.replaceChildren(...coloured(shown));
    fill(text.slice(0, SHOWN));
    const block = el("div", { className: "value" });
    if (index >= 0) block.append(el("span", { className: "nth" }, String(index + 1)));
    block.append(place);
    if (text.length > SHOWN) {
      const more = el("button", { type: "button", className: "plain more" }, `Show all ${inBytes(text.length)}`);
      more.addEventListener("click", () => {
        // Colours are for what people read; spans without end only cost time.
        if (text.length <= COLOURED) fill(text);
        else place.textContent = text;
        more.remove();
        $("details-body").focus();
      });
      place.append("…");
      block.append(more);
    }
    return block;
  }

  #binary(bytes) {
    const kind = pictureKind(bytes);
    const url = URL.createObjectURL(new Blob([bytes], { type: kind ?? "application/octet-stream" }));
    this.#urls.push(url);
    const name = kind ? `picture.${kind.slice(6)}` : "value.bin";
    const save = el("a", { href: url, download: name }, "Save");
    const title = el("p", { className: "hint" }, `Binary, ${inBytes(bytes.length)} · `, save);
    const block = el("div", { className: "binary" }, title);
    if (kind) block.append(el("img", { src: url, alt: `The picture that was sent, ${kind}` }));
    else block.append(el("pre", {}, hexDump(bytes)));
    return block;
  }

  #answer(event) {
    event.preventDefault();
    const entry = this.#entry;
    try {
      const values = readValues($("answer-args").value);
      entry.answer?.(...values);
      this.show(entry);
      $("details-title").focus();
    } catch (error) {
      $("answer-problem").textContent = error.message;
    }
  }
}

/** JSON with a span for each kind of token. */
function coloured(text) {
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(TOKENS)) {
    const [, string, colon, word, number] = match;
    if (match.index > last) parts.push(text.slice(last, match.index));
    const kind = string ? (colon ? "name" : string.startsWith('"‹') ? "bytes" : "string") : word ? "word" : "number";
    parts.push(el("span", { className: `json-${kind}` }, string ?? word ?? number));
    if (colon) parts.push(colon);
    last = match.index + match[0].length;
  }
  parts.push(text.slice(last));
  return parts;
}

