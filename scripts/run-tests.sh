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
logs=$(mktemp -d)
lines=""
trap 'for line in $lines; do kill "$line" 2>/dev/null; done; rm -rf "$logs"' EXIT

# Start a line of work: line NAME ENVIRONMENT BUILD PORTS ARGUMENTS…
# It begins when the process $after has ended.
after=""
line() {
  name=$1 python=$2/bin/python build=$3 ports=$4
  shift 4
  (
    [ -z "$after" ] || tail --pid="$after" -f /dev/null
    status=0
    NUNCIO_EXPECT=$build NUNCIO_PORTS=$ports "$python" -m pytest -p no:cacheprovider \
      --reruns 3 --reruns-delay 1 -raR "$@" || status=$?
    # 5: none of the tests that were asked for is in this line.
    [ "$status" = 5 ] && status=0
    exit "$status"
  ) >"$logs/$name" 2>&1 &
  lines="$lines $!"
  names="$names $name"
}

# Compiling keeps one core busy for minutes; meanwhile plain Python is tested, which is the same
# sources. It need not repeat what stands on the compiled modules without being one of them, nor what
# other people's programs say.
NUNCIO_PURE=0 make --no-print-directory .venv/.done-package >"$logs/compile" 2>&1 &
compiled=$!
lines=$compiled names=" compile"
above=""
if [ $# = 0 ]; then
  for folder in admin browser chaos cli client cluster/mongo cluster/nats cluster/postgres cluster/redis \
    cluster/test_emitter.py cluster/test_matrix.py cluster/test_recovery_matrix.py docs examples faults \
    hostile hosts interop peers presence sync testing webrtc webtransport workers; do
    above="$above --ignore=tests/$folder"
  done
fi
# shellcheck disable=SC2086
line plain .venv-pure pure 0 -m "not browser and not proxy and not slow" $above "$@"

# Much of the time tests wait for something, so four lines go on at once; the first is shown while it
# runs. Clusters and other languages' compilers begin when the first has done.
# On a machine so busy, what fails is tried again before it counts, and is told as a rerun.
first="tests/auth tests/cli tests/docs tests/engine tests/faults tests/hosts"
second="tests/interop tests/examples tests/workers"
third="tests/chaos tests/cluster"
others=""
for folder in $first $second $third tests/browser; do others="$others --ignore=$folder"; done
after=$compiled
if [ $# = 0 ]; then
  # shellcheck disable=SC2086
  line compiled-1 .venv compiled 1 $first
  shortest=$!
  # shellcheck disable=SC2086
  line compiled-2 .venv compiled 2 $second --ignore=tests/interop/languages
  # shellcheck disable=SC2086
  line compiled-3 .venv compiled 3 $others
  line browser .venv compiled 4 tests/browser
  after=$shortest
  # shellcheck disable=SC2086
  line cluster .venv compiled 5 $third
  line languages .venv compiled 6 tests/interop/languages
else
  line compiled .venv compiled 1 "$@"
fi

status=0
for pid in $lines; do
  # shellcheck disable=SC2086
  set -- $names
  say "$1"
  tail -n +1 -f --pid="$pid" "$logs/$1"
  wait "$pid" || status=1
  names=${names# "$1"}
done
lines=""
exit $status
