#!/bin/sh
# Install the tools of one group of pyproject.toml: tools.sh ENVIRONMENT GROUP
. "$(dirname "$0")/lib.sh"

say "installing the $2 tools into $1"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
"$1/bin/python" scripts/requirements.py "$2" >"$list"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$list"
