// What files weigh: compressed variants, and a table beside the official client's files.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const PACKAGES = join(dirname(fileURLToPath(import.meta.url)), "../tests/interop/node_modules");
const OFFICIAL = ["socket.io-client/dist", "engine.io-client/dist"];

/** Where in the header of gzip the system stands, and what means that nobody says (RFC 1952). */
const SYSTEM = 9;
const UNKNOWN = 255;

/** As small as it gets; without time and system, so that the same file gives the same bytes. */
function gzip(contents) {
  const bytes = gzipSync(contents, { level: 9 });
  bytes[SYSTEM] = UNKNOWN;
  return bytes;
}

function brotli(contents) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: contents.length };
  return brotliCompressSync(contents, { params });
}

/** The files beside a file that hold the same, compressed. */
export function packed(name, contents) {
  return [[name + ".gz", gzip(contents)], [name + ".br", brotli(contents)]];
}

function row(name, contents) {
  const numbers = [contents, gzip(contents), brotli(contents)].map(({ length }) => length.toLocaleString("en"));
  return [name, ...numbers];
}

/** The official files, where they have been fetched. */
function official() {
  return OFFICIAL.flatMap((folder) => {
    let names;
    try {
      names = readdirSync(join(PACKAGES, folder)).filter((name) => name.endsWith(".min.js"));
    } catch {
      return [];
    }
    return names.map((name) => row(`official ${name}`, readFileSync(join(PACKAGES, folder, name))));
  });
}

/** A table of the scripts that have been built, in bytes. */
export function sizes(files) {
  const own = [...files].filter(([name]) => name.endsWith(".js")).map(([name, contents]) => row(name, contents));
  const rows = [["", "raw", "gzip", "brotli"], ...own, ...official()];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const line = (cells) => cells.map((cell, at) => (at ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join("  ");
  return rows.map(line).join("\n");
}
