#!/usr/bin/env bash
# Format, lints, and the tests of daily work: those that need no engine, registry, or browser and take
# little time (profile `check` of .config/nextest.toml). Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

scripts/lint.sh
have cargo-nextest || fail "\`cargo-nextest\` is not installed" "install it, or run \`make test\`"

heading "Tests"
status=0
cargo nextest run --locked --no-fail-fast --profile check || status=$?

heading "Left out"
sed -n 's/^# left out: //p' .config/nextest.toml
echo "\`make test\` runs all of these"
exit "$status"
