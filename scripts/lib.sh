# shellcheck shell=bash
# Functions that the other scripts share: headings, errors with a hint, and packages from apt.
# Source this file; do not run it.

# heading TEXT: prints a heading.
heading() {
    printf '\n== %s\n' "$*"
}

# fail MESSAGE [HINT]: prints an error and exits.
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then
        printf 'hint: %s\n' "$2" >&2
    fi
    exit 1
}

# have PROGRAM: returns whether the program is in PATH.
have() {
    command -v "$1" >/dev/null 2>&1
}

# can_apt: returns whether packages can be installed, which requires root on Debian or Ubuntu.
can_apt() {
    [ "$(id -u)" = 0 ] && have apt-get && [ -e /etc/debian_version ]
}

# apt_update: updates the package lists, once for this script and all scripts that it starts.
apt_update() {
    if [ -z "${LAYERS_APT_UPDATED:-}" ]; then
        apt-get update -qq || fail "\`apt-get update\` failed"
        export LAYERS_APT_UPDATED=1
    fi
}

# apt_install PACKAGE...: installs packages without prompts.
apt_install() {
    echo "installing $*"
    # Old lists can name packages that no longer exist, so update them only if installing fails.
    if ! apt_try_install "$@" >/dev/null 2>&1; then
        apt_update
        apt_try_install "$@" || fail "failed to install packages: $*"
    fi
}

apt_try_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" </dev/null
}

# need PROGRAM PACKAGE: installs the package if the program is missing. If that is not possible,
# fails with a hint.
need() {
    if have "$1"; then
        return
    fi
    can_apt || fail "\`$1\` is not installed" "install it; on Debian and Ubuntu, the package is $2"
    apt_install "$2"
    have "$1" || fail "the package $2 does not contain \`$1\`"
}

# want PROGRAM PACKAGE: like need, but prints a note instead of failing.
want() {
    if ! have "$1" && can_apt; then
        apt_install "$2"
    fi
    have "$1" || echo "\`$1\` is not installed: skipping the tests that use it"
}

# need_rust: fails if there is no Rust toolchain. Never installs one, because how to install Rust is
# the user's choice. Installs a C compiler if it is missing.
need_rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        export PATH
    fi
    have cargo || fail "\`cargo\` is not installed" "install Rust from https://rustup.rs"
    if ! have cc; then
        can_apt || fail "Rust needs a C compiler for linking, and none is installed" "install gcc or clang"
        apt_install gcc libc6-dev
    fi
}
