#!/usr/bin/env bash
# action.sh locate|install|run: the steps of action.yml. What the action was given stands in ARCHIVE,
# SHA256 and ARGS; where things lie, in the variables that GitHub's runner sets.
set -euo pipefail

# fail MESSAGE HINT
fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

directory=${RUNNER_TEMP:?}/layers
sources=${GITHUB_ACTION_PATH:?}

# Says where the program will lie, and by what it is found again: by all that it is compiled from.
locate() {
    printf 'directory=%s\n' "$directory" >>"$GITHUB_OUTPUT"
    if [ -n "${ARCHIVE:-}" ]; then
        return
    fi
    [ -f "$sources/Cargo.lock" ] || fail "beside the action there are no sources of layers" \
        "give it \`archive\`, the address of a release"
    local sum
    sum=$(cd "$sources" && find Cargo.toml Cargo.lock src -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
    printf 'key=layers-%s-%s-%s\n' "$RUNNER_OS" "$RUNNER_ARCH" "${sum%% *}" >>"$GITHUB_OUTPUT"
}

# The program out of the archive.
unpack() {
    local made=$RUNNER_TEMP/layers-archive program
    rm -rf "$made"
    mkdir -p "$made/unpacked" "$directory/bin"
    case $ARCHIVE in
        https://*)
            curl --fail --silent --show-error --location --proto '=https' --retry 3 \
                --output "$made/archive" -- "$ARCHIVE" || fail "the archive can't be had" \
                "does the address open in a browser? $ARCHIVE"
            ;;
        *://*) fail "\`$ARCHIVE\` is no address of the kind that is taken" "use https://" ;;
        *) cp -- "$ARCHIVE" "$made/archive" || fail "there is no archive" "look for $ARCHIVE" ;;
    esac
    if [ -n "${SHA256:-}" ]; then
        printf '%s  %s\n' "$SHA256" "$made/archive" | sha256sum --check --status ||
            fail "the archive is not the one whose sum was given" "sha256sum says what it is"
    fi
    tar -x -z -f "$made/archive" -C "$made/unpacked"
    program=$(find "$made/unpacked" -type f -name layers | LC_ALL=C sort | head -n 1)
    [ -n "$program" ] || fail "there is no program \`layers\` in the archive" "tar -tzf lists it"
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

# Quotes are read as a shell does, and nothing else is.
run() {
    local words=$RUNNER_TEMP/layers-words arguments=()
    printf '%s\n' "${ARGS:-}" | xargs -r printf '%s\0' >"$words" ||
        fail "\`args\` can't be read" "close each quote on the line where it is opened"
    mapfile -d '' -t arguments <"$words"
    exec "$directory/bin/layers" "${arguments[@]}"
}

case ${1:-} in
    locate) locate ;;
    install) install_program ;;
    run) run ;;
    *) fail "\`${1:-}\` is no step" "locate, install, or run" ;;
esac
