#!/bin/sh
# Install the package from the sources: install.sh ENVIRONMENT
# NUNCIO_PURE chooses the build, see setup.py.
. "$(dirname "$0")/lib.sh"

environment=$PWD/$1
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
say "building Nuncio and installing it into $1"

# pip shows nothing of a build that succeeds, so what setup.py said about it is fished out of the log.
if ! .venv/bin/python -m pip wheel -v --disable-pip-version-check --no-deps -w "$wheels" . \
  >"$wheels/log" 2>&1; then
  cat "$wheels/log" >&2
  fail "the build failed"
fi
sed -n 's/^ *nuncio: /    /p' "$wheels/log"

# The version is that of the last install, so the package must be replaced by force; not so what it
# requires, which .venv-pure, having no pip, finds in .venv.
install() {
  .venv/bin/python -m pip --python "$environment/bin/python" install \
    --quiet --disable-pip-version-check "$@" "$wheels"/*.whl
}
install --force-reinstall --no-deps
[ ! -f "$environment/bin/pip" ] || install

cd /
env -u PYTHONPATH "$environment/bin/python" -c 'import nuncio; print("   ", nuncio.build_info())'
