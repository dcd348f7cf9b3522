#!/usr/bin/env bash
# Demonstrates the program with the example in docker/: builds all images, draws their graph, and
# builds them again to show that they are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

layers=${CARGO_TARGET_DIR:-target}/release/layers

# measure VARIABLE COMMAND...: runs the command and stores its duration in the variable.
measure() {
    local -n result=$1
    shift
    local begin=${EPOCHREALTIME//[!0-9]/} end
    printf '$ %s\n' "$*"
    "$@" || fail "\`$*\` failed with exit code $?"
    end=${EPOCHREALTIME//[!0-9]/}
    # shellcheck disable=SC2034 # the caller's variable
    result=$(awk -v us=$((end - begin)) 'BEGIN { printf "%.1f s", us / 1e6 }')
}

heading "1. Docker engine"
scripts/engine.sh

heading "2. The base image of the example"
scripts/external-images.sh

heading "3. Compile layers"
scripts/build.sh

heading "4. Build everything"
measure first_build "$layers" build --all

heading "5. The graph of the images"
measure graph "$layers" graph

heading "6. Build everything again"
measure second_build "$layers" build --all

heading "Done"
# shellcheck disable=SC2154 # set by measure
printf 'first build   %s\nsecond build  %s\n' "$first_build" "$second_build"
echo "try: docker run --rm -p 8000:8000 acme/shop-release, then open http://localhost:8000"
