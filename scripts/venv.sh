#!/bin/sh
# Make a virtual environment: venv.sh FOLDER
. "$(dirname "$0")/lib.sh"

python=$(find_python)
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  # Debian ships Python without it.
  can_install || fail "$python cannot make virtual environments; on Debian: apt-get install python3-venv"
  apt python3-venv
fi
say "making $1 with $("$python" --version) ($python)"
"$python" -m venv "$1"
