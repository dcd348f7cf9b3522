# shellcheck shell=bash disable=SC2034
# Where things lie once they are installed, below PREFIX. It is sourced, never run.

PROGRAM=bin/layers
BASH_SCRIPT=share/bash-completion/completions/layers
ZSH_SCRIPT=share/zsh/site-functions/_layers
FISH_SCRIPT=share/fish/vendor_completions.d/layers.fish
MAN=share/man/man1

# remove_pages PREFIX: removes the manual pages, those of older versions too. A page is ours by its
# name and by its first line, which says of which program it is.
remove_pages() {
    local page
    for page in "$1/$MAN"/layers.1 "$1/$MAN"/layers-*.1; do
        if [ -f "$page" ] && head -n 1 "$page" | grep -q '^\.TH LAYERS.* "layers [0-9]'; then
            rm -f "$page"
        fi
    done
}
