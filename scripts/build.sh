#!/usr/bin/env bash
# Compiles the program for release.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

need_rust
cargo build --release --locked
