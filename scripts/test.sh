#!/usr/bin/env bash
# Format, lints and every test, those on the real engine included. Installs what the tests need
# where that is possible.
#
# LAYERS_TEST_NO_ENGINE=1 leaves out the tests that need an engine; without it, no engine is a
# failure: tests that did not run must not look like tests that passed. LAYERS_TEST_NO_BROWSER=1 leaves out
# those that need a browser.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

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
    scripts/external-images.sh
fi

scripts/lint.sh

heading "Tests"
if have cargo-nextest; then
    cargo nextest run --locked --no-fail-fast
else
    echo "cargo-nextest is not installed: running \`cargo test\`"
    cargo test --locked --no-fail-fast
fi
