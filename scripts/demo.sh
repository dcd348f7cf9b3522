#!/usr/bin/env bash
# Shows what the program does, on the example in docker/: builds all of it, draws its graph, and
# builds it again to show that nothing is left to do.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

layers=${CARGO_TARGET_DIR:-target}/release/layers

# timed NAME COMMAND...: runs it, and leaves how long it took in the variable.
timed() {
    local -n result=$1
    shift
    local begin=${EPOCHREALTIME//[!0-9]/} end
    printf '$ %s\n' "$*"
    "$@" || fail "\`$*\` failed with exit code $?"
    end=${EPOCHREALTIME//[!0-9]/}
    # shellcheck disable=SC2034 # the caller's variable
    result=$(awk -v us=$((end - begin)) 'BEGIN { printf "%.1f s", us / 1e6 }')
}

heading "1. An engine that answers"
scripts/engine.sh

heading "2. The image that the example starts from"
scripts/external-images.sh

heading "3. The program"
scripts/build.sh

heading "4. Build everything"
timed first "$layers" build --all

heading "5. The graph that was read out of the Dockerfiles"
timed drawn "$layers" graph

heading "6. Build everything again"
timed second "$layers" build --all

heading "Done"
# shellcheck disable=SC2154 # set by timed
printf 'first build   %s\nsecond build  %s\n' "$first" "$second"
echo "try: docker run --rm -p 8000:8000 acme/shop-release, then open http://localhost:8000"
