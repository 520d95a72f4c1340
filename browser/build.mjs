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

function shortNames() {
  const files = readdirSync(join(here, "src"), { recursive: true, encoding: "utf8" });
  const sources = files.filter((name) => name.endsWith(".ts")).map((name) => join(here, "src", name));
  const found = sources.flatMap((path) => readFileSync(path, "utf8").match(PRIVATE) ?? []);
  const uses = new Map();
  for (const name of found) uses.set(name, (uses.get(name) ?? 0) + 1);
  for (const name of KEPT) uses.delete(name);
  // The most frequent get the shortest; the name decides between equals, so that builds are the same.
  const names = [...uses.keys()].sort((a, b) => uses.get(b) - uses.get(a) || (a < b ? -1 : 1));
  return Object.fromEntries(names.map((name, index) => [name, `_${index.toString(36)}`]));
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
  "nuncio-transports.esm.min.js": { entry: "classes.ts", format: "esm", ...small },
};

/** Entry points of the npm package whose source has another name. */
const SOURCES = { msgpack: "parser/msgpack.ts" };
/** The entry points of the npm package; those for bundlers and modules share what they have in common. */
const TRANSPORTS = [...readFileSync(join(here, "src/transports/index.ts"), "utf8").matchAll(/"\.\/(\w+)\.js"/g)].map(
  ([, name]) => `transports/${name}`,
);
const PACKAGE = {
  modules: { format: "esm", entries: ["index", "all", "classes", "msgpack", ...TRANSPORTS], splitting: true },
  node: { format: "esm", platform: "node", entries: ["node", "all-node"], suffix: ".mjs" },
  required: {
    format: "cjs",
    platform: "node",
    entries: ["node", "all-node", "classes", "msgpack", ...TRANSPORTS],
    suffix: ".cjs",
  },
};

/** Build a script; `folder` is where it will lie, which is what its map tells paths from. */
async function script(name, { entry, ...options }, folder) {
  const outfile = join(folder, name);
  const { outputFiles } = await build({
    ...common,
    ...options,
    entryPoints: [join("src", entry)],
    outfile,
    sourcemap: true,
  });
  return outputFiles.map(({ path, contents }) => [basename(path), contents]);
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
