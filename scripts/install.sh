#!/usr/bin/env bash
# install.sh PROGRAM PREFIX [DESTDIR]: puts the program, its manual pages and its completions below
# PREFIX. DESTDIR stands before all paths, for packages; nothing that is written names it.
# scripts/installed.sh says where things lie.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/installed.sh
. scripts/installed.sh

[ $# -ge 2 ] || fail "usage: install.sh PROGRAM PREFIX [DESTDIR]"
program=$1
prefix=${3:-}$2
[ -x "$program" ] || fail "\`$program\` is no program" "make build"

# What the program can't write must not be installed by halves.
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$program" man "$made/man1"
for shell in bash zsh fish; do
    "$program" completions "$shell" >"$made/$shell"
done

place() { # MODE FROM TO
    install -d "$(dirname "$prefix/$3")"
    install -m "$1" "$2" "$prefix/$3"
    echo "$prefix/$3"
}

# A page of a command that is gone would stay for ever.
remove_pages "$prefix"
place 755 "$program" "$PROGRAM"
place 644 "$made/bash" "$BASH_SCRIPT"
place 644 "$made/zsh" "$ZSH_SCRIPT"
place 644 "$made/fish" "$FISH_SCRIPT"
for page in "$made"/man1/*.1; do
    place 644 "$page" "$MAN/$(basename "$page")"
done
