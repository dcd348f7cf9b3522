#!/usr/bin/env bash
# Format and lints: of the program always, of dependencies and scripts where the tools are there.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# component PROGRAM NAME: a part of the Rust toolchain.
component() {
    if ! have "$1"; then
        have rustup || fail "\`$1\` is not installed" "it is the component $2 of the Rust toolchain"
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
    # Advisories need a database from the network; these need nothing but the lock file.
    cargo deny --log-level error check bans licenses sources
else
    echo "left out: cargo-deny is not installed (cargo install cargo-deny)"
fi

heading "Spelling"
if have codespell; then
    # The words in spelling.txt are names, or misspelled on purpose.
    codespell --builtin clear,rare,en-GB_to_en-US --ignore-words scripts/spelling.txt \
        --ignore-regex 'image-cancelled|Code::Cancelled' \
        src tests docs benches scripts docker .ci ./*.md action.yml Makefile ||
        fail "words are misspelled" "names can be added to scripts/spelling.txt"
    echo "ok"
else
    echo "left out: codespell is not installed"
fi

heading "Scripts"
if have shellcheck; then
    # The paths after `source=` are seen from the top of the repository.
    shellcheck --external-sources .ci/run scripts/*.sh benches/*.sh docker/*/*.sh
    echo "ok"
else
    echo "left out: shellcheck is not installed"
fi
