#!/bin/sh
# Build the browser client from browser/: what servers serve goes to src/nuncio/browser and is
# committed, so that nobody needs Node to install Nuncio; the npm package goes to browser/dist.
. "$(dirname "$0")/lib.sh"

have node || fail "node is not installed, and the browser client is built by it"
scripts/npm.sh browser
say "building the browser client"
node browser/build.mjs
