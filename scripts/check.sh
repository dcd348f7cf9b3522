#!/usr/bin/env bash
# Checks formatting and lints, and runs the fast tests, which need no engine, registry, or browser (the
# profile `check` in .config/nextest.toml). Installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

scripts/lint.sh
have cargo-nextest || fail "\`cargo-nextest\` is not installed" "install it, or run \`make test\`"

heading "Tests"
status=0
cargo nextest run --locked --no-fail-fast --profile check || status=$?

heading "Skipped"
sed -n 's/^# skipped: //p' .config/nextest.toml
echo "\`make test\` runs all of them"
exit "$status"
