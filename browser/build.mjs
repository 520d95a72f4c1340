// Builds the client: node build.mjs [FOLDER]
//
// What servers serve goes to src/nuncio/browser, the npm package's files to dist. With a folder, both go
// there, to `served` and to `package`, which is complete then; so tests can look at what would be built.
//
// The same sources give the same bytes, wherever they are built.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

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

/** A classic script: `io` is what CommonJS or AMD loaders give, or else global. */
const classic = {
  entry: "script.ts",
  format: "esm",
  banner: { js: `${common.banner.js}\n(publish=>{"use strict";` },
  footer: {
    js: `})(io=>{typeof module=="object"&&module.exports?module.exports=io:typeof define=="function"&&define.amd?define(()=>io):globalThis.io=io});`,
  },
};

// Names that begin with an underscore are ours alone, except for one that the official client's users
// know. They get short names that no class built on ours will have by chance.
const PRIVATE = /\b_[a-z]\w*/g;
const KEPT = ["_close", "_placeholder"];

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

const SCRIPTS = {
  "socket.io.js": classic,
  "socket.io.min.js": { ...classic, ...small },
  "socket.io.esm.min.js": { entry: "index.ts", format: "esm", ...small },
};

const PACKAGE = {
  "index.js": { entry: "index.ts", format: "esm" },
  "node.mjs": { entry: "node.ts", format: "esm", platform: "node" },
  "node.cjs": { entry: "node.ts", format: "cjs", platform: "node" },
};

/** Build files; `outside` is where they will lie, which is what their maps tell paths from. */
async function make(files, outside) {
  const made = new Map();
  for (const [name, { entry, ...options }] of Object.entries(files)) {
    const { outputFiles } = await build({
      ...common,
      ...options,
      entryPoints: [join("src", entry)],
      outfile: join(outside, name),
      sourcemap: true,
    });
    for (const { path, contents } of outputFiles) made.set(basename(path), contents);
  }
  return made;
}

function write(files, folder) {
  mkdirSync(folder, { recursive: true });
  for (const [name, contents] of files) writeFileSync(join(folder, name), contents);
}

/** The npm package but for what lies in the folder of the sources. */
async function writePackage(scripts, dist) {
  rmSync(dist, { recursive: true, force: true });
  write(scripts, dist);
  write(await make(PACKAGE, join(here, "dist")), dist);
  // Through the package and not .bin, which Windows has in another form.
  const tsc = join(here, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", here, "--outDir", join(dist, "types")];
  execFileSync(process.execPath, args, { stdio: "inherit" });
}

const scripts = await make(SCRIPTS, served);
const [folder] = process.argv.slice(2);
if (folder) {
  write(scripts, join(folder, "served"));
  await writePackage(scripts, join(folder, "package/dist"));
  for (const name of ["package.json", "README.md", "LICENSE"]) {
    copyFileSync(join(here, name), join(folder, "package", name));
  }
} else {
  write(scripts, served);
  await writePackage(scripts, join(here, "dist"));
}
