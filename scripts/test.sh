#!/usr/bin/env bash
# Runs the tests against a PostgreSQL of their own, which is stopped in the end whatever happens.
#   scripts/test.sh [rust] [clients] [chaos]
# With PORTCULLIS_TEST_POSTGRES set, that server is used and left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

what="${*:-rust clients}"
case " $what " in
*[!\ a-z]*) echo "usage: scripts/test.sh [rust] [clients] [chaos]" >&2; exit 2 ;;
esac

scripts/setup-test-deps.sh

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
    trap 'if [ -n "${PORTCULLIS_TEST_POSTGRES_DIR:-}" ]; then scripts/postgres-for-tests.sh stop; fi' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    settings="$(scripts/postgres-for-tests.sh start)"
    # shellcheck disable=SC2163 # the script prints NAME=VALUE lines
    while IFS= read -r setting; do export "$setting"; done <<<"$settings"
fi

for part in $what; do
    case "$part" in
    rust)
        cargo test --locked --workspace
        ;;
    clients)
        # The suite's build made the server already. A build by itself resolves the libraries' features without those of the
        # tests, and compiles sqlx, reqwest and more once again.
        case " $what " in *" rust "*) ;; *) cargo build --locked ;; esac
        target="$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
        PORTCULLIS_BIN="$target/debug/portcullis" tests/clients/run.sh
        ;;
    chaos)
        # One after the other, and nothing else beside: the figures are about time.
        export PORTCULLIS_CHAOS_SECONDS="${PORTCULLIS_CHAOS_SECONDS:-60}"
        export PORTCULLIS_CHAOS_REPORT="${PORTCULLIS_CHAOS_REPORT:-$PWD/chaos.md}"
        rm -f "$PORTCULLIS_CHAOS_REPORT"
        outcome=0
        cargo test --locked --test suite -- --include-ignored --test-threads=1 chaos:: failover:: faults_ memory_returns:: ||
            outcome=$?
        cat "$PORTCULLIS_CHAOS_REPORT"
        [ "$outcome" -eq 0 ] || exit "$outcome"
        ;;
    *)
        echo "scripts/test.sh: no part named '$part'; there are rust, clients and chaos" >&2
        exit 2
        ;;
    esac
done
