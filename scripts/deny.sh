#!/usr/bin/env bash
# Checks the dependencies against deny.toml with a cargo-deny of its own, in .tools.
# The advisory database is fetched from the network; where that can't be reached, only that part is left out, and said so.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
root="$PWD/.tools/cargo-deny-$version"
deny="$root/bin/cargo-deny"

if [ ! -x "$deny" ]; then
    mkdir -p .tools
    printf '*\n' >.tools/.gitignore
    echo "installing cargo-deny $version into .tools (once)"
    # Unoptimised: it builds in a fraction of the time, and one run takes seconds.
    CARGO_TARGET_DIR="$root/target" cargo install --quiet --locked --debug --version "$version" --root "$root" cargo-deny
    rm -rf "$root/target"
fi

"$deny" --locked --all-features check bans licenses sources

if timeout 120 "$deny" fetch db >/dev/null 2>&1; then
    "$deny" --locked --all-features check --disable-fetch advisories
else
    echo "advisories: NOT CHECKED, the advisory database can't be reached from here"
fi
