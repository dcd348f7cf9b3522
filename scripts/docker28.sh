#!/usr/bin/env bash
# Two engines of Docker 28 beside the machine's own, one per image store, for tests: classic
# (overlay2) and containerd.
#
#   docker28.sh fetch [DIR]   downloads the programs; prints the directory that they are in
#   docker28.sh start [DIR]   starts both, or reuses those that run in DIR; prints STORE ADDRESS lines
#   docker28.sh stop [DIR]    stops what `start` started there, and removes all of its traces
#   docker28.sh env STORE [DIR]   prints exports for a shell: `eval "$(scripts/docker28.sh env containerd)"`
#
# DIR (by default /var/tmp/layers-docker28) has the stores, the sockets, and the logs. The programs
# come from a newer suite of Debian, through package lists of their own, and stay in
# LAYERS_DOCKER28_CACHE (by default ~/.cache/layers-docker28): nothing is installed, and neither
# the machine's engine nor its apt notices. Each engine has its own containerd and its own bridge,
# because a second daemon with the default bridge takes docker0 from the first. It takes root on
# Debian.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

MAJOR=28
PACKAGES=(docker.io docker-cli containerd docker-buildx docker-compose)
# In the order in which they are searched.
SUITES=(trixie-backports forky sid)
STORES=(classic containerd)
# How long a daemon may take to start or to end.
SECONDS_TO_WAIT=60

cache=${LAYERS_DOCKER28_CACHE:-$HOME/.cache/layers-docker28}
programs=$cache/root

# --- The programs

# What keeps the machine's package lists, archives, and sources out of it.
private_apt() {
    local lists=$cache/apt
    mkdir -p "$lists/lists/partial" "$lists/archives/partial" "$lists/none"
    APT_OPTIONS=(
        -o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::Etc::sourceparts=$lists/none"
        -o "Dir::Etc::preferences=$lists/none/file" -o "Dir::Etc::preferencesparts=$lists/none"
        -o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Retries=3
        # The user `_apt` may not read the cache of root.
        -o APT::Sandbox::User=root
    )
}

# The machine's mirror of Debian and what the machine trusts, as `deb [OPTIONS] URI`.
machine_mirror() {
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' \
        'Component: main' |
        awk -v keys="$keys" '
            $2 !~ /security/ && !found { found = 1; print "deb [signed-by=" keys "]", $1 }'
}

# version_in SUITE: the newest version of docker.io there, after its lists are fetched.
version_in() {
    local mirror
    mirror=$(machine_mirror)
    if [ -z "$mirror" ]; then
        # An apt that has not fetched its lists yet does not know whose they are.
        apt_update
        mirror=$(machine_mirror)
    fi
    [ -n "$mirror" ] || fail "no mirror of Debian in the machine's apt sources" \
        "\`apt-get indextargets\` lists them"
    printf '%s %s main\n' "$mirror" "$1" >"$cache/apt/sources.list"
    apt-get "${APT_OPTIONS[@]}" update -qq >"$cache/apt/log" 2>&1 || return 1
    apt-cache "${APT_OPTIONS[@]}" madison docker.io | awk 'NR == 1 { print $3 }'
}

# Downloads the newest Docker 28; where Debian has replaced it everywhere, what replaced it.
fetch() {
    can_apt || fail "Docker $MAJOR cannot be fetched" "as root on Debian it is fetched from a newer suite"
    mkdir -p "$cache"
    exec 8>"$cache/lock"
    flock 8
    # An older version of this script may have fetched fewer.
    [ "$(cat "$programs/packages" 2>/dev/null)" = "${PACKAGES[*]}" ] || fetch_version
    exec 8>&-
}

fetch_version() {
    private_apt
    local suite version='' newer=''
    for suite in "${SUITES[@]}"; do
        version=$(version_in "$suite") || version=''
        case $version in
            "$MAJOR".*) break ;;
        esac
        if [ -n "$version" ] && [ "${version%%.*}" -gt "$MAJOR" ]; then
            newer=$suite
        fi
        version=''
    done
    if [ -z "$version" ] && [ -n "$newer" ]; then
        suite=$newer
        version=$(version_in "$suite")
        echo "Debian's newer suites have no Docker $MAJOR: taking $version from $suite" >&2
    fi
    if [ -z "$version" ]; then
        cat "$cache/apt/log" >&2
        fail "no suite of Debian has Docker $MAJOR (${SUITES[*]})"
    fi
    echo "fetching Docker $version from Debian's suite $suite" >&2
    unpack
}

# The packages of the suite that was read last. The directory is complete or not there.
unpack() {
    local package made=$cache/unpacked
    rm -rf "$made" "$cache/debs"
    mkdir -p "$cache/debs" "$made/bin"
    (cd "$cache/debs" && apt-get "${APT_OPTIONS[@]}" download -qq "${PACKAGES[@]}" >&2) ||
        fail "the packages of Docker could not be downloaded: ${PACKAGES[*]}"
    for package in "$cache"/debs/*.deb; do
        dpkg-deb --extract "$package" "$made"
    done
    # `runc` is not among them: the machine's own is used, because a newer one needs a newer libc.
    local program
    for program in docker dockerd containerd containerd-shim-runc-v2 docker-proxy; do
        package=$(find "$made/usr/bin" "$made/usr/sbin" -name "$program" -type f)
        [ -n "$package" ] || fail "the packages of Docker contain no \`$program\`"
        ln -s "..${package#"$made"}" "$made/bin/$program"
    done
    mkdir -p "$made/config"
    printf '{"cliPluginsExtraDirs": ["%s/usr/libexec/docker/cli-plugins"]}\n' "$programs" \
        >"$made/config/config.json"
    "$made/bin/dockerd" --version >/dev/null || fail "Docker from the newer suite does not run here" \
        "its libraries may be newer than the machine's: ldd $made/bin/dockerd"
    printf '%s\n' "${PACKAGES[*]}" >"$made/packages"
    rm -rf "$programs" "$cache/debs" "$cache/apt/lists"
    mv "$made" "$programs"
}

# --- The engines

address_of() {
    printf 'unix://%s/%s/docker.sock' "$run" "$1"
}

answers() {
    timeout 20 "$programs/bin/docker" --host "$(address_of "$1")" version >/dev/null 2>&1
}

# bridge_of STORE: at most 15 characters, and another one per DIR.
bridge_of() {
    printf 'ld%s%.2s' "$(printf '%s' "$run" | cksum | awk '{ printf "%08x", $1 }')" "$1"
}

# Whether the kernel's overlay file system works below DIR.
overlay_works() {
    local at=$run/overlay works=1
    mkdir -p "$at/lower" "$at/upper" "$at/work" "$at/merged"
    if mount -t overlay overlay "$at/merged" \
        -o "lowerdir=$at/lower,upperdir=$at/upper,workdir=$at/work" 2>/dev/null; then
        umount "$at/merged"
        works=0
    fi
    rm -rf "$at"
    return "$works"
}

# settings STORE: its daemon.json.
settings() {
    local driver
    if [ "$1" = containerd ]; then
        driver=overlayfs
        overlay_works || driver=native
        printf '{"features": {"containerd-snapshotter": true}, "storage-driver": "%s"}\n' "$driver"
    else
        driver=overlay2
        overlay_works || driver=fuse-overlayfs
        printf '{"features": {"containerd-snapshotter": false}, "storage-driver": "%s"}\n' "$driver"
    fi
}

# An unused network of 256 addresses, by its first three numbers.
free_network() {
    local second third
    third=$((RANDOM % 256))
    for second in {128..191}; do
        # What routes there but the default: networks that contain it, and its own addresses.
        if ! { ip -4 route show root "10.$second.$third.0/24"; ip -4 route show match "10.$second.$third.1"; } |
            grep -qv '^default'; then
            printf '10.%s.%s' "$second" "$third"
            return
        fi
    done
    fail "no network is free for a bridge"
}

# rules -A|-D STORE: what lets containers out, as the daemon would do itself with `--iptables`. It
# is not given that: its chains have the names of the machine's engine's.
rules() {
    local bridge network
    bridge=$(bridge_of "$2")
    network=$(cat "$run/$2/network" 2>/dev/null) || return 0
    have iptables || return 0
    local to=$1
    [ "$to" = -D ] || to=-I
    iptables -w -t nat "$1" POSTROUTING -s "$network.0/24" ! -o "$bridge" -j MASQUERADE 2>/dev/null || :
    iptables -w "$to" FORWARD -i "$bridge" -j ACCEPT 2>/dev/null || :
    iptables -w "$to" FORWARD -o "$bridge" -j ACCEPT 2>/dev/null || :
}

make_bridge() {
    local bridge network
    bridge=$(bridge_of "$1")
    network=$(free_network)
    printf '%s' "$network" >"$run/$1/network"
    ip link add "$bridge" type bridge
    ip addr add "$network.1/24" dev "$bridge"
    ip link set "$bridge" up
    rules -A "$1"
}

# start_process STORE NAME COMMAND...: in a session of its own, with a log and a pid file.
start_process() {
    local store=$1 name=$2
    shift 2
    # Nothing of this script may stay open in it: a caller that reads the output would wait for ever.
    PATH=$programs/bin:$PATH setsid "$@" >"$run/$store/$name.log" 2>&1 </dev/null 9>&- &
    printf '%s' $! >"$run/$store/$name.pid"
}

# is_ours STORE NAME: whether the process in the pid file runs and is the one that was started: ids
# of processes are used again.
is_ours() {
    local pid
    pid=$(cat "$run/$1/$2.pid" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$run/$1/"
}

# wait_until COMMAND...: whether it succeeded in time.
wait_until() {
    local deadline=$((SECONDS + SECONDS_TO_WAIT))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

is_gone() {
    ! is_ours "$@"
}

answers_or_ended() {
    answers "$1" || is_gone "$1" dockerd
}

start_engine() {
    local store=$1 at=$run/$1
    stop_engine "$store"
    mkdir -p "$at/data" "$at/exec" "$at/containerd"
    settings "$store" >"$at/daemon.json"
    make_bridge "$store"
    # Where a containerd of the system runs, a dockerd without `--containerd` would share it.
    printf 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"]\n' \
        >"$at/containerd.toml"
    start_process "$store" containerd "$programs/bin/containerd" --config "$at/containerd.toml" \
        --root "$at/containerd/root" --state "$at/containerd/state" \
        --address "$at/containerd/containerd.sock"
    wait_until [ -S "$at/containerd/containerd.sock" ] || report_failure "$store" containerd
    start_process "$store" dockerd "$programs/bin/dockerd" --config-file "$at/daemon.json" \
        --host "$(address_of "$store")" --data-root "$at/data" --exec-root "$at/exec" \
        --pidfile "$at/docker.pid" --containerd "$at/containerd/containerd.sock" \
        --bridge "$(bridge_of "$store")" --iptables=false --ip6tables=false
    if ! wait_until answers_or_ended "$store" || ! answers "$store"; then
        report_failure "$store" dockerd
    fi
}

report_failure() {
    tail -n 15 "$run/$1/$2.log" >&2
    stop_engine "$1"
    fail "Docker $MAJOR with the $1 store did not start: no answer from $2"
}

end_process() {
    local pid
    if is_ours "$@"; then
        pid=$(cat "$run/$1/$2.pid")
        kill "$pid" 2>/dev/null || :
        wait_until is_gone "$@" || kill -KILL "$pid" 2>/dev/null || :
    fi
}

# Stops it, and removes its mounts, rules, bridge, and files.
stop_engine() {
    local store=$1 at=$run/$1 mounted
    end_process "$store" dockerd
    end_process "$store" containerd
    rules -D "$store"
    ip link delete "$(bridge_of "$store")" 2>/dev/null || :
    # The innermost first. What is left is a container's that was killed with its daemon.
    awk -v at="$at/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while IFS= read -r mounted; do
            umount --lazy "$mounted" 2>/dev/null || :
        done
    rm -rf "$at"
}

start() {
    fetch
    local program
    for program in ip runc setsid flock; do
        have "$program" || fail "\`$program\` is not installed, which Docker $MAJOR needs"
    done
    mkdir -p "$run"
    # Two starts at once would both find nothing.
    exec 9>"$run/lock"
    flock 9
    local store
    for store in "${STORES[@]}"; do
        answers "$store" || start_engine "$store"
        printf '%s %s\n' "$store" "$(address_of "$store")"
    done
}

stop() {
    local store
    for store in "${STORES[@]}"; do
        stop_engine "$store"
    done
    rm -rf "$run"
}

environment() {
    printf 'export DOCKER_HOST=%q\n' "$(address_of "$1")"
    printf 'export DOCKER_CONFIG=%q\n' "$programs/config"
    # shellcheck disable=SC2016 # the shell that reads it has a path of its own
    printf 'export PATH=%q:$PATH\n' "$programs/bin"
}

command=${1:-}
store=
if [ "$command" = env ]; then
    store=${2:-}
    [[ " ${STORES[*]} " == *" $store "* ]] || fail "unknown store \`$store\`" "one of: ${STORES[*]}"
    shift
fi
run=${2:-/var/tmp/layers-docker28}
case $command in
    fetch) fetch && printf '%s\n' "$programs" ;;
    start) start ;;
    stop) stop ;;
    env) environment "$store" ;;
    *) fail "unknown command \`$command\`" "fetch, start, stop, or env" ;;
esac
