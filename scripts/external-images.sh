#!/usr/bin/env bash
# Makes sure that the engine has the image that the example starts from, debian:bookworm-slim:
# takes the one that is there, else pulls it, else (where no registry can be reached) makes it out
# of Debian's packages.
#
# Images made here get the machine's own apt sources and settings, so that `apt-get` works in
# containers wherever it works on the machine. They are for this machine only: don't push them.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

reference=debian:bookworm-slim
release=bookworm

# Where no registry can be reached, a pull may hang instead of failing.
pull_seconds=${LAYERS_PULL_SECONDS:-120}

present() {
    docker image inspect "$reference" >/dev/null 2>&1
}

# Lines for sources.list: what this machine's apt knows of the release, whatever file and form it
# is written in. Nothing where the machine runs another distribution or release.
machine_sources() {
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' |
        awk -v release="$release" '
            $1 == release || $1 == release "-updates" || $1 == release "-security" {
                print "deb", $2, $3, $4
            }' | sort -u
}

# The settings of this machine's apt without which it would not reach its sources.
machine_settings() {
    apt-config dump --format '%F "%v";%n' Acquire |
        grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|https?::(Proxy|Timeout)(::[^ ]*)?) "[^"]+"' || :
    # apt takes the proxy from the environment too; a container has another environment.
    local scheme proxy
    for scheme in http https; do
        proxy=${scheme}_proxy
        if [ -n "${!proxy:-}" ]; then
            printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "${!proxy}"
        fi
    done
}

# make_image DIRECTORY: from packages, by way of files in the directory.
make_image() {
    local sources=$1/sources.list settings=$1/settings archive=$1/root.tar
    need mmdebstrap mmdebstrap
    need gpg gpg
    machine_sources >"$sources"
    if [ ! -s "$sources" ]; then
        # An apt that has not fetched its lists yet can't tell whose they are.
        apt_update
        machine_sources >"$sources"
    fi
    machine_settings >"$settings"

    # As Debian's own slim image: no manuals, no translations, and no package kept once installed.
    local options=(
        --variant=minbase
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-include=/usr/share/doc/*/copyright'
        --aptopt='Acquire::Languages "none"'
        --aptopt="$settings"
        # A hook, not an option: mmdebstrap itself needs what it downloaded.
        --customize-hook="echo 'APT::Keep-Downloaded-Packages \"false\";' >\"\$1/etc/apt/apt.conf.d/keep-no-packages\""
    )
    if grep -q 'https://' "$sources"; then
        # Sources behind TLS want the authorities that this machine trusts.
        options+=(--include=ca-certificates)
        if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
            options+=(
                --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share'
                --customize-hook="chroot \"\$1\" update-ca-certificates"
            )
        fi
    fi

    # With a fixed date the same packages make the same image.
    local from=()
    if [ -s "$sources" ]; then
        from=("$sources")
    else
        # Another distribution: mmdebstrap knows where Debian lies, given Debian's keys.
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || apt_install debian-archive-keyring
    fi
    SOURCE_DATE_EPOCH=1700000000 mmdebstrap --quiet "${options[@]}" \
        "$release" "$archive" ${from[@]+"${from[@]}"} ||
        fail "mmdebstrap could not make $reference" \
            "where a registry can be reached, \`docker pull $reference\`"
    docker import --change 'CMD ["bash"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$archive" "$reference" >/dev/null
}

# Two runs at once would make it twice.
if have flock; then
    exec 9>"${TMPDIR:-/tmp}/layers-external-images.$(id -u).lock"
    flock 9
fi

if present; then
    echo "$reference is there"
    exit 0
fi
echo "pulling $reference"
if timeout "$pull_seconds" docker pull --quiet "$reference"; then
    exit 0
fi
can_apt || fail "$reference can't be pulled" \
    "as root on Debian or Ubuntu this script makes it from packages"
echo "no registry can be reached: making $reference from Debian's packages"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
make_image "$directory"
echo "$reference is made"
