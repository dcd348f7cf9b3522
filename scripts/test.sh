#!/usr/bin/env bash
# Format, lints and every test, those on real engines included. Installs what the tests need where
# that is possible.
#
# All tests run once, on the machine's engine. Those that can differ by engine or image store (the
# profile `engine` of .config/nextest.toml) run again on Docker 28 with each store, which is started
# for them (scripts/docker28.sh). What is left out is printed at the end with the reason.
#
# LAYERS_TEST_NO_ENGINE=1 leaves out the tests that need an engine; without it, no engine is a
# failure: tests that did not run must not look like tests that passed. LAYERS_TEST_ONE_ENGINE=1 leaves
# out the runs on Docker 28, LAYERS_TEST_NO_BROWSER=1 the tests that need a browser.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# How many kills and edits the random tests do on each additional engine, unless it is set for all.
MORE_KILLS=10
MORE_EDITS=20

# Where this process keeps its additional engines. The name has its id, so that a later run can end what
# a killed one left running.
ENGINES=/var/tmp/layers-docker28-test
engines=$ENGINES-$$
notes=$(mktemp -d)
status=0

# Ends what was started, also after a failure or Ctrl-C.
# shellcheck disable=SC2317 # the traps call it
end() {
    trap - EXIT INT TERM HUP
    if [ -d "$engines" ]; then
        scripts/docker28.sh stop "$engines"
    fi
    rm -rf "$notes"
}
trap end EXIT
trap 'end; exit 130' INT
trap 'end; exit 143' TERM HUP

# leave_out WHAT WHY: says it now and in the list at the end.
leave_out() {
    echo "left out: $1: $2"
    echo "$1: $2" >>"$notes/left-out"
}

# describe_engine: the engine of the environment, with its version and image store.
describe_engine() {
    docker info --format 'Docker {{.ServerVersion}} ({{if and .DriverStatus (eq (index .DriverStatus 0 0) "driver-type")}}containerd{{else}}classic{{end}} image store, {{.Driver}})'
}

# read_results FILE NAME: the counts of a run by its JUnit file, and the tests that left themselves
# out, each of which says `skipped: REASON`.
read_results() {
    awk -v name="$2" -v left_out="$notes/left-out" '
        function attribute(key,    found) {
            found = match($0, " " key "=\"[^\"]*\"")
            return found ? decoded(substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4)) : ""
        }
        function decoded(text) {
            gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text)
            gsub(/&apos;/, "\047", text); gsub(/&amp;/, "\\&", text)
            return text
        }
        /<testsuites / { tests = attribute("tests"); failed = attribute("failures") + attribute("errors") }
        /<testcase / { test = attribute("classname") " " attribute("name") }
        match($0, /(^|>)skipped: /) {
            reason = substr($0, RSTART + RLENGTH)
            sub(/<\/system-(out|err)>.*/, "", reason)
            print test ", on " name ": " decoded(reason) >>left_out
            if (!(test in seen)) { seen[test]; skipped++ }
        }
        END {
            printf "tests on %s: %d passed, %d failed, %d skipped\n", name, tests - failed - skipped, failed, skipped
        }' "$1"
}

# run_tests PROFILE: on the engine of the environment.
run_tests() {
    # Seen from the top of the repository, wherever what is compiled goes.
    local results=target/nextest/$1/junit.xml name
    name="the machine, without an engine"
    [ -n "${LAYERS_TEST_NO_ENGINE:-}" ] || name=$(describe_engine)
    heading "Tests on $name"
    rm -f "$results"
    cargo nextest run --locked --no-fail-fast --profile "$1" || status=1
    [ -e "$results" ] || fail "the tests did not run on $name"
    read_results "$results" "$name"
}

# Why no additional engine can be had; nothing where one can.
why_one_engine() {
    if [ -n "${LAYERS_TEST_NO_ENGINE:-}" ]; then
        echo "LAYERS_TEST_NO_ENGINE is set"
    elif [ -n "${LAYERS_TEST_ONE_ENGINE:-}" ]; then
        echo "LAYERS_TEST_ONE_ENGINE is set"
    elif ! have cargo-nextest; then
        echo "cargo-nextest, which chooses the tests, is not installed"
    elif ! can_apt || ! grep -qx 'ID=debian' /etc/os-release; then
        echo "it takes root on Debian"
    fi
}

# use_engine STORE: makes an additional engine that of the environment.
use_engine() {
    local variables
    variables=$(scripts/docker28.sh env "$1" "$engines")
    eval "$variables"
}

# The tests that can differ, on each store of Docker 28.
test_additional_engines() {
    local why store left
    for left in "$ENGINES"-*; do
        if [ -d "$left" ] && ! kill -0 "${left##*-}" 2>/dev/null; then
            echo "ending the engines of a run that was killed: $left"
            scripts/docker28.sh stop "$left"
        fi
    done
    heading "Docker 28 with both image stores"
    why=$(why_one_engine)
    if [ -z "$why" ] && ! scripts/docker28.sh start "$engines"; then
        # A machine of CI can run it; if it does not, half of what is tested is missing.
        [ -z "${CI:-}" ] || fail "Docker 28 did not start"
        why="it did not start"
    fi
    if [ -n "$why" ]; then
        leave_out "all tests on Docker 28 with either image store" "$why"
        return
    fi
    for store in classic containerd; do
        # What the example starts from is made once for all engines.
        docker image save debian:bookworm-slim | (use_engine "$store" && docker image load --quiet)
        # Each engine's variables stay in a shell of their own.
        (
            use_engine "$store"
            export LAYERS_KILLS=${LAYERS_KILLS:-$MORE_KILLS} LAYERS_EDITS=${LAYERS_EDITS:-$MORE_EDITS}
            run_tests engine
            exit "$status"
        ) || status=1
    done
}

# Everything that is known to be missing from the runs above.
print_left_out() {
    heading "Left out"
    if [ -s "$notes/left-out" ]; then
        cat "$notes/left-out"
    else
        echo "nothing"
    fi
}

heading "What the tests need"
need_rust
need git git
need busybox busybox-static
need dot graphviz
need tar tar
need ssh-agent openssh-client
# Shells whose completions are tried, formatters of manual pages, and what examples of the guide call.
want zsh zsh
want fish fish
want groff groff-base
want mandoc mandoc
want jq jq
if [ -n "${LAYERS_TEST_NO_BROWSER:-}" ]; then
    echo "LAYERS_TEST_NO_BROWSER is set: tests in a browser are left out"
else
    need chromium chromium
    need chromedriver chromium-driver
fi
if [ -n "${LAYERS_TEST_NO_ENGINE:-}" ]; then
    echo "LAYERS_TEST_NO_ENGINE is set: tests on the real engine are left out"
else
    scripts/engine.sh
    need mmdebstrap mmdebstrap
    need docker-registry docker-registry
    need ip iproute2
    scripts/external-images.sh
fi

scripts/lint.sh

if have cargo-nextest; then
    run_tests default
else
    heading "Tests"
    echo "cargo-nextest is not installed: running \`cargo test\`"
    cargo test --locked --no-fail-fast || status=1
fi
test_additional_engines
print_left_out
exit "$status"
