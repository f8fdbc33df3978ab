#!/bin/sh
# Installs what the tests need on a bare Debian, as root or by sudo: PostgreSQL's server programs,
# PgBouncer, Chromium, Caddy, Node.js with npm, Python's venv, openssl; then the pinned clients of tests/clients.
# Quiet, and quick when everything is there already.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clients=$root/tests/clients

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

has() {
  command -v "$1" >/dev/null 2>&1
}

packages=
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
[ -x /usr/sbin/pgbouncer ] || has pgbouncer || packages="$packages pgbouncer"
has psql || packages="$packages postgresql-client"
has chromium || has chromium-browser || packages="$packages chromium"
has caddy || packages="$packages caddy"
has node || packages="$packages nodejs"
has npm || packages="$packages npm"
has openssl || packages="$packages openssl"
has runuser || packages="$packages util-linux"
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || packages="$packages python3 python3-venv"

if [ -n "$packages" ]; then
  log=$(mktemp)
  # Debian's packages of PostgreSQL, PgBouncer and Caddy would each start a server of their own, which no test wants.
  # Whether a service may start, Debian asks this file (invoke-rc.d(8)); 101 is no.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  if ! {
    as_root apt-get update -qq &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
  } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
  rm -f "$log"
fi

# The lock file and the list of requirements say what should be there; a copy beside what was
# installed says what is.
cd "$clients"
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.installed-lock
fi
if ! cmp -s python/requirements.txt .venv/.installed-requirements; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --requirement python/requirements.txt
  cp python/requirements.txt .venv/.installed-requirements
fi
