#!/bin/sh
# Drives every client against the built server: on SQLite, on PostgreSQL, and on two replicas
# behind a proxy. What to run can be said: run.sh [sqlite|postgres|replicas]... [-- FILE...]
#
# PORTCULLIS_BIN names the server (target/debug/portcullis by default). PORTCULLIS_TEST_POSTGRES
# names a PostgreSQL server where databases may be made; without it a throw-away one is started.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# Relative to where it was called, not to here.
PORTCULLIS_BIN=$(realpath -m "${PORTCULLIS_BIN:-$root/target/debug/portcullis}")
cd "$here"

deployments=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  deployments="$deployments $1"
  shift
done
[ $# -gt 0 ] && shift
deployments=${deployments:-sqlite postgres replicas}

export PORTCULLIS_BIN
if [ ! -x "$PORTCULLIS_BIN" ]; then
  echo "run.sh: no server at $PORTCULLIS_BIN: run cargo build, or set PORTCULLIS_BIN" >&2
  exit 2
fi

# MCP Inspector needs a newer Node.js than some distributions have; one comes with the packages.
node=$(ls "$here"/node_modules/node-linux-*/bin/node 2>/dev/null | head -n 1)
if [ -z "$node" ] || [ ! -x "$here/.venv/bin/python" ]; then
  echo "run.sh: run scripts/setup-test-deps.sh first" >&2
  exit 2
fi

started=
finish() {
  [ -z "$started" ] || "$root/scripts/postgres-for-tests.sh" stop "$started"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

failed=
for deployment in $deployments; do
  files=$*
  if [ -z "$files" ]; then
    files="typescript-1.test.mjs typescript-2.test.mjs python.test.mjs inspector.test.mjs pages.test.mjs"
    # What is the same on every database.
    [ "$deployment" != sqlite ] || files="first-run.test.mjs verify.test.mjs $files"
  fi
  case $deployment in
    sqlite) ;;
    postgres | replicas)
      if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
        export $("$root/scripts/postgres-for-tests.sh" start)
        started=$PORTCULLIS_TEST_POSTGRES_DIR
      fi
      ;;
    *)
      echo "run.sh: what is $deployment?" >&2
      exit 2
      ;;
  esac
  echo "== clients on $deployment"
  PORTCULLIS_TEST_DEPLOYMENT=$deployment timeout --kill-after=10 300 \
    "$node" --test --test-reporter="${PORTCULLIS_TEST_REPORTER:-spec}" --test-concurrency=2 --test-timeout=240000 $files \
    || failed="$failed $deployment"
done

if [ -n "$failed" ]; then
  echo "clients: FAILED on$failed"
  exit 1
fi
echo "clients: all passed on$(printf ' %s' $deployments)"
