// Values that travel: how they are written and read, on one line or in full. Everything here looks at a
// bounded part of a value only, for a value may be large and a thousand may come in a second.

/** The bytes of a binary value; null for what is none. */
export function bytesOf(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return null;
}

/** A number of bytes as people write it. */
export function inBytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toPrecision(count < 1e4 ? 2 : 3)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/** Milliseconds as people write them. */
export function inTime(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** Values on one line, of about this many characters at most. */
export function preview(values, limit = 300) {
  const parts = [];
  let left = limit;
  const put = (text) => {
    parts.push(text);
    left -= text.length;
  };
  const write = (value) => {
    if (left <= 0) return;
    const bytes = bytesOf(value);
    if (bytes) put(`‹${inBytes(bytes.length)}›`);
    else if (typeof value === "string") {
      put(JSON.stringify(value.length > left ? `${value.slice(0, left)}…` : value));
    } else if (Array.isArray(value)) series("[", value, "]", write);
    else if (value && typeof value === "object") {
      series("{", Object.entries(value), "}", ([key, inner]) => {
        put(`${/^[\w$]+$/.test(key) ? key : JSON.stringify(key.slice(0, 100))}: `);
        write(inner);
      });
    } else put(value === undefined ? "undefined" : String(value));
  };
  const series = (open, items, close, one) => {
    put(open);
    for (let index = 0; index < items.length && left > 0; index++) {
      if (index) put(", ");
      one(items[index]);
    }
    put(close);
  };
  for (let index = 0; index < values.length && left > 0; index++) {
    if (index) put(", ");
    write(values[index]);
  }
  const text = parts.join("");
  return left <= 0 ? `${text.slice(0, limit)}…` : text;
}

/** JSON of a value, with a word in place of bytes; `base64` writes them out. */
export function toJSON(value, { indent = 2, base64 = false } = {}) {
  const replace = (_, inner) => {
    const bytes = bytesOf(inner);
    if (!bytes) return inner;
    return base64 ? { $binary: toBase64(bytes) } : `‹${inBytes(bytes.length)}›`;
  };
  // Views have entries of their own, which JSON would write: they are replaced before it looks in.
  return JSON.stringify(value, replace, indent) ?? "undefined";
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** All binary values in a value, in order. */
export function binariesIn(value, found = []) {
  const bytes = bytesOf(value);
  if (bytes) found.push(bytes);
  else if (value && typeof value === "object") {
    for (const inner of Object.values(value)) binariesIn(inner, found);
  }
  return found;
}

/** What kind of picture bytes are; null for none that every browser shows. */
export function pictureKind(bytes) {
  const starts = { "image/png": [137, 80, 78, 71], "image/jpeg": [255, 216, 255], "image/gif": [71, 73, 70, 56] };
  for (const [kind, start] of Object.entries(starts)) {
    if (start.every((byte, index) => bytes[index] === byte)) return kind;
  }
  return null;
}

/** The first bytes as people look at them: offset, hexadecimal, text. */
export function hexDump(bytes, most = 256) {
  const lines = [];
  const shown = Math.min(bytes.length, most);
  for (let at = 0; at < shown; at += 16) {
    const row = [...bytes.subarray(at, Math.min(at + 16, shown))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > most) lines.push(`… ${inBytes(bytes.length - most)} more`);
  return lines.join("\n");
}
