#!/usr/bin/env bash
# Runs one benchmark after the other, or those that are named: `benches/run.sh [NAME...]`.
set -euo pipefail
cd "$(dirname "$0")/.."

names=("$@")
if [ ${#names[@]} = 0 ]; then
    names=(scan context per_image fresh)
fi
for name in "${names[@]}"; do
    printf '\n== %s\n' "$name"
    cargo bench --locked --quiet --bench "$name"
done
