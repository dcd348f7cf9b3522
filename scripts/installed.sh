# shellcheck shell=bash disable=SC2034
# The paths of the installed files, relative to PREFIX. Source this file; do not run it.

PROGRAM=bin/layers
BASH_SCRIPT=share/bash-completion/completions/layers
ZSH_SCRIPT=share/zsh/site-functions/_layers
FISH_SCRIPT=share/fish/vendor_completions.d/layers.fish
MAN=share/man/man1

# remove_pages PREFIX: removes the manual pages, including those of older versions. Pages of other
# programs can have similar names, so the first line of a page must name this program.
remove_pages() {
    local page
    for page in "$1/$MAN"/layers.1 "$1/$MAN"/layers-*.1; do
        if [ -f "$page" ] && head -n 1 "$page" | grep -q '^\.TH LAYERS.* "layers [0-9]'; then
            rm -f "$page"
        fi
    done
}
