"use strict";
// How values travel in lines of JSON between the tests and Node; `tests.support.node` does the same in Python.
//
// What JSON cannot say is tagged: {"$bytes": base64}, {"$js": source}, {"$date": milliseconds}, {"$error": {...}}.

function pack(value) {
  if (value === undefined || value === null || typeof value === "function") return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : { $js: String(value) };
  if (typeof value !== "object") return value;
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (value instanceof ArrayBuffer) return pack(Buffer.from(value));
  if (ArrayBuffer.isView(value)) return pack(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Error) return { $error: packError(value) };
  if (Array.isArray(value)) return value.map(pack);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, pack(item)]));
}

function packError(error) {
  const { message, data, type, code } = error;
  const description = typeof error.description === "object" ? undefined : error.description;
  return pack({ message, data, type, code, description });
}

function unpack(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(unpack);
  if ("$bytes" in value) return Buffer.from(value.$bytes, "base64");
  if ("$date" in value) return new Date(value.$date);
  if ("$js" in value) return eval(`(${value.$js})`);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
}

module.exports = { pack, unpack };
