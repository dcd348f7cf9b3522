#!/usr/bin/env bash
# uninstall.sh PREFIX [DESTDIR]: removes the files that install.sh installs below PREFIX, and nothing
# else. Directories stay, because other programs may use them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/installed.sh
. scripts/installed.sh

[ $# -ge 1 ] || fail "usage: uninstall.sh PREFIX [DESTDIR]"
prefix=${2:-}$1
for file in "$PROGRAM" "$BASH_SCRIPT" "$ZSH_SCRIPT" "$FISH_SCRIPT"; do
    rm -f "$prefix/$file"
done
remove_pages "$prefix"
