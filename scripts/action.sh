#!/usr/bin/env bash
# action.sh locate|install|run: the steps of action.yml. The inputs are in ARCHIVE, SHA256, and ARGS;
# the paths are in the variables that GitHub's runner sets.
set -euo pipefail

# fail MESSAGE HINT
fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

directory=${RUNNER_TEMP:?}/layers
sources=${GITHUB_ACTION_PATH:?}

# Outputs the directory of the program and its cache key, which is a hash of all files that it is
# compiled from.
locate() {
    printf 'directory=%s\n' "$directory" >>"$GITHUB_OUTPUT"
    if [ -n "${ARCHIVE:-}" ]; then
        return
    fi
    [ -f "$sources/Cargo.lock" ] || fail "the sources of layers are not next to the action" \
        "set \`archive\` to the URL of a release"
    local sum
    sum=$(cd "$sources" && find Cargo.toml Cargo.lock src -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
    printf 'key=layers-%s-%s-%s\n' "$RUNNER_OS" "$RUNNER_ARCH" "${sum%% *}" >>"$GITHUB_OUTPUT"
}

# Installs the program from the archive.
unpack() {
    local staging=$RUNNER_TEMP/layers-archive program
    rm -rf "$staging"
    mkdir -p "$staging/unpacked" "$directory/bin"
    case $ARCHIVE in
        https://*)
            curl --fail --silent --show-error --location --proto '=https' --retry 3 \
                --output "$staging/archive" -- "$ARCHIVE" || fail "the archive cannot be downloaded" \
                "check that the URL opens in a browser: $ARCHIVE"
            ;;
        *://*) fail "\`$ARCHIVE\` is not a supported URL" "use https://" ;;
        *) cp -- "$ARCHIVE" "$staging/archive" || fail "archive not found" "check the path $ARCHIVE" ;;
    esac
    if [ -n "${SHA256:-}" ]; then
        printf '%s  %s\n' "$SHA256" "$staging/archive" | sha256sum --check --status ||
            fail "the checksum of the archive does not match \`sha256\`" \
                "compare it with the output of \`sha256sum\`"
    fi
    tar -x -z -f "$staging/archive" -C "$staging/unpacked"
    program=$(find "$staging/unpacked" -type f -name layers | LC_ALL=C sort | head -n 1)
    [ -n "$program" ] || fail "the archive does not contain the program \`layers\`" \
        "list its files with \`tar -tzf\`"
    install -m 755 "$program" "$directory/bin/layers"
}

install_program() {
    if [ -n "${ARCHIVE:-}" ]; then
        unpack
    elif [ ! -x "$directory/bin/layers" ]; then
        CARGO_TARGET_DIR=$RUNNER_TEMP/layers-target \
            cargo install --path "$sources" --locked --root "$directory"
    fi
    local version
    version=$("$directory/bin/layers" --version)
    printf 'version=%s\n' "$version" >>"$GITHUB_OUTPUT"
    printf '%s\n' "$directory/bin" >>"$GITHUB_PATH"
    printf '%s\n' "$version"
}

# Quotes work as in a shell. Nothing else has a special meaning.
run() {
    local file=$RUNNER_TEMP/layers-arguments arguments=()
    printf '%s\n' "${ARGS:-}" | xargs -r printf '%s\0' >"$file" ||
        fail "\`args\` is not valid" "close each quote on the line where it is opened"
    mapfile -d '' -t arguments <"$file"
    exec "$directory/bin/layers" "${arguments[@]}"
}

case ${1:-} in
    locate) locate ;;
    install) install_program ;;
    run) run ;;
    *) fail "unknown step \`${1:-}\`" "use locate, install, or run" ;;
esac
