#!/bin/sh
# Run the tests against both builds: run-tests.sh [ARGUMENTS FOR PYTEST]
# Everything runs to its end even if something fails; the status is 0 only if all of it passed.
. "$(dirname "$0")/lib.sh"

# The installed package is tested, not the sources.
unset PYTHONPATH
# As root everything was installed, so a test that finds a program missing fails instead of skipping.
if can_install; then export NUNCIO_PROGRAMS=all; fi
# Debian keeps servers where only root looks.
PATH=$PATH:/usr/sbin
status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Two lines of work, each about as long as the other: what needs no browser, compiled; and plain
# Python, then the browser. What the second says is shown behind the first.
say "two lines at once; first the compiled build, all but the browser's tests"
(
  failed=0
  NUNCIO_EXPECT=pure NUNCIO_PORTS=1 .venv-pure/bin/python -m pytest -p no:cacheprovider \
    -m "not browser and not proxy and not slow" "$@" || failed=$?
  printf '%s\n' "==> the browser's tests, compiled build"
  NUNCIO_EXPECT=compiled NUNCIO_PORTS=2 .venv/bin/python -m pytest -p no:cacheprovider \
    -m browser "$@" || browser=$?
  # 5: none of the tests that were asked for is among them.
  [ "$failed" = 5 ] && failed=0
  [ "${browser:-0}" = 5 ] && browser=0
  [ "$failed" = 0 ] && [ "${browser:-0}" = 0 ]
) >"$log" 2>&1 &
second=$!
trap '[ -z "$second" ] || kill "$second"; rm -f "$log"' EXIT
NUNCIO_EXPECT=compiled NUNCIO_PORTS=0 .venv/bin/python -m pytest -m "not browser" "$@" || first=$?
[ "${first:-0}" = 5 ] && first=0
[ "${first:-0}" = 0 ] || status=1

say "plain Python, all but browser, proxy and slow tests; then the browser's"
wait "$second" || status=1
second=""
cat "$log"
exit $status
