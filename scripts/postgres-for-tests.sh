#!/bin/sh
# A throw-away PostgreSQL for tests: on a free port of 127.0.0.1, in a folder of its own, with
# durability switched off and a random password.
#
#   export $(scripts/postgres-for-tests.sh start)
#   …
#   scripts/postgres-for-tests.sh stop
#
# `start` prints PORTCULLIS_TEST_POSTGRES (a URL whose user may make databases) and
# PORTCULLIS_TEST_POSTGRES_DIR; `stop` takes the folder from its argument or from that variable.
set -eu

fail() {
  echo "postgres-for-tests.sh: $*" >&2
  exit 1
}

find_programs() {
  # The newest version that is installed; Debian keeps the server's programs out of PATH.
  for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) $(dirname "$(command -v initdb || echo /)"); do
    if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then
      programs=$folder
      return
    fi
  done
  fail "no PostgreSQL server here: run scripts/setup-test-deps.sh"
}

# PostgreSQL refuses to run as root.
unprivileged() {
  if [ "$(id -u)" -eq 0 ]; then
    runuser -u postgres -- "$@"
  else
    "$@"
  fi
}

start() {
  find_programs
  directory=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-postgres-XXXXXX")
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf '%s\n' "$password" >"$directory/password"
  if [ "$(id -u)" -eq 0 ]; then
    chown -R postgres "$directory"
  fi
  cd "$directory"

  unprivileged "$programs/initdb" --pgdata="$directory/data" --username=portcullis --pwfile="$directory/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$directory/initdb.log" 2>&1 \
    || { cat "$directory/initdb.log" >&2; fail "initdb failed"; }

  # A port is taken by trying: another program may be quicker.
  for attempt in 1 2 3 4 5; do
    port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
    if unprivileged "$programs/pg_ctl" start --pgdata="$directory/data" --log="$directory/server.log" --wait --timeout=30 --silent \
      --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$directory -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" >&2; then
      echo "PORTCULLIS_TEST_POSTGRES=postgres://portcullis:$password@127.0.0.1:$port/postgres"
      echo "PORTCULLIS_TEST_POSTGRES_DIR=$directory"
      return
    fi
  done
  cat "$directory/server.log" >&2
  fail "PostgreSQL did not start"
}

stop() {
  directory=${1:-${PORTCULLIS_TEST_POSTGRES_DIR:-}}
  case $directory in
    */portcullis-postgres-*) ;;
    *) fail "which one? stop DIRECTORY" ;;
  esac
  [ -d "$directory" ] || return 0
  find_programs
  # pg_ctl ends the one process whose id is in the folder.
  if [ -f "$directory/data/postmaster.pid" ]; then
    (cd "$directory" && unprivileged "$programs/pg_ctl" stop --pgdata="$directory/data" --mode=immediate --wait --timeout=20 --silent) >&2
  fi
  rm -rf "$directory"
}

case ${1:-} in
  start) start ;;
  stop) stop "${2:-}" ;;
  *) fail "start | stop [DIRECTORY]" ;;
esac
