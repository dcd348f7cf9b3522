#!/usr/bin/env bash
# run.sh [NAME...]: runs the named benchmarks, or the default ones.
set -euo pipefail
cd "$(dirname "$0")/.."

names=("$@")
if [ ${#names[@]} = 0 ]; then
    names=(scan reading per_image fresh)
fi
for name in "${names[@]}"; do
    printf '\n== %s\n' "$name"
    cargo bench --locked --quiet --bench "$name"
done
