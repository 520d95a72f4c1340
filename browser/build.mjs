// Builds the client: node build.mjs [FOLDER]
//
// What servers serve goes to src/nuncio/browser, the npm package's files to dist. With a folder, both go
// there, to `served` and to `package`, which is complete then; so tests can look at what would be built.
//
// The same sources give the same bytes, wherever they are built.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { minify } from "terser";

import { packed, sizes } from "./sizes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const served = join(here, "../src/nuncio/browser");
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));

const common = {
  absWorkingDir: here,
  bundle: true,
  write: false,
  // Classes with private and static fields, and what else came until the spring of 2022.
  target: ["chrome93", "edge93", "firefox92", "safari15.4", "node18"],
  legalComments: "none",
  banner: { js: `/*! Nuncio's client for Socket.IO v${version} | MIT */` },
};

/** A classic script: what it gives is what CommonJS or AMD loaders give, or else global. */
const classic = (entry, name = "io") => ({
  entry,
  format: "esm",
  banner: { js: `${common.banner.js}\n(publish=>{"use strict";` },
  footer: {
    js: `})(it=>{typeof module=="object"&&module.exports?module.exports=it:typeof define=="function"&&define.amd?define(()=>it):globalThis.${name}=it});`,
  },
});

// Names that begin with an underscore are ours alone, except for those that the official client's users
// know, or its transports in Node. They get short names that no class built on ours will have by chance.
const PRIVATE = /\b_[a-z]\w*/g;
const KEPT = ["_close", "_placeholder", "_cookieJar"];

/** Short names begin with a capital, and folders whose sources pages may do without have the longer ones. */
const FIRST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SECOND = "abcdefghijklmnopqrstuvwxyz";
const FURTHER = /^(transports|peer)\b/;

function shortNames() {
  const uses = new Map();
  for (const file of readdirSync(join(here, "src"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const weight = FURTHER.test(file) ? 1 : 1000;
    for (const name of readFileSync(join(here, "src", file), "utf8").match(PRIVATE) ?? []) {
      uses.set(name, (uses.get(name) ?? 0) + weight);
    }
  }
  for (const name of KEPT) uses.delete(name);
  // The most frequent get the shortest; the name decides between equals, so that builds are the same.
  const names = [...uses.keys()].sort((a, b) => uses.get(b) - uses.get(a) || (a < b ? -1 : 1));
  const all = [...FIRST, ...[...FIRST].flatMap((first) => [...SECOND].map((second) => first + second))];
  return Object.fromEntries(names.map((name, index) => [name, all[index]]));
}

const small = { minify: true, mangleProps: /^_[a-z]/, mangleCache: shortNames() };
for (const name of KEPT) small.mangleCache[name] = false;

/** Packets as MessagePack, wherever the sources ask for the usual parser. */
const msgpack = {
  name: "msgpack",
  setup: ({ onResolve }) =>
    onResolve({ filter: /parser\/(de|en)coder\.js$/ }, () => ({ path: join(here, "src/parser/msgpack.ts") })),
};

/** What servers serve, by name. */
const SCRIPTS = {
  "socket.io.js": classic("script.ts"),
  "socket.io.min.js": { ...classic("script.ts"), ...small },
  "socket.io.esm.min.js": { entry: "index.ts", format: "esm", ...small },
  "socket.io.msgpack.min.js": { ...classic("script.ts"), ...small, plugins: [msgpack] },
  "socket.io.all.min.js": { ...classic("all-script.ts"), ...small },
  "socket.io.all.esm.min.js": { entry: "all.ts", format: "esm", ...small },
  "nuncio-transports.min.js": { ...classic("classes-script.ts", "nuncioTransports"), ...small },
  "nuncio-peer.min.js": { ...classic("peer/script.ts", "nuncioPeer"), ...small },
  "nuncio-peer.esm.min.js": { entry: "peer/index.ts", format: "esm", ...small },
  "nuncio-transports.esm.min.js": { entry: "classes.ts", format: "esm", ...small },
};

/** Entry points of the npm package whose source has another name. */
const SOURCES = { msgpack: "parser/msgpack.ts", peer: "peer/index.ts" };
/** The entry points of the npm package; those for bundlers and modules share what they have in common. */
const TRANSPORTS = [...readFileSync(join(here, "src/transports/index.ts"), "utf8").matchAll(/"\.\/(\w+)\.js"/g)].map(
  ([, name]) => `transports/${name}`,
);
const PACKAGE = {
  modules: { format: "esm", entries: ["index", "all", "classes", "msgpack", "peer", ...TRANSPORTS], splitting: true },
  node: { format: "esm", platform: "node", entries: ["node", "all-node"], suffix: ".mjs" },
  required: {
    format: "cjs",
    platform: "node",
    entries: ["node", "all-node", "classes", "msgpack", "peer", ...TRANSPORTS],
    suffix: ".cjs",
  },
};

/** Build a script; `folder` is where it will lie, which is what its map tells paths from. */
async function script(name, { entry, ...options }, folder) {
  const { outputFiles } = await build({
    ...common,
    ...options,
    entryPoints: [join("src", entry)],
    outfile: join(folder, name),
    sourcemap: true,
  });
  const files = outputFiles.map(({ path, contents }) => [basename(path), contents]);
  return options.minify ? smaller(name, Object.fromEntries(files), options) : files;
}

/** What esbuild has made small, smaller: it is what every page loads. */
async function smaller(name, files, { footer }) {
  const text = (contents) => Buffer.from(contents).toString();
  const map = `${name}.map`;
  const { code, map: mapped } = await minify(text(files[name]), {
    // Footers close what makes it a script.
    module: !footer,
    compress: { passes: 2 },
    format: { comments: /^!/ },
    sourceMap: { content: text(files[map]), filename: name, url: map },
  });
  return [[name, Buffer.from(`${code}\n`)], [map, Buffer.from(mapped)]];
}

/** What is served: each script, its map, and the script compressed as far as it goes. */
async function scripts(folder) {
  const files = (
    await Promise.all(Object.entries(SCRIPTS).map(([name, options]) => script(name, options, folder)))
  ).flat();
  return new Map(files.flatMap(([name, contents]) => [[name, contents], ...(name.endsWith(".js") ? packed(name, contents) : [])]));
}

/** The files of one kind of the npm package. */
async function modules({ entries, suffix = ".js", ...options }, dist) {
  const { outputFiles } = await build({
    ...common,
    ...options,
    entryPoints: entries.map((name) => ({ in: join("src", SOURCES[name] ?? `${name}.ts`), out: name })),
    outdir: dist,
    outExtension: { ".js": suffix },
    chunkNames: "shared/[name]-[hash]",
    sourcemap: true,
  });
  return outputFiles.map(({ path, contents }) => [relative(dist, path), contents]);
}

function write(files, folder) {
  for (const [name, contents] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), contents);
  }
}

/** The npm package but for what lies in the folder of the sources. */
async function writePackage(served, dist) {
  rmSync(dist, { recursive: true, force: true });
  // Who serves them from there compresses them by themselves.
  write([...served].filter(([name]) => !/\.(br|gz)$/.test(name)), dist);
  for (const kind of Object.values(PACKAGE)) write(await modules(kind, dist), dist);
  // Through the package and not .bin, which Windows has in another form.
  const tsc = join(here, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", here, "--outDir", join(dist, "types")];
  execFileSync(process.execPath, args, { stdio: "inherit" });
}

const files = await scripts(served);
const [folder] = process.argv.slice(2);
if (folder) {
  write(files, join(folder, "served"));
  await writePackage(files, join(folder, "package/dist"));
  for (const name of ["package.json", "README.md", "LICENSE"]) {
    copyFileSync(join(here, name), join(folder, "package", name));
  }
} else {
  write(files, served);
  await writePackage(files, join(here, "dist"));
}
console.log(sizes(files));
