#!/bin/sh
# Run the tests against both builds: run-tests.sh [ARGUMENTS FOR PYTEST]
# Both run even if the first fails; the status is 0 only if both passed.
. "$(dirname "$0")/lib.sh"

# The installed package is tested, not the sources.
unset PYTHONPATH
# As root everything was installed, so a test that finds a program missing fails instead of skipping.
if can_install; then export NUNCIO_PROGRAMS=all; fi
# Debian keeps servers where only root looks.
PATH=$PATH:/usr/sbin
status=0

say "1 of 2: all tests, compiled build"
NUNCIO_EXPECT=compiled .venv/bin/python -m pytest "$@" || status=1

say "2 of 2: all but browser, proxy and slow tests, plain Python"
NUNCIO_EXPECT=pure .venv-pure/bin/python -m pytest \
  -m "not browser and not proxy and not slow" "$@" || status=1

exit $status
