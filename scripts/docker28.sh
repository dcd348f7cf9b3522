#!/usr/bin/env bash
# Runs two Docker 28 engines for tests, in addition to the machine's own: one with the classic image
# store (overlay2), and one with containerd's.
#
#   docker28.sh fetch [DIR]   downloads the programs and prints their directory
#   docker28.sh start [DIR]   starts both engines, or reuses those that run in DIR; prints STORE ADDRESS lines
#   docker28.sh stop [DIR]    stops the engines that `start` started in DIR, and removes all their files
#   docker28.sh env STORE [DIR]   prints exports for a shell: `eval "$(scripts/docker28.sh env containerd)"`
#
# DIR (by default /var/tmp/layers-docker28) contains the stores, the sockets, and the logs. The
# programs are from a newer Debian suite, with separate package lists, and are kept in
# LAYERS_DOCKER28_CACHE (by default ~/.cache/layers-docker28). Nothing is installed, and the machine's
# engine and apt are not affected. Each engine has its own containerd and its own bridge, because a
# second daemon with the default bridge takes docker0 from the first. Requires root on Debian.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

MAJOR=28
PACKAGES=(docker.io docker-cli containerd docker-buildx docker-compose)
# In search order.
SUITES=(trixie-backports forky sid)
STORES=(classic containerd)
# The time limit for a daemon to start or to end.
TIMEOUT_SECONDS=60

cache=${LAYERS_DOCKER28_CACHE:-$HOME/.cache/layers-docker28}
programs=$cache/root

# --- The programs

# Sets APT_OPTIONS so that apt does not use the machine's package lists, archives, and sources.
private_apt() {
    local lists=$cache/apt
    mkdir -p "$lists/lists/partial" "$lists/archives/partial" "$lists/none"
    APT_OPTIONS=(
        -o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::Etc::sourceparts=$lists/none"
        -o "Dir::Etc::preferences=$lists/none/file" -o "Dir::Etc::preferencesparts=$lists/none"
        -o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Retries=3
        # The user `_apt` may not be able to read root's cache.
        -o APT::Sandbox::User=root
    )
}

# Prints the machine's Debian mirror with the trusted keys, as `deb [OPTIONS] URI`.
machine_mirror() {
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    # shellcheck disable=SC2016 # apt expands the variables
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' \
        'Component: main' |
        awk -v keys="$keys" '
            $2 !~ /security/ && !found { found = 1; print "deb [signed-by=" keys "]", $1 }'
}

# version_in SUITE: updates the package lists of the suite, and prints its newest docker.io version.
version_in() {
    local mirror
    mirror=$(machine_mirror)
    if [ -z "$mirror" ]; then
        # Until its lists are downloaded, apt does not know which sources are Debian's.
        apt_update
        mirror=$(machine_mirror)
    fi
    [ -n "$mirror" ] || fail "the machine's apt sources contain no Debian mirror" \
        "list them with \`apt-get indextargets\`"
    printf '%s %s main\n' "$mirror" "$1" >"$cache/apt/sources.list"
    apt-get "${APT_OPTIONS[@]}" update -qq >"$cache/apt/log" 2>&1 || return 1
    apt-cache "${APT_OPTIONS[@]}" madison docker.io | awk 'NR == 1 { print $3 }'
}

# Downloads the newest Docker 28, or a later version if no Debian suite has Docker 28 anymore.
fetch() {
    can_apt || fail "Docker $MAJOR cannot be downloaded" "run this script as root on Debian"
    mkdir -p "$cache"
    exec 8>"$cache/lock"
    flock 8
    # An older version of this script may have downloaded fewer packages.
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
        echo "Debian's newer suites do not have Docker $MAJOR: using $version from $suite" >&2
    fi
    if [ -z "$version" ]; then
        cat "$cache/apt/log" >&2
        fail "Docker $MAJOR not found in Debian's suites (${SUITES[*]})"
    fi
    echo "downloading Docker $version from Debian's suite $suite" >&2
    unpack
}

# Unpacks the packages of the suite whose lists were read last. The directory appears only when it is
# complete.
unpack() {
    local package staging=$cache/unpacked
    rm -rf "$staging" "$cache/debs"
    mkdir -p "$cache/debs" "$staging/bin"
    (cd "$cache/debs" && apt-get "${APT_OPTIONS[@]}" download -qq "${PACKAGES[@]}" >&2) ||
        fail "failed to download packages: ${PACKAGES[*]}"
    for package in "$cache"/debs/*.deb; do
        dpkg-deb --extract "$package" "$staging"
    done
    # Not `runc`: a newer one needs a newer libc, so the engines use the machine's.
    local program
    for program in docker dockerd containerd containerd-shim-runc-v2 docker-proxy; do
        package=$(find "$staging/usr/bin" "$staging/usr/sbin" -name "$program" -type f)
        [ -n "$package" ] || fail "Docker's packages do not contain \`$program\`"
        ln -s "..${package#"$staging"}" "$staging/bin/$program"
    done
    mkdir -p "$staging/config"
    printf '{"cliPluginsExtraDirs": ["%s/usr/libexec/docker/cli-plugins"]}\n' "$programs" \
        >"$staging/config/config.json"
    "$staging/bin/dockerd" --version >/dev/null || fail "Docker from the newer suite does not run on this machine" \
        "check whether it needs newer libraries: ldd $staging/bin/dockerd"
    printf '%s\n' "${PACKAGES[*]}" >"$staging/packages"
    rm -rf "$programs" "$cache/debs" "$cache/apt/lists"
    mv "$staging" "$programs"
}

# --- The engines

address_of() {
    printf 'unix://%s/%s/docker.sock' "$run" "$1"
}

responds() {
    timeout 20 "$programs/bin/docker" --host "$(address_of "$1")" version >/dev/null 2>&1
}

# bridge_of STORE: prints the name of the bridge, which is unique per DIR and has at most 15 characters.
bridge_of() {
    printf 'ld%s%.2s' "$(printf '%s' "$run" | cksum | awk '{ printf "%08x", $1 }')" "$1"
}

# Returns whether the kernel's overlay file system works below DIR.
overlay_works() {
    local dir=$run/overlay status=1
    mkdir -p "$dir/lower" "$dir/upper" "$dir/work" "$dir/merged"
    if mount -t overlay overlay "$dir/merged" \
        -o "lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work" 2>/dev/null; then
        umount "$dir/merged"
        status=0
    fi
    rm -rf "$dir"
    return "$status"
}

# settings STORE: prints the engine's daemon.json.
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

# Prints the first three numbers of an unused network with 256 addresses.
free_network() {
    local second third
    third=$((RANDOM % 256))
    for second in {128..191}; do
        # Routes other than the default: to its own addresses, and to networks that contain it.
        if ! { ip -4 route show root "10.$second.$third.0/24"; ip -4 route show match "10.$second.$third.1"; } |
            grep -qv '^default'; then
            printf '10.%s.%s' "$second" "$third"
            return
        fi
    done
    fail "no unused network found for a bridge"
}

# rules -A|-D STORE: adds or deletes the rules for outgoing connections of containers. The daemon runs
# with `--iptables=false`, because its chains would have the same names as those of the machine's engine.
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

# start_process STORE NAME COMMAND...: starts a process in its own session, with a log and a pid file.
start_process() {
    local store=$1 name=$2
    shift 2
    # Close this script's descriptors, or a caller that reads the output would wait forever.
    PATH=$programs/bin:$PATH setsid "$@" >"$run/$store/$name.log" 2>&1 </dev/null 9>&- &
    printf '%s' $! >"$run/$store/$name.pid"
}

# is_ours STORE NAME: returns whether the process in the pid file is running and is the one that this
# script started. Process ids are reused, so this compares the command line.
is_ours() {
    local pid
    pid=$(cat "$run/$1/$2.pid" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$run/$1/"
}

# wait_until COMMAND...: runs the command until it succeeds. Fails after the time limit.
wait_until() {
    local deadline=$((SECONDS + TIMEOUT_SECONDS))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

is_gone() {
    ! is_ours "$@"
}

responds_or_ended() {
    responds "$1" || is_gone "$1" dockerd
}

start_engine() {
    local store=$1 dir=$run/$1
    stop_engine "$store"
    mkdir -p "$dir/data" "$dir/exec" "$dir/containerd"
    settings "$store" >"$dir/daemon.json"
    make_bridge "$store"
    # Without `--containerd`, dockerd would share the system's containerd if that is running.
    printf 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"]\n' \
        >"$dir/containerd.toml"
    start_process "$store" containerd "$programs/bin/containerd" --config "$dir/containerd.toml" \
        --root "$dir/containerd/root" --state "$dir/containerd/state" \
        --address "$dir/containerd/containerd.sock"
    wait_until [ -S "$dir/containerd/containerd.sock" ] || report_failure "$store" containerd
    start_process "$store" dockerd "$programs/bin/dockerd" --config-file "$dir/daemon.json" \
        --host "$(address_of "$store")" --data-root "$dir/data" --exec-root "$dir/exec" \
        --pidfile "$dir/docker.pid" --containerd "$dir/containerd/containerd.sock" \
        --bridge "$(bridge_of "$store")" --iptables=false --ip6tables=false
    if ! wait_until responds_or_ended "$store" || ! responds "$store"; then
        report_failure "$store" dockerd
    fi
}

report_failure() {
    tail -n 15 "$run/$1/$2.log" >&2
    stop_engine "$1"
    fail "Docker $MAJOR with the $1 store did not start: $2 does not respond"
}

end_process() {
    local pid
    if is_ours "$@"; then
        pid=$(cat "$run/$1/$2.pid")
        kill "$pid" 2>/dev/null || :
        wait_until is_gone "$@" || kill -KILL "$pid" 2>/dev/null || :
    fi
}

# Stops an engine, and removes its mounts, rules, bridge, and files.
stop_engine() {
    local store=$1 dir=$run/$1 mounted
    end_process "$store" dockerd
    end_process "$store" containerd
    rules -D "$store"
    ip link delete "$(bridge_of "$store")" 2>/dev/null || :
    # Innermost first. Mounts remain if a container was killed with its daemon.
    awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while IFS= read -r mounted; do
            umount --lazy "$mounted" 2>/dev/null || :
        done
    rm -rf "$dir"
}

start() {
    fetch
    local program
    for program in ip runc setsid flock; do
        have "$program" || fail "Docker $MAJOR needs \`$program\`, which is not installed"
    done
    mkdir -p "$run"
    # Otherwise two parallel starts would both start the engines.
    exec 9>"$run/lock"
    flock 9
    local store
    for store in "${STORES[@]}"; do
        responds "$store" || start_engine "$store"
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
    # shellcheck disable=SC2016 # the shell that evaluates it expands PATH
    printf 'export PATH=%q:$PATH\n' "$programs/bin"
}

command=${1:-}
store=
if [ "$command" = env ]; then
    store=${2:-}
    [[ " ${STORES[*]} " == *" $store "* ]] || fail "unknown store \`$store\`" "use one of: ${STORES[*]}"
    shift
fi
run=${2:-/var/tmp/layers-docker28}
case $command in
    fetch) fetch && printf '%s\n' "$programs" ;;
    start) start ;;
    stop) stop ;;
    env) environment "$store" ;;
    *) fail "unknown command \`$command\`" "use fetch, start, stop, or env" ;;
esac
