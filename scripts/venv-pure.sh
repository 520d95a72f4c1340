#!/bin/sh
# Make .venv-pure: the Python of .venv and its tools, but a Nuncio of its own, found first.
. "$(dirname "$0")/lib.sh"

say "making .venv-pure beside .venv"
.venv/bin/python -m venv --without-pip --clear .venv-pure
site() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
site .venv >"$(site .venv-pure)/tools.pth"
