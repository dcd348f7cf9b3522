#!/usr/bin/env bash
# Checks formatting and lints. Checks dependencies, spelling, and scripts if the tools are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# component PROGRAM NAME: adds a component of the Rust toolchain if its program is missing.
component() {
    if ! have "$1"; then
        have rustup || fail "\`$1\` is not installed" "install the component $2 of the Rust toolchain"
        rustup component add "$2"
    fi
}

need_rust
component rustfmt rustfmt
component cargo-clippy clippy

heading "Format"
cargo fmt --check || fail "the source is not formatted" "cargo fmt"
echo "ok"

heading "Lints"
cargo clippy --locked --all-targets -- -D warnings

heading "Dependencies"
if have cargo-deny; then
    # Not `advisories`, which downloads a database. The others only need the lock file.
    cargo deny --log-level error check bans licenses sources
else
    echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"
fi

heading "Spelling"
if have codespell; then
    # The words in spelling.txt are names, or are misspelled on purpose.
    codespell --builtin clear,rare,en-GB_to_en-US --ignore-words scripts/spelling.txt \
        --ignore-regex 'image-cancelled|Code::Cancelled' \
        src tests docs benches scripts docker .ci ./*.md action.yml Makefile ||
        fail "misspelled words found" "fix them, or add names to scripts/spelling.txt"
    echo "ok"
else
    echo "skipped: codespell is not installed"
fi

heading "Scripts"
if have shellcheck; then
    # The paths after `source=` are relative to the root of the repository.
    shellcheck --external-sources .ci/run scripts/*.sh benches/*.sh docker/*/*.sh
    echo "ok"
else
    echo "skipped: shellcheck is not installed"
fi
