#!/usr/bin/env bash
# install.sh PROGRAM PREFIX [DESTDIR]: installs the program, its manual pages, and its completions
# below PREFIX. DESTDIR is prepended to all paths, for packages; no installed file contains it.
# scripts/installed.sh defines the paths.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/installed.sh
. scripts/installed.sh

[ $# -ge 2 ] || fail "usage: install.sh PROGRAM PREFIX [DESTDIR]"
program=$1
prefix=${3:-}$2
[ -x "$program" ] || fail "\`$program\` is not an executable file" "make build"

# If the program fails to generate a file, nothing is installed.
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
"$program" man "$staging/man1"
for shell in bash zsh fish; do
    "$program" completions "$shell" >"$staging/$shell"
done

install_file() { # MODE FROM TO
    install -d "$(dirname "$prefix/$3")"
    install -m "$1" "$2" "$prefix/$3"
    echo "$prefix/$3"
}

# Otherwise the page of a removed command would stay forever.
remove_pages "$prefix"
install_file 755 "$program" "$PROGRAM"
install_file 644 "$staging/bash" "$BASH_SCRIPT"
install_file 644 "$staging/zsh" "$ZSH_SCRIPT"
install_file 644 "$staging/fish" "$FISH_SCRIPT"
for page in "$staging"/man1/*.1; do
    install_file 644 "$page" "$MAN/$(basename "$page")"
done
