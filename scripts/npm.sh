#!/bin/sh
# Fetch what a folder's package-lock.json names: npm.sh FOLDER [optional]
# With "optional" it is no error that there is no npm, or no network.
. "$(dirname "$0")/lib.sh"

folder=$1
done=$folder/node_modules/.done
[ -f "$folder/package-lock.json" ] || exit 0
if [ -f "$done" ] && [ ! "$folder/package-lock.json" -nt "$done" ]; then exit 0; fi

give_up() {
  [ "${2:-}" = optional ] || fail "$1"
  say "$1; going on without"
  exit 0
}

have npm || give_up "npm is not installed, so what $folder/package.json names cannot be fetched" "${2:-}"
say "fetching what $folder/package.json names"
(cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >&2) ||
  give_up "npm failed in $folder" "${2:-}"
touch "$done"
