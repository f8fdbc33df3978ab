#!/bin/sh
# A bounded run of every fuzz target over its corpus. FUZZ_RUNS: inputs for each. What a run finds is kept outside the
# repository, in fuzz/artifacts; new inputs that reach new code stay in fuzz/found until the corpus is made anew.
set -eu
cd "$(dirname "$0")/../fuzz"
for target in document client_id_url jwks assertion; do
    mkdir -p "found/$target"
    # Without the address sanitizer: there is no unsafe code to find faults in, and it runs ten times faster.
    cargo +nightly fuzz run --sanitizer none "$target" "found/$target" "corpus/$target" -- \
        -runs="${FUZZ_RUNS:-1000000}" -max_len=4096 -rss_limit_mb=1024 -print_final_stats=1
done
