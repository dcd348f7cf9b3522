#!/usr/bin/env bash
# Checks formatting and lints, and runs all tests, including those on real engines. Installs the
# programs that the tests need, if possible.
#
# All tests run once, on the machine's engine. Those whose results can depend on the engine or the
# image store (the profile `engine` in .config/nextest.toml) run again on Docker 28 with each store,
# which this script starts (scripts/docker28.sh). The end of the output lists skipped tests and why.
#
# LAYERS_TEST_NO_ENGINE=1 skips the tests that need an engine. Without it, a missing engine is an
# error, because tests that did not run must not look like tests that passed. LAYERS_TEST_ONE_ENGINE=1
# skips the runs on Docker 28. LAYERS_TEST_NO_BROWSER=1 skips the tests that need a browser.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# The numbers of kills and edits in the random tests on each additional engine, unless the environment
# sets them for all engines.
ADDITIONAL_KILLS=10
ADDITIONAL_EDITS=20

# The directory of the additional engines. Its name contains the process id, so that a later run can stop
# the engines that a killed run left behind.
ENGINES=/var/tmp/layers-docker28-test
engines=$ENGINES-$$
notes=$(mktemp -d)
status=0

# Stops the additional engines, also after a failure or Ctrl-C.
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM HUP
    if [ -d "$engines" ]; then
        scripts/docker28.sh stop "$engines"
    fi
    rm -rf "$notes"
}
trap clean_up EXIT
trap 'clean_up; exit 130' INT
trap 'clean_up; exit 143' TERM HUP

# skip TESTS REASON: prints that the tests are skipped, now and in the list at the end.
skip() {
    echo "skipped: $1: $2"
    echo "$1: $2" >>"$notes/skipped"
}

# describe_engine: prints the version and the image store of the engine that the environment selects.
describe_engine() {
    docker info --format 'Docker {{.ServerVersion}} ({{if and .DriverStatus (eq (index .DriverStatus 0 0) "driver-type")}}containerd{{else}}classic{{end}} image store, {{.Driver}})'
}

# read_results FILE NAME: prints the counts in the JUnit file of a run, and lists its failed tests, with the
# start of their messages, and its skipped ones, each of which prints `skipped: REASON`.
read_results() {
    awk -v name="$2" -v skipped_file="$notes/skipped" -v failed_file="$notes/failed" '
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
        sub(/^ *<(failure|error) [^>]*>/, "") { print test ", on " name ":" >>failed_file; lines = 30 }
        /^stack backtrace:|<\/(failure|error)>/ { lines = 0 }
        lines-- > 0 { print "    " decoded(substr($0, 1, 300)) >>failed_file }
        match($0, /(^|>)skipped: /) {
            reason = substr($0, RSTART + RLENGTH)
            sub(/<\/system-(out|err)>.*/, "", reason)
            print test ", on " name ": " decoded(reason) >>skipped_file
            if (!(test in seen)) { seen[test]; skipped++ }
        }
        END {
            printf "tests on %s: %d passed, %d failed, %d skipped\n", name, tests - failed - skipped, failed, skipped
        }' "$1"
}

# run_tests PROFILE: runs tests on the engine that the environment selects.
run_tests() {
    # Relative to the root of the repository, whatever the target directory is.
    local results=target/nextest/$1/junit.xml name
    name="this machine, without an engine"
    [ -n "${LAYERS_TEST_NO_ENGINE:-}" ] || name=$(describe_engine)
    heading "Tests on $name"
    rm -f "$results"
    cargo nextest run --locked --no-fail-fast --profile "$1" || status=1
    [ -e "$results" ] || fail "the tests did not run on $name"
    read_results "$results" "$name"
}

# Prints why the additional engines cannot run, or nothing if they can.
reason_for_one_engine() {
    if [ -n "${LAYERS_TEST_NO_ENGINE:-}" ]; then
        echo "LAYERS_TEST_NO_ENGINE is set"
    elif [ -n "${LAYERS_TEST_ONE_ENGINE:-}" ]; then
        echo "LAYERS_TEST_ONE_ENGINE is set"
    elif ! have cargo-nextest; then
        echo "cargo-nextest, which selects the tests, is not installed"
    elif ! can_apt || ! grep -qx 'ID=debian' /etc/os-release; then
        echo "it requires root on Debian"
    fi
}

# use_engine STORE: selects an additional engine in the environment.
use_engine() {
    local variables
    variables=$(scripts/docker28.sh env "$1" "$engines")
    eval "$variables"
}

# Runs the tests of the profile `engine` on Docker 28 with each store.
test_additional_engines() {
    local reason store leftover
    for leftover in "$ENGINES"-*; do
        if [ -d "$leftover" ] && ! kill -0 "${leftover##*-}" 2>/dev/null; then
            echo "stopping the engines of a killed run: $leftover"
            scripts/docker28.sh stop "$leftover"
        fi
    done
    heading "Docker 28 with both image stores"
    reason=$(reason_for_one_engine)
    if [ -z "$reason" ] && ! scripts/docker28.sh start "$engines"; then
        # In CI, half of the tests would be missing.
        [ -z "${CI:-}" ] || fail "Docker 28 did not start"
        reason="it did not start"
    fi
    if [ -n "$reason" ]; then
        skip "all tests on Docker 28" "$reason"
        return
    fi
    for store in classic containerd; do
        # The base image of the example is pulled or created only once, for all engines.
        docker image save debian:bookworm-slim | (use_engine "$store" && docker image load --quiet)
        # A subshell, so that each engine's variables are separate.
        (
            use_engine "$store"
            export LAYERS_KILLS=${LAYERS_KILLS:-$ADDITIONAL_KILLS} LAYERS_EDITS=${LAYERS_EDITS:-$ADDITIONAL_EDITS}
            run_tests engine
            exit "$status"
        ) || status=1
    done
}

# Lists the tests that failed in the runs above. Their complete output is far up.
print_failed() {
    if [ -s "$notes/failed" ]; then
        heading "Failed"
        cat "$notes/failed"
    fi
}

# Lists the tests that the runs above skipped.
print_skipped() {
    heading "Skipped"
    if [ -s "$notes/skipped" ]; then
        cat "$notes/skipped"
    else
        echo "none"
    fi
}

heading "Test dependencies"
need_rust
need git git
need busybox busybox-static
need dot graphviz
need tar tar
need ssh-agent openssh-client
# Shells for completions, formatters for manual pages, and programs that examples in the guide call.
want zsh zsh
want fish fish
want groff groff-base
want mandoc mandoc
want jq jq
if [ -n "${LAYERS_TEST_NO_BROWSER:-}" ]; then
    echo "LAYERS_TEST_NO_BROWSER is set: skipping the tests that need a browser"
else
    need chromium chromium
    need chromedriver chromium-driver
fi
if [ -n "${LAYERS_TEST_NO_ENGINE:-}" ]; then
    echo "LAYERS_TEST_NO_ENGINE is set: skipping the tests that need an engine"
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
print_skipped
print_failed
exit "$status"
