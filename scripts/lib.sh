# shellcheck shell=bash
# What the other scripts share: headings, failures with a hint, and packages from apt.
# It is sourced, never run.

# heading TEXT: says what follows.
heading() {
    printf '\n== %s\n' "$*"
}

# fail MESSAGE [HINT]: says why nothing more can be done, and ends the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then
        printf 'hint: %s\n' "$2" >&2
    fi
    exit 1
}

# have PROGRAM: whether it is on the path.
have() {
    command -v "$1" >/dev/null 2>&1
}

# can_apt: whether packages may be installed here: as root on Debian or Ubuntu.
can_apt() {
    [ "$(id -u)" = 0 ] && have apt-get && [ -e /etc/debian_version ]
}

# apt_update: refreshes the package lists, once for this script and all that it starts.
apt_update() {
    if [ -z "${LAYERS_APT_UPDATED:-}" ]; then
        apt-get update -qq || fail "\`apt-get update\` failed"
        export LAYERS_APT_UPDATED=1
    fi
}

# apt_install PACKAGE...: installs them without asking anything.
apt_install() {
    echo "installing $*"
    # Lists that were fetched long ago name packages that are gone; then, and only then, fetch them.
    if ! apt_try_install "$@" >/dev/null 2>&1; then
        apt_update
        apt_try_install "$@" || fail "these packages could not be installed: $*"
    fi
}

apt_try_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" </dev/null
}

# need PROGRAM PACKAGE: installs the package where the program is missing; where that is not
# possible, says what to install.
need() {
    if have "$1"; then
        return
    fi
    can_apt || fail "\`$1\` is not installed" "install it; on Debian and Ubuntu it is in the package $2"
    apt_install "$2"
    have "$1" || fail "the package $2 brought no \`$1\`"
}

# want PROGRAM PACKAGE: as need, but where it is not possible the tests that use it are left out.
want() {
    if ! have "$1" && can_apt; then
        apt_install "$2"
    fi
    have "$1" || echo "\`$1\` is not installed: the tests that use it are left out"
}

# need_rust: a Rust toolchain is there, with a linker for it. It is never installed here: how Rust
# gets onto a machine is its owner's choice.
need_rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        export PATH
    fi
    have cargo || fail "\`cargo\` is not installed" "get Rust from https://rustup.rs"
    if ! have cc; then
        can_apt || fail "there is no C compiler, which Rust links with" "install gcc or clang"
        apt_install gcc libc6-dev
    fi
}
