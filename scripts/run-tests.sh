#!/bin/sh
# Run the tests against both builds: run-tests.sh [ARGUMENTS FOR PYTEST]
# Much of the time they wait, so both run at once; what the second says is shown behind the first.
# Both run to their end even if the other fails; the status is 0 only if both passed.
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

say "both builds at once; first all tests of the compiled one"
NUNCIO_EXPECT=pure .venv-pure/bin/python -m pytest -p no:cacheprovider \
  -m "not browser and not proxy and not slow" "$@" >"$log" 2>&1 &
pure=$!
trap '[ -z "$pure" ] || kill "$pure"; rm -f "$log"' EXIT
NUNCIO_EXPECT=compiled .venv/bin/python -m pytest "$@" || status=1

say "all but browser, proxy and slow tests, plain Python"
wait "$pure" || status=1
pure=""
cat "$log"
exit $status
