#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET...]]: fuzzes the targets, two in parallel, by default all of them for 60
# seconds per target.
#
# Inputs that fail are saved in fuzz/artifacts/, and the script fails with the names of their targets.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

need_rust
have cargo-fuzz || fail "\`cargo-fuzz\` is not installed" "cargo install cargo-fuzz --locked"
have c++ || fail "libFuzzer needs a C++ compiler, and none is installed" "install g++ or clang"

seconds=${1:-60}
if [ $# -gt 0 ]; then shift; fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    targets=(parse expand ignore pipeline)
fi
case $seconds in
    '' | *[!0-9]*) fail "\`$seconds\` is not a valid number of seconds" ;;
esac

# cargo-fuzz passes unstable flags, which a stable compiler accepts only with this variable.
export RUSTC_BOOTSTRAP=1
heading "Compiling the targets"
cargo fuzz build -s none

# seed TARGET: writes the initial corpus: the repository's own files and the test cases.
seed() {
    local corpus="fuzz/corpus/$1"
    mkdir -p "$corpus"
    case $1 in
        parse | pipeline)
            local file
            for file in docker/*/Dockerfile; do
                cp "$file" "$corpus/$(basename "$(dirname "$file")")"
            done
            # Each test case contains a Dockerfile as a JSON string.
            local number=0 text
            while IFS= read -r text; do
                text=${text#*: \"}
                number=$((number + 1))
                printf '%b' "${text%\"}" >"$corpus/case$number"
            done < <(grep -oE '"dockerfile": "([^"\\]|\\.)*"' tests/cases/dockerfile.json)
            ;;
        ignore) printf '*\n!a/**/b\n**/[a-c]?\n!c\0a/x/b\0c/d\0b/ca' >"$corpus/first" ;;
        expand)
            # shellcheck disable=SC2016 # the fuzz target expands the variables
            printf '"a${A:-${B}c}"$C${D##*/}${E/x/y}\none\ntwo\n\na/b\nxx' >"$corpus/first"
            ;;
    esac
}

# fuzz TARGET: fuzzes one target and writes the output to a log.
fuzz() {
    seed "$1"
    # Fuzzing is not urgent, so other processes get the CPU first.
    nice cargo fuzz run -s none "$1" -- -max_total_time="$seconds" -timeout=10 \
        -max_len=4096 -dict=fuzz/dockerfile.dict -print_final_stats=1 >"fuzz/target/$1.log" 2>&1
}

heading "Fuzzing ${targets[*]}, $seconds seconds per target"
failed=()
for ((at = 0; at < ${#targets[@]}; at += 2)); do
    pids=()
    for target in "${targets[@]:at:2}"; do
        fuzz "$target" &
        pids+=("$!:$target")
    done
    for pair in "${pids[@]}"; do
        target=${pair#*:}
        if wait "${pair%%:*}"; then
            runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "fuzz/target/$target.log")
            echo "$target: $runs executions, no failures"
        else
            failed+=("$target")
            tail -n 30 "fuzz/target/$target.log" >&2
        fi
    done
done
[ ${#failed[@]} = 0 ] || fail "failures in ${failed[*]}; the inputs are in fuzz/artifacts/" \
    "minimize an input with \`cargo fuzz tmin TARGET INPUT\`, then add it as a unit test"
