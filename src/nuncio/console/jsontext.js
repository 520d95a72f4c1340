// Reads JSON that people type, and says what is wrong with it in words, and where.
//
// What browsers say of wrong JSON differs, and often names no place. So JSON.parse reads, and only what
// it refuses is looked at here.

export class Unreadable extends Error {}

/** Read JSON values with commas between. Throws `Unreadable`, whose message is for people. */
export function readValues(text) {
  if (!text.trim()) return [];
  try {
    return JSON.parse(`[${text}\n]`);
  } catch {
    throw new Unreadable(new Reader(text).problem());
  }
}

/** Read a JSON object, or nothing. Throws `Unreadable`. */
export function readObject(text) {
  const values = readValues(text);
  const [value] = values;
  if (values.length > 1 || (values.length && (!value || typeof value !== "object" || Array.isArray(value)))) {
    throw new Unreadable('This must be one object, such as {"token": "…"}.');
  }
  return value;
}

/** Lay values out over lines, as `readValues` reads them. */
export function layOut(text) {
  return readValues(text)
    .map((value) => JSON.stringify(value, null, 2))
    .join(",\n");
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const WORD = /[\p{L}\p{N}_$.+-][\p{L}\p{N}_$.+@:/-]*/uy;

class Reader {
  #at = 0;

  constructor(text) {
    this.text = text;
  }

  /** The first thing that is wrong. */
  problem() {
    try {
      this.#series("", () => this.#value());
    } catch (error) {
      if (error instanceof Unreadable) return error.message;
      throw error;
    }
    return "This is not JSON.";
  }

  /** Items with commas between, up to a closing bracket, or to the end when there is none. */
  #series(close, item) {
    this.#take(SPACE);
    if (close ? this.#skip(close) : this.#ended()) return;
    for (;;) {
      item();
      this.#take(SPACE);
      if (close ? this.#skip(close) : this.#ended()) return;
      if (!this.#skip(",")) {
        if (this.#ended()) this.#fail(`${close} is missing at the end`);
        this.#fail(`${close ? `"," or "${close}"` : "A comma"} is missing before ${this.#shown()}`);
      }
      this.#take(SPACE);
      if (this.#ended()) this.#fail("There is a comma with nothing behind it");
      if (close && this.text[this.#at] === close) this.#fail(`There is a comma with nothing behind it, before ${close}`);
    }
  }

  #value() {
    if (this.#skip("[")) return this.#series("]", () => this.#value());
    if (this.#skip("{")) return this.#series("}", () => this.#member());
    if (this.#take(STRING) || this.#take(NUMBER)) return;
    const begin = this.#at;
    const word = this.#take(WORD);
    if (["true", "false", "null"].includes(word)) return;
    this.#at = begin;
    if (word && /^[-+.\d]/.test(word) && !/[\p{L}_$]/u.test(word)) this.#fail(`${word} is no number in JSON`);
    if (word) this.#fail(`Texts stand in double quotes: "${word}"`);
    this.#quotes("A value is missing");
  }

  #member() {
    if (!this.#take(STRING)) {
      const begin = this.#at;
      const word = this.#take(/[\p{L}\p{N}_$-]+/uy);
      this.#at = begin;
      if (word) this.#fail(`Names stand in double quotes: "${word}"`);
      this.#quotes("A name is missing");
    }
    this.#take(SPACE);
    if (!this.#skip(":")) this.#fail(`":" is missing behind the name`);
    this.#take(SPACE);
    this.#value();
  }

  #quotes(otherwise) {
    const next = this.text[this.#at];
    if (next === "'" || next === "“" || next === "‘" || next === "`") this.#fail('JSON has plain double quotes: "');
    if (next !== '"') this.#fail(this.#ended() ? `${otherwise} at the end` : `${otherwise} before ${this.#shown()}`);
    const rest = this.text.slice(this.#at + 1);
    const end = /\\.|["\n\r]/g;
    let match;
    while ((match = end.exec(rest)) && match[0].startsWith("\\"));
    if (!match) this.#fail("The text that begins here is not closed");
    if (match[0] !== '"') this.#fail("A text cannot go over lines: write \\n in it");
    this.#fail("In the text that begins here is a backslash too many: write \\\\");
  }

  #take(pattern) {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text);
    if (!match) return "";
    this.#at += match[0].length;
    return match[0];
  }

  #skip(sign) {
    if (this.text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #ended() {
    return this.#at >= this.text.length;
  }

  #shown() {
    return JSON.stringify(this.text.slice(this.#at).match(/^\S{1,12}/u)?.[0] ?? "");
  }

  #fail(words) {
    const lines = this.text.slice(0, this.#at).split("\n");
    const column = `column ${lines.at(-1).length + 1}`;
    const where = this.text.includes("\n") ? `line ${lines.length}, ${column}` : column;
    throw new Unreadable(`${words} (${where}).`);
  }
}
