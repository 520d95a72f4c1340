# What the other scripts share. Sourced, not run: `. scripts/lib.sh` from the root of the project.

set -eu
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Whether we may install Debian packages.
can_install() { [ "$(id -u)" = 0 ] && have apt-get; }

# Install Debian packages: apt NAME…
apt() {
  say "installing Debian packages: $*"
  [ -n "${APT_UPDATED:-}" ] || apt-get update -qq
  APT_UPDATED=1
  # RUNLEVEL keeps a freshly installed nginx from starting a service of its own.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Print the first Python that is new enough: the one in $PYTHON, else python3, else by version.
find_python() {
  for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "Nuncio needs Python 3.11 or newer; ${PYTHON:-python3} is not. Install one, or name one: make PYTHON=/path/to/python3.12"
}
