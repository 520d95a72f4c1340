// Runs the unit tests: node test.mjs [NAMES]
//
// They import the sources, so they are bundled first. With a real server, the tests are in tests/browser.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const names = readdirSync(join(here, "test")).filter(
  (name) => name.endsWith(".test.js") && (!wanted.length || wanted.some((part) => name.includes(part))),
);
const outdir = mkdtempSync(join(tmpdir(), "nuncio-client-"));
try {
  await build({
    absWorkingDir: here,
    entryPoints: names.map((name) => join("test", name)),
    bundle: true,
    platform: "node",
    format: "cjs",
    sourcemap: "inline",
    outdir,
  });
  const files = names.map((name) => join(outdir, name));
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-timeout=20000", ...files], {
    // A test that fails may leave a client that reconnects for ever.
    timeout: 90_000,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(outdir, { recursive: true });
}
