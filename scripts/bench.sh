#!/usr/bin/env bash
# Runs the benchmarks on a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

[ -x benches/run.sh ] || fail "benches/run.sh not found"
scripts/engine.sh
scripts/external-images.sh
scripts/build.sh
exec benches/run.sh "$@"
