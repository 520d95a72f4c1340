// The form that emits: event, arguments, files, acknowledgement; and the history of what was emitted.

import { $, el, kept, toast } from "./dom.js";
import { layOut, readValues, Unreadable } from "./jsontext.js";
import { inBytes, preview } from "./values.js";

const MOST_HISTORY = 30;
// What is kept over a reload; larger arguments are kept while the page is.
const MOST_KEPT = 4000;

export class EmitForm {
  #send;
  #known;
  #files = [];
  #history = [];
  #suggested = null;

  /**
   * @param send called with the namespace, event, arguments and seconds; it tells whether that was done.
   * @param known what the server has handlers for: by namespace and event, the names of the arguments.
   */
  constructor(send, known) {
    this.#send = send;
    this.#known = known;
    $("emit").addEventListener("submit", (event) => this.#submit(event));
    $("emit").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        $("emit").requestSubmit();
      }
    });
    $("args").addEventListener("input", () => this.check());
    $("event").addEventListener("input", () => this.suggest());
    $("format").addEventListener("click", () => this.#format());
    $("pick").addEventListener("click", () => $("files").click());
    $("files").addEventListener("change", () => {
      this.#add([...$("files").files]);
      $("files").value = "";
    });
    for (const name of ["dragover", "drop"]) $("emit").addEventListener(name, (event) => this.#onDrag(event));
    $("ack").addEventListener("change", () => this.#onAck());
    $("forget").addEventListener("click", () => {
      this.#history = [];
      this.#keep();
      $("event").focus();
    });
    try {
      this.#history = JSON.parse(kept.get("history") ?? "[]");
    } catch {
      // Not ours; begin anew.
    }
    this.#draw();
    this.#onAck();
    this.check();
  }

  /** Look at the arguments; tells whether they can be sent. */
  check() {
    let problem = "";
    let count = this.#files.length;
    let lost;
    try {
      const values = readValues($("args").value);
      count = placed(values, this.#files.map((file) => file.name)).length;
      lost = [...$("args").value.matchAll(/"\$([1-9]\d?)"/g)].find(([, number]) => number > this.#files.length);
    } catch (error) {
      problem = error.message;
    }
    $("args-problem").textContent = problem;
    $("args").setAttribute("aria-invalid", problem !== "");
    if (lost) $("args-count").textContent = `no file for ${lost[0]}: it is sent as text`;
    else $("args-count").textContent = problem ? "" : count === 0 ? "no arguments" : count === 1 ? "1 argument" : `${count} arguments`;
    return !problem;
  }

  /** Name the events that the server knows, and the arguments of the one that stands there. */
  suggest() {
    const { [$("target").value]: events = {} } = this.#known;
    const names = [...new Set([...Object.keys(events), ...this.#history.map(({ event }) => event)])];
    const now = names.join("\n");
    if (now !== this.#suggested) {
      this.#suggested = now;
      $("events").replaceChildren(...names.map((value) => el("option", { value })));
    }
    const args = Object.hasOwn(events, $("event").value) ? events[$("event").value] : null;
    $("args-names").textContent = args?.length ? args.join(", ") : "JSON, with commas between";
  }

  /** Fill the form, as a link or the history has it. */
  fill({ nsp, event, text, seconds, files }) {
    if (files) {
      this.#files = [...files];
      this.#drawFiles();
    }
    if (nsp && [...$("target").options].some((option) => option.value === nsp)) $("target").value = nsp;
    if (event !== undefined) $("event").value = event;
    this.suggest();
    if (text !== undefined) $("args").value = text;
    if (seconds !== undefined) {
      $("ack").checked = seconds > 0;
      if (seconds > 0) $("ack-seconds").value = seconds;
      this.#onAck();
    }
    this.check();
  }

  /** Seconds to wait for an acknowledgement; 0 for none. */
  get seconds() {
    return $("ack").checked ? Number($("ack-seconds").value) || 5 : 0;
  }

  /** Keep what was emitted without the form, too. */
  remember(record) {
    const same = (other) => ["nsp", "event", "text"].every((key) => other[key] === record[key]) && !record.files.length && !other.files.length;
    this.#history = [record, ...this.#history.filter((other) => !same(other))].slice(0, MOST_HISTORY);
    this.#keep();
  }

  async #submit(event) {
    event.preventDefault();
    if (!this.check()) return $("args").focus();
    const { value: text } = $("args");
    const record = { nsp: $("target").value, event: $("event").value, text, seconds: this.seconds, files: this.#files };
    if (!(await this.#emit(record))) return;
    // They were for this event; the history has them for another time.
    this.#files = [];
    this.#drawFiles();
  }

  async #emit(record) {
    const { nsp, event, text, seconds, files } = record;
    let contents;
    try {
      contents = await Promise.all(files.map((file) => file.arrayBuffer()));
    } catch {
      toast("A file cannot be read any more. Choose it again.");
      return false;
    }
    const done = this.#send(nsp, event, placed(readValues(text), contents), seconds);
    if (done) this.remember(record);
    return done;
  }

  #format() {
    try {
      $("args").value = layOut($("args").value);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    this.check();
  }

  #onAck() {
    $("ack-seconds").disabled = !$("ack").checked;
  }

  #onDrag(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "drop") this.#add([...event.dataTransfer.files]);
  }

  #add(files) {
    this.#files.push(...files);
    this.#drawFiles();
  }

  #drawFiles() {
    const items = this.#files.map((file, index) => {
      const remove = el("button", { type: "button", className: "plain", "aria-label": `Remove ${file.name}` }, "Remove");
      remove.addEventListener("click", () => {
        this.#files.splice(index, 1);
        this.#drawFiles();
        $("pick").focus();
      });
      return el("li", {}, el("code", {}, `$${index + 1}`), el("span", { className: "file" }, file.name), el("small", {}, inBytes(file.size)), remove);
    });
    $("file-list").replaceChildren(...items);
    this.check();
  }

  #keep() {
    const small = this.#history.filter(({ text, files }) => text.length <= MOST_KEPT && !files.length);
    kept.set("history", JSON.stringify(small));
    this.#draw();
  }

  #draw() {
    $("history-empty").hidden = this.#history.length > 0;
    $("forget").hidden = this.#history.length === 0;
    $("history").replaceChildren(...this.#history.map((record) => this.#drawRecord(record)));
    this.suggest();
  }

  #drawRecord(record) {
    const { nsp, event, text, files } = record;
    let line = text;
    try {
      line = preview(readValues(text), 80);
    } catch {
      // It was kept by another version of this page.
    }
    const fill = el("button", { type: "button", className: "again", title: "Fill the form with it" });
    fill.append(el("b", {}, event), " ", el("small", {}, nsp === "/" ? "" : nsp), " ", el("span", {}, line));
    if (files.length) fill.append(" ", el("small", {}, `+ ${files.map((file) => file.name).join(", ")}`));
    fill.addEventListener("click", () => {
      this.fill(record);
      $("args").focus();
    });
    const again = el("button", { type: "button", className: "plain", "aria-label": `Emit ${event} again` }, "Again");
    again.addEventListener("click", () => this.#emit(record));
    return el("li", {}, fill, again);
  }
}

/** Values with files in them: where "$1" stands, else behind the others. */
function placed(values, files) {
  const used = new Set();
  const put = (value) => {
    const match = typeof value === "string" ? /^\$([1-9]\d?)$/.exec(value) : null;
    if (match && Number(match[1]) <= files.length) {
      used.add(Number(match[1]) - 1);
      return files[Number(match[1]) - 1];
    }
    if (Array.isArray(value)) return value.map(put);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, put(inner)]));
    return value;
  };
  const filled = values.map(put);
  return [...filled, ...files.filter((_, index) => !used.has(index))];
}
