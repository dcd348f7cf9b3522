#!/usr/bin/env bash
# Makes sure that the engine has debian:bookworm-slim, the base image of the example. If it is
# missing, pulls it. If the pull fails (because no registry is reachable), creates the image from
# Debian's packages.
#
# A created image contains the machine's apt sources and settings, so that `apt-get` works in
# containers if it works on the machine. It is for this machine only: do not push it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

reference=debian:bookworm-slim
release=bookworm

# If no registry is reachable, a pull may hang instead of failing.
pull_seconds=${LAYERS_PULL_SECONDS:-120}

has_image() {
    docker image inspect "$reference" >/dev/null 2>&1
}

# Prints this machine's apt sources of the release as lines for sources.list, whichever file and
# format they are in. Prints nothing if the machine runs another distribution or release.
machine_sources() {
    # shellcheck disable=SC2016 # apt expands the variables
    apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' |
        awk -v release="$release" '
            $1 == release || $1 == release "-updates" || $1 == release "-security" {
                print "deb", $2, $3, $4
            }' | sort -u
}

# Prints the settings that this machine's apt needs to reach its sources.
machine_settings() {
    apt-config dump --format '%F "%v";%n' Acquire |
        grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|https?::(Proxy|Timeout)(::[^ ]*)?) "[^"]+"' || :
    # apt also reads the proxy from the environment, which a container does not share.
    local scheme proxy
    for scheme in http https; do
        proxy=${scheme}_proxy
        if [ -n "${!proxy:-}" ]; then
            printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "${!proxy}"
        fi
    done
}

# create_image DIRECTORY: creates the image from packages, with temporary files in the directory.
create_image() {
    local sources=$1/sources.list settings=$1/settings archive=$1/root.tar
    need mmdebstrap mmdebstrap
    need gpg gpg
    machine_sources >"$sources"
    if [ ! -s "$sources" ]; then
        # Until its lists are downloaded, apt does not know that these sources are Debian's.
        apt_update
        machine_sources >"$sources"
    fi
    machine_settings >"$settings"

    # Like Debian's own slim image: no manuals, no translations, and no cached packages.
    local options=(
        --variant=minbase
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-include=/usr/share/doc/*/copyright'
        --aptopt='Acquire::Languages "none"'
        --aptopt="$settings"
        # A hook instead of an option, because mmdebstrap itself needs the downloaded packages.
        --customize-hook="echo 'APT::Keep-Downloaded-Packages \"false\";' >\"\$1/etc/apt/apt.conf.d/keep-no-packages\""
    )
    if grep -q 'https://' "$sources"; then
        # Sources that use TLS need the certificate authorities that this machine trusts.
        options+=(--include=ca-certificates)
        if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
            options+=(
                --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share'
                --customize-hook="chroot \"\$1\" update-ca-certificates"
            )
        fi
    fi

    # With a fixed date, the same packages result in the same image.
    local from=()
    if [ -s "$sources" ]; then
        from=("$sources")
    else
        # Another distribution: mmdebstrap knows Debian's mirrors and only needs Debian's keys.
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || apt_install debian-archive-keyring
    fi
    SOURCE_DATE_EPOCH=1700000000 mmdebstrap --quiet "${options[@]}" \
        "$release" "$archive" ${from[@]+"${from[@]}"} ||
        fail "mmdebstrap failed to create $reference" \
            "if a registry is reachable, run \`docker pull $reference\`"
    docker import --change 'CMD ["bash"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$archive" "$reference" >/dev/null
}

# Otherwise two parallel runs would both create the image.
if have flock; then
    exec 9>"${TMPDIR:-/tmp}/layers-external-images.$(id -u).lock"
    flock 9
fi

if has_image; then
    echo "$reference exists"
    exit 0
fi
echo "pulling $reference"
if timeout "$pull_seconds" docker pull --quiet "$reference"; then
    exit 0
fi
can_apt || fail "failed to pull $reference" \
    "run this script as root on Debian or Ubuntu to create the image from packages"
echo "the pull failed: creating $reference from Debian's packages"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
create_image "$directory"
echo "created $reference"
